"""Differences by path: whatever two documents are, applying what is told leads from the one to the other."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.paths import Difference, differences, escaped

KEYS = st.text("ab/~0é", max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(0, 1) | st.text("xyü", max_size=2),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
# Lists whose entries are known by a name, each once, as ladders, steps and rules are.
NAMED = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abcd"), "value": st.integers(0, 2)}),
    max_size=4,
    unique_by=lambda each: each["name"],
)


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("/a", "1", "2")]),
        ({"a": {"b": 1}}, {"a": {}}, [("/a/b", "1", None)]),
        ({}, {"a/b": "é"}, [("/a~1b", None, '"é"')]),
        ({"a": [1, 2]}, {"a": [2]}, [("/a/0", "1", None)]),
        ({"a": 1}, {"a": 1.0}, [("/a", "1", "1.0")]),
        ({"a": True}, {"a": 1}, [("/a", "true", "1")]),
        (
            [{"model": "small", "keep_from": 0.8}, {"model": "big"}],
            [{"model": "tiny"}, {"model": "small", "keep_from": 0.7}, {"model": "big"}],
            [("/0", None, '{"model": "tiny"}'), ("/1/keep_from", "0.8", "0.7")],
        ),
    ],
)
def test_each_place_is_named_with_what_was_and_what_will_be(before: Any, after: Any, found: list[Any]) -> None:
    assert [(each.path, each.before, each.after) for each in differences(before, after)] == found


def test_what_moved_in_a_list_is_found_where_it_was() -> None:
    before, after = [{"name": "a"}, {"name": "b", "value": 1}], [{"name": "b", "value": 2}]
    assert differences(before, after) == [
        Difference("/0", '{"name": "a"}', None, "/0"),
        Difference("/0/value", "1", "2", "/1/value"),
    ]


@given(JSON)
def test_nothing_differs_from_itself(document: Any) -> None:
    assert differences(document, copy.deepcopy(document)) == []


@given(st.dictionaries(KEYS, JSON | NAMED, max_size=4), st.dictionaries(KEYS, JSON | NAMED, max_size=4))
def test_what_is_told_leads_from_one_to_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Taken away what is gone or changed in both, the same is left: nothing is passed over and nothing made up."""
    found = differences(before, after)
    assert bool(found) == (json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True))
    for each in found:
        for document, path, said in ((before, each.was_at, each.before), (after, each.path, each.after)):
            if said is not None:
                assert json.dumps(_at(document, path), ensure_ascii=False, sort_keys=True) == said
    assert _without(before, [each.was_at for each in found if each.before is not None]) == _without(
        after, [each.path for each in found if each.after is not None]
    )


def _at(document: Any, path: str) -> Any:
    for key in path.split("/")[1:]:
        document = document[int(key)] if isinstance(document, list) else document[_unescaped(key)]
    return document


def _unescaped(key: str) -> str:
    plain = key.replace("~1", "/").replace("~0", "~")
    assert escaped(plain) == key
    return plain


GONE = object()


def _without(document: Any, paths: list[str], at: str = "") -> str:
    """The document as text, less what stands at these paths."""

    def left(value: Any, at: str) -> Any:
        if at in paths:
            return GONE
        if isinstance(value, dict):
            return {
                key: kept for key, each in value.items() if (kept := left(each, f"{at}/{escaped(key)}")) is not GONE
            }
        if isinstance(value, list):
            return [kept for place, each in enumerate(value) if (kept := left(each, f"{at}/{place}")) is not GONE]
        return value

    return json.dumps(left(document, at), sort_keys=True, default=str)
