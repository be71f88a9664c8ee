"""Adding, editing and retiring workflows."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from governance import accounts, workflows
from governance.errors import InvalidInput
from governance.models import AuditEvent, PolicyHead, Step, Workflow
from tests.cast import Cast, make_cast, make_live

pytestmark = pytest.mark.django_db


def facts(cast: Cast, **given: Any) -> dict[str, Any]:
    """All that a workflow takes."""
    return {
        "slug": "refunds",
        "name": "Refunds",
        "purpose": "Adds up what is paid back",
        "team": cast.team,
        "owner": cast.owner,
        "risk": "high",
        "data_class": "confidential",
    } | given


def test_a_lead_adds_a_workflow_with_its_steps() -> None:
    cast = make_cast()
    made = workflows.create(by=cast.lead, **facts(cast, deputy=cast.reviewer, cost_centre="4711"))
    first = workflows.add_step(workflow=made, name="sum", purpose="Adds", by=cast.owner)
    second = workflows.add_step(workflow=made, name="check", purpose="Checks", by=cast.owner)
    assert [first.position, second.position] == [1, 2]
    assert list(made.steps.all()) == [first, second]
    assert (AuditEvent.objects.about(made).get().after or {})["data_class"] == "confidential"
    assert AuditEvent.objects.about(second).get().team == cast.team.pk


@pytest.mark.parametrize("who", ["owner", "reviewer", "finance", "integrator", "auditor", "admin", "stranger"])
def test_only_leads_in_scope_add_workflows(who: str) -> None:
    cast = make_cast()
    with pytest.raises(accounts.NotPermitted):
        workflows.create(by=cast.people[who], **facts(cast))
    assert Workflow.objects.count() == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"slug": "Re Funds"}, "slug"),
        ({"slug": "customer-feedback"}, "already"),
        ({"risk": "unacceptable"}, "risk"),
        ({"data_class": "secret"}, "data_class"),
        ({"name": ""}, "name"),
        ({"retention_days": -1}, "retention_days"),
    ],
)
def test_bad_input_is_named_and_nothing_written(given: dict[str, Any], words: str) -> None:
    cast = make_cast()
    events = AuditEvent.objects.count()
    with pytest.raises(InvalidInput, match=words):
        workflows.create(by=cast.lead, **facts(cast, **given))
    assert (Workflow.objects.count(), AuditEvent.objects.count()) == (1, events)


def test_the_owner_is_not_his_own_deputy() -> None:
    cast = make_cast()
    with pytest.raises(InvalidInput, match="someone else"):
        workflows.create(by=cast.lead, **facts(cast, deputy=cast.owner))


def test_steps_are_named_once_in_a_workflow() -> None:
    cast = make_cast()
    for name, position in (("sentiment", None), ("*", None), ("later", 1)):
        with pytest.raises(InvalidInput):
            workflows.add_step(workflow=cast.workflow, name=name, purpose="x", position=position, by=cast.owner)
    assert Step.objects.filter(workflow=cast.workflow).count() == 2
    with pytest.raises(accounts.NotPermitted):
        workflows.add_step(workflow=cast.workflow, name="other", purpose="x", by=cast.stranger)


def test_an_owner_edits_what_his_workflow_is_called_and_the_audit_says_what() -> None:
    cast = make_cast()
    held = cast.workflow
    given: dict[str, Any] = {
        "name": held.name,
        "purpose": "Hears customers",
        "owner": held.owner,
        "deputy": None,
        "retention_days": 7,
        "cost_centre": None,
        "people_affected": "",
        "rationale": "",
        "review_due": None,
    }
    edited = workflows.edit(workflow=held, by=cast.owner, **given)
    assert (edited.purpose, edited.retention_days) == ("Hears customers", 7)
    event = AuditEvent.objects.about(held).get(action="workflows.edit")
    assert event.summary == "Changed purpose, retention_days of Customer feedback"
    workflows.edit(workflow=held, by=cast.owner, **given)
    assert AuditEvent.objects.about(held).filter(action="workflows.edit").count() == 1
    with pytest.raises(accounts.NotPermitted):
        workflows.edit(workflow=held, by=cast.integrator, **given)


def test_a_retired_workflow_leaves_the_bundles() -> None:
    cast = make_cast()
    make_live(cast)
    assert PolicyHead.objects.live_in(cast.production).count() == 1
    workflows.retire(workflow=cast.workflow, reason="closed", by=cast.owner)
    assert not PolicyHead.objects.live_in(cast.production)
    assert not Workflow.objects.in_use()
    with pytest.raises(InvalidInput, match="already"):
        workflows.retire(workflow=cast.workflow, reason="closed", by=cast.owner)


def test_a_workflow_keeps_its_slug_and_team() -> None:
    cast = make_cast()
    for change in ({"slug": "other"}, {"team": cast.elsewhere}):
        with pytest.raises(IntegrityError, match="keep their"), transaction.atomic():
            Workflow.objects.filter(pk=cast.workflow.pk).update(**change)


def test_the_list_of_workflows_takes_two_queries(django_assert_num_queries: Any) -> None:
    cast = make_cast()
    make_live(cast)
    workflows.create(by=cast.lead, **facts(cast))
    with django_assert_num_queries(2):
        shown = list(Workflow.objects.visible_to(cast.owner).with_heads())
        assert [[head.version.number for head in each.heads.all()] for each in shown] == [[1], []]
        assert shown[0].owner.name == "Owner"
        assert shown[0].heads.all()[0].environment.name == "production"
