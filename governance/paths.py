"""What differs between two documents, by JSON Pointers (RFC 6901) as comments use them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any


@dataclass(frozen=True)
class Difference:
    """One place that differs: what stood there and what will, as JSON; None where it is new or gone.

    `path` leads into the later document, for what is gone into the earlier one; `was_at` always into the earlier one,
    where an entry of a list may have stood at another place.
    """

    path: str
    before: str | None
    after: str | None
    was_at: str


def differences(before: Any, after: Any) -> list[Difference]:
    """Return the places at which two JSON documents differ, the innermost ones, in the order of the later document.

    Entries of a list are known again by their `name` or `model`, wherever they stand in it; others by all they say.
    """
    return list(_between(before, after, "", ""))


def escaped(key: str) -> str:
    """A key as it stands in a pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _between(before: Any, after: Any, was: str, at: str) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key, value in after.items():
            places = (f"{was}/{escaped(key)}", f"{at}/{escaped(key)}")
            if key in before:
                yield from _between(before[key], value, *places)
            else:
                yield Difference(places[1], None, _json(value), places[0])
        for key in before:
            if key not in after:
                yield _gone(before[key], f"{was}/{escaped(key)}")
    elif isinstance(before, list) and isinstance(after, list):
        yield from _between_lists(before, after, was, at)
    elif _json(before) != _json(after):
        yield Difference(at, _json(before), _json(after), was)


def _between_lists(before: list[Any], after: list[Any], was: str, at: str) -> Iterator[Difference]:
    # Its guesses of what is too frequent to be looked at are for prose.
    matcher = SequenceMatcher(None, [_identity(each) for each in before], [_identity(each) for each in after], False)
    for what, begin, end, new_begin, new_end in matcher.get_opcodes():
        if what == "equal":
            for old, new in zip(range(begin, end), range(new_begin, new_end), strict=True):
                yield from _between(before[old], after[new], f"{was}/{old}", f"{at}/{new}")
            continue
        for old in range(begin, end):
            yield _gone(before[old], f"{was}/{old}")
        for new in range(new_begin, new_end):
            yield Difference(f"{at}/{new}", None, _json(after[new]), f"{was}/{begin}")


def _gone(value: Any, was: str) -> Difference:
    return Difference(was, _json(value), None, was)


def _identity(entry: Any) -> str:
    if isinstance(entry, Mapping):
        for name in ("name", "model"):
            if isinstance(entry.get(name), str):
                return f"{name} {entry[name]}"
    return _json(entry)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
