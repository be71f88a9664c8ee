"""Entries of workflows on two connections: none slips past the first policy that becomes live, nor past its votes."""

from typing import Any

from psycopg import errors

from config.up.services import Postgres
from governance import changes, entries, workflows
from governance.models import Change, ContentHead, Workflow
from tests.at_once import at_once, while_held
from tests.cast import Cast, approve, make_cast, make_change, make_entry, make_live

AUDIT = """
    INSERT INTO governance_auditevent (id, at, actor_kind, actor_id, actor_name, action, object_type, object_id,
        object_name, outcome, summary, reason, schema, entry_hash)
    VALUES (gen_random_uuid(), now(), 'service', 'x', 'x', 'x.x', %(noun)s, %(about)s, 'x', 'done', 'x', '', 1,
        repeat('0', 64))
"""
MOVE = """
    UPDATE governance_contenthead SET change_id = %(change)s, content_id = (
        SELECT r.content_id FROM governance_change c JOIN governance_revision r ON r.id = c.revision_id
        WHERE c.id = %(change)s
    ) WHERE workflow_id = %(workflow)s
"""
APPLY = """
    UPDATE governance_change SET state = 'applied', applied_at = now(), applied_by_id = proposed_by_id
    WHERE id = %(change)s
"""
WRITE = "UPDATE governance_workflow SET risk = 'minimal' WHERE id = %(workflow)s"


def write(cast: Cast, risk: str) -> Workflow:
    """The owner writes another risk, as he may while nothing is live."""
    held = Workflow.objects.get(pk=cast.workflow.pk)
    kept = {name: getattr(held, name) for name in ("name", "purpose", "owner", "deputy", "cost_centre", "review_due")}
    return workflows.edit(workflow=held, by=cast.owner, risk=risk, **kept)


def consistent(cast: Cast) -> None:
    """The row says what is live by votes, where there was a change."""
    head = ContentHead.objects.filter(workflow=cast.workflow).select_related("content").first()
    if head is not None and head.content is not None:
        assert entries.of(Workflow.objects.get(pk=cast.workflow.pk)) == head.content.document


def test_who_writes_an_entry_waits_for_the_first_policy_and_is_refused(live_database: Any) -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    result, waited = while_held(lambda: changes.activate(change=change, by=cast.lead), lambda: write(cast, "high"))
    assert waited
    assert isinstance(result, workflows.EntryGoverned)
    assert Workflow.objects.get(pk=cast.workflow.pk).risk == "limited"


def test_the_first_policy_waits_for_who_writes_an_entry(live_database: Any) -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    result, waited = while_held(lambda: write(cast, "high"), lambda: changes.activate(change=change, by=cast.lead))
    assert waited
    assert isinstance(result, Change)
    assert Workflow.objects.get(pk=cast.workflow.pk).risk == "high"


def test_of_two_activations_of_one_entry_exactly_one_wins(live_database: Any) -> None:
    cast = make_cast()
    make_live(cast)
    one, other = (approve(make_entry(cast, retention_days=days), cast.owner) for days in (1, 2))
    results = at_once(
        lambda: changes.activate(change=one, by=cast.lead), lambda: changes.activate(change=other, by=cast.owner)
    )
    (winner,) = [each for each in results if isinstance(each, Change)]
    assert [type(each) for each in results if each is not winner] == [changes.StaleBase]
    consistent(cast)


def test_two_first_proposals_make_one_head(live_database: Any) -> None:
    cast = make_cast()
    make_live(cast)
    results = at_once(*[lambda days=days: make_entry(cast, retention_days=days) for days in (1, 2, 3)])
    assert all(isinstance(each, Change) for each in results)
    assert ContentHead.objects.filter(workflow=cast.workflow).count() == 1
    assert (
        len(
            {
                each.revision.base_content_id
                for each in Change.objects.select_related("revision")
                if each.revision.content_id
            }
        )
        == 1
    )


def test_an_edit_of_the_change_while_it_becomes_live_leaves_no_content_without_votes(live_database: Any) -> None:
    cast = make_cast()
    make_live(cast)
    change = approve(make_entry(cast, risk="high"), cast.owner)
    sneaked = entries.of(Workflow.objects.get(pk=cast.workflow.pk)) | {"rationale": "None", "risk": "minimal"}
    for _ in range(3):
        at_once(
            lambda: changes.revise(change=change, document=sneaked, by=cast.integrator),
            lambda: changes.activate(change=change, by=cast.lead),
        )
    assert Workflow.objects.get(pk=cast.workflow.pk).risk != "minimal"
    consistent(cast)


def test_a_superuser_of_the_database_passes_no_entry_of_his_own(live_database: Any, postgres: Postgres) -> None:
    cast = make_cast()
    make_live(cast)
    change = make_entry(cast, risk="minimal")
    given = {"change": change.pk, "workflow": cast.workflow.pk}
    told = [
        (AUDIT, {"noun": "change", "about": str(change.pk)}),
        (AUDIT, {"noun": "workflow", "about": str(cast.workflow.pk)}),
    ]
    refused: list[str] = []
    with postgres.connect(live_database.name) as admin:
        for statements in (
            (APPLY, MOVE),
            ("UPDATE governance_change SET state = 'approved' WHERE id = %(change)s", APPLY, MOVE),
            (WRITE,),
            (MOVE,),
        ):
            try:
                with admin.transaction():
                    for statement, about in told:
                        admin.execute(statement, about)
                    for statement in statements:
                        admin.execute(statement, given)
            except errors.CheckViolation as error:
                refused.append(str(error.diag.message_primary))
    assert refused == [
        f"change {change.number} cannot go from in_review to applied",
        f"change {change.number} has 0 of 1 votes, 0 against",
        "the entry of customer-feedback says otherwise than what is live by its changes",
        "a content head moves only to the content of an applied change of its place",
    ]
    assert Workflow.objects.get(pk=cast.workflow.pk).risk == "limited"
