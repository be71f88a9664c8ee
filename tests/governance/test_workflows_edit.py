"""The forms of a workflow: adding it, its entry, a step, its end; what is wrong is named and nothing is lost."""

from typing import Any

import pytest
from django.urls import reverse

from governance.models import AuditEvent, Step, Workflow
from tests.cast import Cast, make_cast
from tests.pages import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody."""
    return make_cast()


def entry(cast: Cast, **fields: Any) -> dict[str, Any]:
    """What the form of a new workflow sends."""
    return {
        "name": "Claims triage",
        "slug": "claims-triage",
        "purpose": "Sorts claims by urgency",
        "team": str(cast.team.pk),
        "risk": "high",
        "data_class": "confidential",
        "regions": "eu, south",
        "owner": str(cast.owner.pk),
        "deputy": "",
        "people_affected": "Customers with a claim",
        "rationale": "A wrong answer delays a payment",
        "retention_days": "14",
        "cost_centre": "4711",
        "review_due": "2027-05-01",
        **fields,
    }


def test_a_workflow_is_added_with_its_whole_entry(cast: Cast) -> None:
    answer = signed_in(cast.lead).post(reverse("workflow_new"), entry(cast))
    made = Workflow.objects.get(slug="claims-triage")
    assert answer.headers["location"] == reverse("workflow", args=[made.slug])
    assert (made.regions, made.cost_centre, made.retention_days) == (["eu", "south"], "4711", 14)
    assert made.review_due is not None
    page = signed_in(cast.owner).get(answer.headers["location"]).content.decode()
    for said in ("has no live policy yet", "Customers with a claim", "delays a payment", "only in eu, south"):
        assert said in page


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "required"),
        ({"slug": "new"}, "an address of its own"),
        ({"slug": "Claims Triage"}, "valid"),
        ({"slug": "customer-feedback"}, "already"),
        ({"risk": "unacceptable"}, "valid choice"),
        ({"retention_days": "-1"}, "greater than or equal"),
        ({"review_due": "someday"}, "valid date"),
    ],
)
def test_what_does_not_fit_is_named_and_kept_in_the_form(cast: Cast, fields: dict[str, Any], said: str) -> None:
    before = AuditEvent.objects.count()
    answer = signed_in(cast.lead).post(reverse("workflow_new"), entry(cast, **fields))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert said in page
    assert "Sorts claims by urgency" in page
    assert not Workflow.objects.filter(name="Claims triage").exists()
    assert AuditEvent.objects.count() == before


def test_a_lead_of_another_team_adds_none_here(cast: Cast) -> None:
    answer = signed_in(cast.stranger).post(reverse("workflow_new"), entry(cast))
    assert answer.status_code == 422
    assert not Workflow.objects.filter(slug="claims-triage").exists()


def test_an_owner_edits_the_entry_and_adds_a_step(cast: Cast) -> None:
    slug = cast.workflow.slug
    form = signed_in(cast.owner).get(reverse("workflow_edit", args=[slug])).content.decode()
    assert cast.workflow.purpose in form
    said = entry(cast, name="Feedback", deputy=str(cast.lead.pk))
    signed_in(cast.owner).post(reverse("workflow_edit", args=[slug]), said)
    held = Workflow.objects.get(slug=slug)
    # Nothing of it is live yet: what nobody rests on is written at once.
    assert (held.name, held.deputy, held.risk, held.regions) == ("Feedback", cast.lead, "high", ["eu", "south"])
    assert AuditEvent.objects.about(held).filter(action="workflows.edit").count() == 1

    signed_in(cast.owner).post(reverse("step_add", args=[slug]), {"name": "extract", "purpose": "Finds the order"})
    assert Step.objects.get(workflow=held, name="extract").position == 3
    answer = signed_in(cast.owner).post(reverse("step_add", args=[slug]), {"name": "Extract!", "purpose": "x"})
    assert answer.status_code == 422
    assert Step.objects.filter(workflow=held).count() == 3


def test_a_workflow_ends_with_a_reason(cast: Cast) -> None:
    address = reverse("workflow_retire", args=[cast.workflow.slug])
    assert signed_in(cast.owner).post(address, {"reason": ""}).status_code == 422
    assert Workflow.objects.in_use().count() == 1
    signed_in(cast.owner).post(address, {"reason": "Replaced by another"})
    assert not Workflow.objects.in_use().exists()
    page = signed_in(cast.owner).get(reverse("workflow", args=[cast.workflow.slug])).content.decode()
    assert "is out of use" in page
    assert "Change the policy" not in page
