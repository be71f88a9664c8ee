"""Pages as tests read them: a browser of Django's, their words, and the rows of their files."""

import csv
import io
import re
from decimal import Decimal
from html import unescape
from html.parser import HTMLParser
from typing import Any

from django.test import Client

from governance.models import User

# A count as pages write it, and no more.
COUNT = re.compile(r"\d{1,3}(,\d{3})*")


def signed_in(person: User) -> Client:
    """A browser in which a person is signed in."""
    client = Client()
    client.force_login(person)
    return client


def text(answer: Any) -> str:
    """What a page says, without its markup."""
    return plain(answer.content.decode())


def plain(markup: str) -> str:
    """Markup as one line of words."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def file(answer: Any) -> list[dict[str, str]]:
    """The rows of a CSV answer."""
    assert answer["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


class Links(HTMLParser):
    """The links of a page with their words, the parts it loads, and how many things its list has in all.

    `paid` are the amounts that stand in links, `spent` those that a list of attempts says it cost.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.total: int | None = None
        self.paid: list[tuple[str, Decimal]] = []
        self.spent: list[Decimal] = []
        self._sums = False
        self._open: str | None = None
        self._words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link's address, a part's, a list's total."""
        said = dict(attrs)
        if tag == "a" and said.get("href"):
            self._open, self._words = said["href"], []
        if said.get("hx-get"):
            self.links.append((said["hx-get"] or "", ""))
        self._sums |= "data-spent" in said
        if tag == "data" and said.get("class") == "money":
            amount = Decimal(said["value"] or 0)
            if self._sums:
                self.spent.append(amount)
            elif self._open is not None:
                self.paid.append((self._open, amount))
        if said.get("data-total"):
            self.total = int(said["data-total"] or 0)

    def handle_data(self, data: str) -> None:
        """Gather a link's words."""
        if self._open is not None:
            self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        """A link ends, or what a list says it cost."""
        if tag == "b":
            self._sums = False
        if tag == "a" and self._open is not None:
            self.links.append((self._open, " ".join("".join(self._words).split())))
            self._open = None
