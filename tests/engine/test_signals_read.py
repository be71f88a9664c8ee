"""Signals are plain counts: each checked here by hand, and none that any text can break."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallfirst import signals
from smallfirst.engine import Signals
from tests.engine.test_invariants import often

TEXT = "Where is order 17? It was due on 3 May. Please check!"


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def test_what_the_user_wrote_is_counted() -> None:
    assert signals.read([said("user", TEXT)]) == Signals(
        input_tokens=-(-len(TEXT) // 4) + 4,
        characters=len(TEXT),
        words=12,
        sentences=3,
        questions=1,
        digits=3,
        code=0,
    )


def test_texts_to_embed_are_counted_alike_without_a_frame_for_each() -> None:
    chat = signals.read([said("user", TEXT)])
    embedded = signals.read_texts([TEXT])

    assert embedded.input_tokens == chat.input_tokens - 4
    assert (embedded.words, embedded.sentences, embedded.digits) == (chat.words, chat.sentences, chat.digits)
    assert signals.read_texts(["one two", "three"]).words == 3


def test_tokens_that_came_as_numbers_are_counted_as_they_are() -> None:
    assert signals.read_texts([], tokens=9) == Signals(input_tokens=9)


def test_all_messages_cost_tokens_but_only_the_users_words_are_counted() -> None:
    read = signals.read([said("system", "Be brief. Be kind."), said("user", [{"type": "text", "text": "Hello"}])])

    assert (read.words, read.sentences, read.characters) == (1, 1, 5)
    assert read.input_tokens == -(-(18 + 5) // 4) + 8


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("def f(x):\n    return x", 1),
        ("SELECT id FROM orders", 1),
        ("import os\nx = {\n}", 3),
        ("I selected it from the shop, thanks", 0),
    ],
)
def test_lines_that_look_like_code_are_counted(text: str, lines: int) -> None:
    assert signals.read_texts([text]).code == lines


def test_a_token_of_another_script_is_estimated_by_its_bytes() -> None:
    assert signals.read_texts(["你好"]).input_tokens == 2


@pytest.mark.parametrize("content", [None, 3, {}, [3], [{"type": "image_url"}], [{"text": 4}], [None]])
def test_what_is_not_text_counts_nothing(content: Any) -> None:
    assert signals.read([said("user", content), {"role": 3, "content": "x"}, "x"]) == Signals(input_tokens=12)


def test_no_count_exceeds_what_a_decision_holds() -> None:
    assert signals.read_texts(["x"], tokens=10**12).input_tokens == signals.MOST


@often
@given(st.lists(st.text(), max_size=5))
def test_any_texts_give_counts_in_bounds_and_the_same_again(texts: list[str]) -> None:
    read = signals.read_texts(texts)

    assert read == signals.read_texts(texts)
    assert read.version == 1
    assert read.characters == len("\n".join(texts))
    assert 0 <= read.words <= read.characters
    assert read.input_tokens >= read.characters // 8
