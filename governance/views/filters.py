"""Filters of lists: what the address leaves of one, what it names that there is not, and how a part is taken away.

A filter that does not fit leaves nothing and says which of its fields is wrong: 422 on a page, 400 for a file. Nothing
that its reader may not see is told from what there is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from django import forms
from django.core.exceptions import BadRequest
from django.db.models import CharField, Q, QuerySet, Value
from django.http import HttpRequest


@dataclass(frozen=True)
class Among:
    """What the text of a field may name: one of these rows, by one of these columns, in words a `what`."""

    rows: "QuerySet[Any]"
    what: str
    by: tuple[str, ...] = ("name",)

    def named(self, text: str) -> "QuerySet[Any]":
        """The rows of this name."""
        found = Q()
        for column in self.by:
            found |= Q(**{column: text})
        return self.rows.order_by().filter(found)


@dataclass(frozen=True)
class Narrowed:
    """One part of a filter: its field and its value in words, and the address of the list without it."""

    label: str
    words: str
    without: str


def unknown(among: Mapping[str, Among], said: Mapping[str, Any]) -> list[str]:
    """Return which fields say something that names nothing; one query for all of them, none where none says any."""
    asked = {name: said[name] for name in among if said.get(name)}
    parts = [
        among[name].named(text).values_list(Value(name, output_field=CharField()))[:1] for name, text in asked.items()
    ]
    if not parts:
        return []
    known = {name for (name,) in (parts[0].union(*parts[1:]) if parts[1:] else parts[0])}
    return [name for name in asked if name not in known]


class ListFilter(forms.Form):
    """What of a list is shown; the address holds it. A field that says nothing leaves all."""

    # Fields that change how the rows are shown, not which.
    SHOWS: ClassVar[frozenset[str]] = frozenset()
    # Fields that go together or not at all: one alone might not fit what the other then says by itself.
    TOGETHER: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, request: HttpRequest, data: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """Read the address, or `data` where it is read with something beside it."""
        self.request = request
        super().__init__(request.GET if data is None else data, **kwargs)

    def among(self) -> Mapping[str, Among]:
        """What the texts of fields may name, by field."""
        return {}

    def clean(self) -> dict[str, Any]:
        """What is named is there."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        among = self.among()
        for name in unknown(among, said):
            self.add_error(name, f"No {among[name].what} that you may see is called “{said[name]}”.")
        return self.cleaned_data

    @property
    def http_status(self) -> int:
        """The status of a page with this filter."""
        return 200 if self.is_valid() else 422

    @property
    def narrowed(self) -> list[Narrowed]:
        """What narrows the list, part by part."""
        return [
            Narrowed(str(self[name].label), self._words(name), self._without(name))
            for name in self.changed_data
            if name not in self.SHOWS
        ]

    def for_file(self) -> Self:
        """Return the filter of a file. Raises BadRequest, which names the field, where it does not fit."""
        if not self.is_valid():
            raise BadRequest(first_error(self))
        return self

    def _words(self, name: str) -> str:
        text = str(self[name].value())
        choices = getattr(self.fields[name], "choices", ())
        return next((str(words) for value, words in choices if str(value) == text), text)

    def _without(self, name: str) -> str:
        query = self.request.GET.copy()
        gone = self.TOGETHER if name in self.TOGETHER else {name}
        for each in (*gone, "page", "after", "before"):
            query.pop(each, None)
        return f"?{query.urlencode()}" if query else self.request.path


def first_error(form: forms.Form) -> str:
    """What is wrong with a form, for an answer that shows no form."""
    field, errors = next(iter(form.errors.items()))
    return f"{field}: {errors[0]}"
