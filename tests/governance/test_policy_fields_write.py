"""The fields of a policy: what is typed stands in its place in the document, and all else stays as it was."""

from typing import Any

import pytest

from governance import policies
from governance.views.policy_fields import PolicyFields
from smallfirst import engine
from tests.cast import make_document

MODELS = [(name, name) for name in ("lexicon", "tf-idf", "smollm2")]
FULL: dict[str, Any] = make_document(0.8) | {
    "guards": {"regions": ["eu"], "max_cost": "0.50", "hosting": ["self"]},
    "rules": [{"name": "Risk", "when": [{"type": "risk", "at_least": "high"}], "then": {"review": True}}],
}


def typed(document: dict[str, Any], **said: str) -> PolicyFields:
    """The fields of a document, with what was typed into some of them."""
    form = PolicyFields(
        {name.replace("__", "-"): value for name, value in said.items()}, document=document, models=MODELS, initial={}
    )
    assert form.is_valid(), form.errors
    return form


def as_sent(document: dict[str, Any]) -> dict[str, str]:
    """What a browser sends where nobody typed anything."""
    form = PolicyFields(document=document, models=MODELS, initial={})
    shown = {bound.html_name: bound.value() for bound in form}
    return {name: "" if value is None else str(value) for name, value in shown.items()}


@pytest.mark.parametrize("document", [make_document(0.8), FULL])
def test_a_document_that_nobody_touched_stays_as_it_was(document: dict[str, Any]) -> None:
    assert typed(document).document() == document
    form = PolicyFields(as_sent(document), document=document, models=MODELS, initial={})
    assert form.is_valid(), form.errors
    assert form.document() == document


@pytest.mark.parametrize(
    ("said", "path", "value"),
    [
        ({"step-0": "0.5"}, ("steps", 0, "gate", "keep_from"), 0.5),
        ({"step-0-start-hard": "mid"}, ("steps", 0, "start"), {"easy": "small", "medium": "small", "hard": "mid"}),
        ({"step-0-labels": " yes,no , yes"}, ("steps", 0, "gate", "labels"), ["yes", "no"]),
        ({"step-0-when": "always"}, ("steps", 0, "review", "when"), "always"),
        ({"step-0-when": ""}, ("steps", 0, "review"), None),
        ({"step-0-max_output_tokens": "400"}, ("steps", 0, "limits"), {"max_output_tokens": 400}),
        ({"step-0-deadline_ms": "9000"}, ("steps", 0, "limits", "deadline_ms"), 9000),
        ({"step-0-model-0": "tf-idf"}, ("steps", 0, "ladder", 0), {"model": "tf-idf"}),
        ({"guards-data_class": "internal"}, ("guards", "data_class"), "internal"),
        ({"guards-models": "lexicon, tf-idf"}, ("guards", "models"), ["lexicon", "tf-idf"]),
        ({"guards-regions": ""}, ("guards", "regions"), None),
        ({"guards-max_cost": "0.25"}, ("guards", "max_cost"), "0.25"),
        ({"guards-max_latency_ms": "1500"}, ("guards", "max_latency_ms"), 1500),
    ],
)
def test_what_was_typed_stands_in_its_place_and_all_else_stays(
    said: dict[str, str], path: tuple[Any, ...], value: Any
) -> None:
    form = PolicyFields(as_sent(FULL) | said, document=FULL, models=MODELS, initial={})
    assert form.is_valid(), form.errors
    made = form.document()
    place: Any = made
    for name in path:
        place = place[name]
    assert place == value
    # The engine reads it, and the rest is untouched.
    engine.read_policy(made)
    assert made["rules"] == FULL["rules"]
    assert policies.read(made) != policies.read(FULL)


def test_a_step_that_asks_nobody_offers_no_review() -> None:
    document = make_document(0.8)
    del document["steps"][0]["review"]
    form = PolicyFields(document=document, models=MODELS, initial={})
    assert "step-0-when" not in form.fields
    assert form.guards[0].name == "guards-data_class"


def test_what_cannot_be_read_opens_what_is_folded() -> None:
    form = PolicyFields(
        {"step-0-deadline_ms": "soon", "guards-max_cost": "-1"}, document=FULL, models=MODELS, initial={}
    )
    assert not form.is_valid()
    assert form.steps[0].more_wrong
    assert form.guards_wrong
    assert form.wrong == ["step-0-deadline_ms", "guards-max_cost"]
