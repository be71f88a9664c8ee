"""A policy whose cases nobody could take or answer is none."""

from typing import Any

import pytest

from governance import policies
from governance.policies import InvalidPolicy
from tests.cast import make_cast, make_document

pytestmark = pytest.mark.django_db


def document(**given: Any) -> dict[str, Any]:
    """A policy whose review differs in what is given."""
    made = make_document()
    made["steps"][0]["review"] |= given
    return made


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"role": "finance"}, "steps[0].review.role"),
        ({"role": "emperor"}, "steps[0].review.role"),
        ({"answer": {"type": "fields", "schema": {"type": "nonsense"}}}, "steps[0].review.answer.schema"),
        (
            {"answer": {"type": "fields", "schema": {"$ref": "http://127.0.0.1:1/x"}}},
            "steps[0].review.answer.schema",
        ),
    ],
)
def test_it_is_refused_with_its_place(given: dict[str, Any], path: str) -> None:
    cast = make_cast()
    with pytest.raises(InvalidPolicy) as refused:
        policies.check(document(**given), workflow=cast.workflow, environment=cast.production)
    assert [problem.path for problem in refused.value.problems] == [path]


def test_one_that_can_be_answered_is_taken() -> None:
    cast = make_cast()
    schema = {"type": "object", "required": ["street"], "properties": {"street": {"type": "string"}}}
    given = document(role="reviewer", answer={"type": "fields", "schema": schema})
    full = policies.check(given, workflow=cast.workflow, environment=cast.production)
    assert full["steps"][0]["review"]["answer"]["schema"] == schema
