"""Pages as tests read them: a browser of Django's, their words, and the rows of their files."""

import csv
import io
import re
from html import unescape
from typing import Any

from django.test import Client

from governance.models import User


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
