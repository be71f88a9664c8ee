"""The pages of a workflow's entry: where it is written at once, where it is proposed, what a change of it tells."""

from typing import Any

import pytest
from django.urls import reverse

from governance import changes
from governance.models import AuditEvent, Change, Workflow
from tests.cast import Cast, approve, make_cast, make_change, make_entry, make_live
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody, and a policy that is live."""
    made = make_cast()
    make_live(made)
    return made


def typed(**fields: Any) -> dict[str, Any]:
    """What the form of an entry sends."""
    return {
        "title": "Higher risk",
        "note": "It decides about money now",
        "risk": "high",
        "data_class": "internal",
        "rationale": "A wrong answer delays a payment",
        "people_affected": "Customers",
        "regions": "eu",
        "retention_days": "7",
        **fields,
    }


def test_the_form_of_a_workflow_says_where_its_entry_changes(cast: Cast) -> None:
    address = reverse("workflow_edit", args=[cast.workflow.slug])
    page = signed_in(cast.owner).get(address)
    assert "become others only with votes" in text(page)
    assert "risk" not in page.context["form"].fields
    said = {"name": "Feedback", "purpose": "P", "owner": str(cast.owner.pk), "risk": "high", "retention_days": "0"}
    assert signed_in(cast.owner).post(address, said).status_code == 302
    held = Workflow.objects.get(pk=cast.workflow.pk)
    assert (held.name, held.risk, held.retention_days) == ("Feedback", "limited", 30)


def test_before_a_policy_is_live_the_form_says_that_it_is_saved_at_once() -> None:
    cast = make_cast()
    page = signed_in(cast.owner).get(reverse("workflow_edit", args=[cast.workflow.slug]))
    assert "Once a policy is, risk, data class, regions and retention change only with votes" in text(page)
    assert signed_in(cast.owner).get(reverse("entry_new", args=[cast.workflow.slug])).status_code == 404


def test_an_entry_is_proposed_read_and_approved_by_another(cast: Cast) -> None:
    slug = cast.workflow.slug
    assert "Propose another risk" in text(signed_in(cast.owner).get(reverse("workflow", args=[slug])))
    answer = signed_in(cast.owner).post(reverse("entry_new", args=[slug]), typed())
    change = Change.objects.for_list().get(kind="workflow")
    assert answer.headers["location"] == reverse("change", args=[change.pk])
    page = text(signed_in(cast.lead).get(reverse("change", args=[change.pk])))
    for said in (
        "Customer feedback · workflow entry version 1 → 2",
        "removed: limited added: high risk",
        "removed: 30 added: 7 days",
        "/retention_days",
        "It decides about money now",
        "Asked for where a policy of it is live: 0 of 1 vote; waits on Lead or Second lead",
        "Your approval is the last one needed: it goes live at once.",
    ):
        assert said in page, said
    assert "What it would have done" not in page
    assert "Break the glass" not in page
    ballot = {"digest": change.revision.payload_digest, "choice": "approve", "reason": ""}
    answer = signed_in(cast.lead).post(reverse("change_vote", args=[change.pk]), ballot, follow=True)
    assert "The new entry is live; gateways take it up within seconds." in text(answer)
    assert "What changes" in text(answer)
    assert "removed: limited added: high risk" in text(answer), "what was before is still told"
    held = Workflow.objects.get(pk=cast.workflow.pk)
    assert (held.risk, held.retention_days, held.regions) == ("high", 7, ["eu"])
    page = text(signed_in(cast.auditor).get(reverse("workflow", args=[slug])))
    assert f"All of this is so by change {change.number}" in page
    assert "Propose another risk" not in page


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"title": ""}, "This field is required"),
        ({"rationale": ""}, "This field is required"),
        ({"data_class": "restricted"}, "could not serve"),
        ({"retention_days": "-1"}, "greater than or equal"),
        ({"risk": "unacceptable"}, "valid choice"),
    ],
)
def test_what_does_not_fit_is_named_and_what_was_typed_stays(cast: Cast, fields: dict[str, Any], said: str) -> None:
    before = AuditEvent.objects.count()
    answer = signed_in(cast.owner).post(reverse("entry_new", args=[cast.workflow.slug]), typed(**fields))
    assert answer.status_code == 422
    assert said in text(answer)
    assert "It decides about money now" in answer.content.decode()
    assert not Change.objects.filter(kind="workflow").exists()
    assert AuditEvent.objects.count() == before


def test_a_change_of_an_entry_is_revised_on_its_own_page(cast: Cast) -> None:
    change = approve(make_entry(cast, risk="high"), cast.second_lead)
    address = reverse("entry_revise", args=[change.pk])
    assert signed_in(cast.integrator).get(reverse("change_revise", args=[change.pk])).headers["location"] == address
    form = signed_in(cast.integrator).get(address).context["form"]
    assert (form["risk"].value(), form["note"].value()) == ("high", "It was looked at again")
    assert signed_in(cast.integrator).post(address, typed(retention_days="3")).status_code == 302
    change = Change.objects.for_list().get(pk=change.pk)
    assert (change.revision.number, change.state, change.title) == (2, "in_review", "Another entry")
    policy = make_change(cast, 0.6)
    assert signed_in(cast.integrator).get(reverse("entry_revise", args=[policy.pk])).status_code == 404


def test_the_list_of_changes_is_filtered_by_kind(cast: Cast) -> None:
    entry = make_entry(cast, risk="high")
    changes.propose_approval_rules(document={"rules": [{"name": "A"}]}, title="Rules", note="", by=cast.lead)
    page = signed_in(cast.lead).get(reverse("changes") + "?kind=workflow")
    assert [change for change, *_rest in page.context["rows"]] == [entry]
    assert "workflow entry" in text(page)
    rows = file(signed_in(cast.lead).get(reverse("changes_csv") + "?kind=workflow"))
    assert [(row["number"], row["kind"], row["workflow_slug"]) for row in rows] == [
        (str(entry.number), "workflow", cast.workflow.slug)
    ]
    assert signed_in(cast.lead).get(reverse("changes") + "?kind=nothing").status_code == 422


def test_coordination_tells_entries_by_their_kind(cast: Cast) -> None:
    changes.activate(change=approve(make_entry(cast, risk="high"), cast.owner), by=cast.lead)
    page = signed_in(cast.lead).get(reverse("coordination"))
    assert "Workflow entry" in text(page)
    assert "kind=workflow" in page.content.decode()
