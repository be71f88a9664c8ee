"""Reading and checking policy documents against the register."""

from typing import Any

import pytest

from governance import policies, registry
from tests.cast import make_cast, make_document, make_environment

pytestmark = pytest.mark.django_db


def test_a_sound_document_comes_back_in_full_and_the_same_each_time() -> None:
    cast = make_cast()
    full = policies.check(make_document(), workflow=cast.workflow, environment=cast.production)
    assert full["rules"] == []
    assert full["steps"][0]["ladder"][0] == {"model": "lexicon", "keep_from": None}
    assert policies.check(full, workflow=cast.workflow, environment=cast.production) == full
    assert policies.read(full) == policies.read(make_document())


def test_a_digest_names_the_content_not_the_order_of_its_keys() -> None:
    document = make_document()
    turned = dict(reversed(document.items()))
    assert policies.digest(document) == policies.digest(turned)
    assert policies.digest(make_document(0.8)) != policies.digest(make_document(0.81))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"format": 2}, "format"),
        ({"unknown": 1}, ""),
        ({"steps": "none"}, "steps"),
        ({"steps": [make_document()["steps"][0] | {"ladder": []}]}, "steps[0].ladder"),
        ({"steps": [make_document(0.8, "nobody")["steps"][0]]}, "steps[0].ladder[0].model"),
        ({"steps": [make_document(0.8, "smollm2", "lexicon")["steps"][0]]}, "steps[0].ladder[1]"),
        ({"steps": [make_document(1.8)["steps"][0]]}, "steps[0].gate.keep_from"),
        ({"guards": {"regions": ["us"]}}, "steps[0].ladder"),
    ],
)
def test_a_problem_has_a_path_and_a_fix(change: dict[str, Any], path: str) -> None:
    cast = make_cast()
    with pytest.raises(policies.InvalidPolicy) as refused:
        policies.check(make_document() | change, workflow=cast.workflow, environment=cast.production)
    assert any(problem.path.startswith(path) for problem in refused.value.problems), refused.value.problems
    assert all(problem.message and problem.fix for problem in refused.value.problems)
    assert refused.value.problems[0].fix in str(refused.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [(float("nan"), "finite"), (2**60, "2.53"), ("a\x00b", r"U\+0000"), ("\ud800", "Unicode"), (1e400, "finite")],
)
def test_a_value_without_an_exact_form_is_refused_wherever_it_stands(value: Any, words: str) -> None:
    cast = make_cast()
    document = make_document()
    document["steps"][0]["review"]["answer"] = {"type": "fields", "schema": {"title": value}}
    with pytest.raises(policies.InvalidPolicy, match=words):
        policies.check(document, workflow=cast.workflow, environment=cast.production)


def test_a_backslash_before_u0000_is_text() -> None:
    cast = make_cast()
    document = make_document()
    document["steps"][0]["review"]["answer"] = {"type": "fields", "schema": {"title": "\\u0000"}}
    assert policies.check(document, workflow=cast.workflow, environment=cast.production)


def test_models_count_only_where_they_are_served() -> None:
    cast = make_cast()
    empty = make_environment("staging")
    with pytest.raises(policies.InvalidPolicy):
        policies.check(make_document(), workflow=cast.workflow, environment=empty)
    registry.retire(model=cast.models[0], reason="old", by=cast.lead)
    with pytest.raises(policies.InvalidPolicy, match="lexicon"):
        policies.check(make_document(), workflow=cast.workflow, environment=cast.production)


def test_a_workflow_of_restricted_data_finds_no_model_cleared_for_it() -> None:
    cast = make_cast()
    cast.workflow.data_class = "restricted"
    with pytest.raises(policies.InvalidPolicy, match="restricted"):
        policies.check(make_document(), workflow=cast.workflow, environment=cast.production)


def test_a_cost_ceiling_is_not_judged_without_prices() -> None:
    cast = make_cast()
    document = make_document() | {"guards": {"max_cost": "0.0001"}}
    document["steps"][0]["limits"] = {"max_output_tokens": 64}
    full = policies.check(document, workflow=cast.workflow, environment=cast.production)
    assert full["guards"]["max_cost"] == "0.0001"
