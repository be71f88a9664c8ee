"""What PostgreSQL refuses by itself, to the shell, to raw SQL and to its own superuser: content nobody voted for."""

from dataclasses import dataclass
from typing import Any

import pgtrigger
import pytest
from django.db import IntegrityError, connection, transaction
from psycopg import errors

from config.up.services import Postgres
from governance import registry
from governance.models import Change, PolicyHead, Revision
from tests.cast import approve, make_cast, make_change, make_live

((_model, guard),) = pgtrigger.registered("governance.PolicyHead:moves_by_votes")
GUARD = guard.get_pgid(_model)


@dataclass(frozen=True)
class Attempt:
    """An attempt to move a head in one transaction, and what refuses it."""

    statements: tuple[str, ...]
    refusal: str


AUDIT = """
    INSERT INTO governance_auditevent (id, at, actor_kind, actor_id, actor_name, action, object_type, object_id,
        object_name, outcome, summary, reason, schema, entry_hash)
    VALUES (gen_random_uuid(), now(), 'service', 'x', 'x', 'x.x', 'x', 'x', 'x', 'done', 'x', '', 1, repeat('0', 64))
"""
MOVE = """
    INSERT INTO governance_policyhead (id, created_at, workflow_id, environment_id, version_id, mode, change_id)
    SELECT gen_random_uuid(), now(), c.workflow_id, c.environment_id, r.version_id, r.mode, c.id
    FROM governance_change c JOIN governance_revision r ON r.id = c.revision_id WHERE c.id = %(change)s
"""
APPLY = """
    UPDATE governance_change SET state = 'applied', applied_at = now(), applied_by_id = %(author)s
    WHERE id = %(change)s
"""
APPROVE = "UPDATE governance_change SET state = 'approved' WHERE id = %(change)s"
OWN_VOTE = """
    INSERT INTO governance_vote (id, created_at, revision_id, digest, voter_id, number, choice, reason)
    SELECT gen_random_uuid(), now(), r.id, r.payload_digest, %(author)s, 1, 'approve', ''
    FROM governance_revision r JOIN governance_change c ON c.revision_id = r.id WHERE c.id = %(change)s
"""
OTHER_DIGEST = OWN_VOTE.replace("r.payload_digest", "repeat('0', 64)").replace("%(author)s", "%(owner)s")
ATTEMPTS = {
    "not applied": Attempt((MOVE,), "only to the version of an applied change"),
    "applied without being approved": Attempt((APPLY, MOVE), "cannot go from in_review to applied"),
    "approved without votes": Attempt((APPROVE, APPLY, MOVE), "has 0 of 1 votes"),
    "voted for by the author": Attempt((OWN_VOTE, APPROVE, APPLY, MOVE), "nobody votes on change"),
    "voted for with another digest": Attempt((OTHER_DIGEST, APPROVE, APPLY, MOVE), "has another content by now"),
    "fewer votes needed": Attempt(
        ("UPDATE governance_environment SET votes_needed = 0", APPROVE, APPLY, MOVE), "keep their"
    ),
    "an easier rule": Attempt(
        ("UPDATE governance_revision SET rule = '{\"votes_needed\": 0}'", APPROVE, APPLY, MOVE), "never changed"
    ),
    "another author": Attempt(
        ("UPDATE governance_change SET proposed_by_id = %(owner)s WHERE id = %(change)s", OWN_VOTE), "keep their"
    ),
    "no contributor": Attempt(("DELETE FROM governance_contributor", OWN_VOTE), "never changed or deleted"),
    "marked applied only": Attempt((APPROVE, APPLY, AUDIT), "but nothing moved"),
    "guards told to stand aside": Attempt(
        (f"SET LOCAL pgtrigger.ignore = '{{{GUARD}}}'", MOVE), "only to the version of an applied"
    ),
}


def run(statements: tuple[str, ...], given: dict[str, Any]) -> None:
    """All in one transaction, up to its commit."""
    with transaction.atomic(), connection.cursor() as sql:
        for statement in statements:
            sql.execute(statement, given)
        sql.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.django_db
@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_raw_sql_moves_no_head(attempt: Attempt) -> None:
    cast = make_cast()
    change = make_change(cast)
    given = {"change": change.pk, "author": cast.integrator.pk, "owner": cast.owner.pk}
    with pytest.raises(IntegrityError, match=attempt.refusal):
        run(attempt.statements, given)
    assert not PolicyHead.objects.exists()


@pytest.mark.django_db
def test_raw_sql_moves_a_head_by_the_votes_of_others_as_the_verb_does() -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    run((APPLY, MOVE), {"change": change.pk, "author": cast.integrator.pk})
    assert PolicyHead.objects.get().change == change


@pytest.mark.django_db
def test_the_shell_moves_no_head_either() -> None:
    cast = make_cast()
    head = make_live(cast)
    change = make_change(cast, 0.6)
    version = change.revision.policy
    for write in (
        lambda: PolicyHead.objects.filter(pk=head.pk).update(version=version),
        lambda: PolicyHead.objects.filter(pk=head.pk).update(version=version, change=change),
        lambda: PolicyHead.objects.filter(pk=head.pk).update(mode="observe"),
        lambda: head.delete(),
        lambda: PolicyHead.objects.create(
            workflow=cast.workflow, environment=cast.production, version=version, mode="enforce", change=change
        ),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            write()
    assert PolicyHead.objects.get().version == head.version


@pytest.mark.django_db
def test_a_head_does_not_go_back_by_an_applied_change() -> None:
    cast = make_cast()
    first = make_live(cast, 0.8)
    make_live(cast, 0.7)
    with pytest.raises(IntegrityError, match="another version than the live one"), transaction.atomic():
        PolicyHead.objects.update(version=first.version, change=first.change)


@pytest.mark.django_db
def test_a_head_takes_no_change_of_another_environment() -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    other = registry.add_environment(name="other", votes_needed=0, position=99, by=cast.lead)
    Change.objects.filter(pk=change.pk).update(state="applied", applied_at=change.created_at, applied_by=cast.lead)
    head = PolicyHead(
        workflow=cast.workflow, environment=other, version=change.revision.policy, mode="enforce", change=change
    )
    with pytest.raises(IntegrityError, match="another workflow or environment"), transaction.atomic():
        head.save()
    PolicyHead.objects.create(
        workflow=cast.workflow, environment=cast.production, version=head.version, mode="enforce", change=change
    )


@pytest.mark.django_db
def test_a_change_that_has_ended_is_left_alone() -> None:
    cast = make_cast()
    change = make_live(cast).change
    for write in ({"title": "Other"}, {"state": "in_review", "applied_at": None, "applied_by": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Change.objects.filter(pk=change.pk).update(**write)
    first = Revision.objects.get()
    second = Revision(
        change=change,
        number=2,
        version=first.version,
        mode="enforce",
        payload_digest=first.payload_digest,
        rule={"votes_needed": 0},
        created_by=cast.lead,
    )
    with pytest.raises(IntegrityError, match="has ended"), transaction.atomic():
        second.save()


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["vote", "revision", "contributor", "policyversion"])
def test_votes_and_what_was_voted_on_are_written_once(table: str) -> None:
    cast = make_cast()
    make_live(cast)
    for statement in ("UPDATE governance_{} SET created_at = now()", "DELETE FROM governance_{}"):
        with pytest.raises(IntegrityError, match="never changed"):
            run((statement.format(table),), {})


def test_a_superuser_of_the_database_moves_no_head_and_leaves_no_gap(live_database: Any, postgres: Postgres) -> None:
    cast = make_cast()
    change = make_change(cast)
    given = {"change": change.pk, "author": cast.integrator.pk}
    refused: list[str] = []
    with postgres.connect(live_database.name) as admin:
        for statements in ((APPROVE, APPLY, MOVE), (APPROVE,), ("TRUNCATE governance_vote",)):
            try:
                with admin.transaction():
                    for statement in statements:
                        admin.execute(statement, given)
            except errors.CheckViolation as error:
                refused.append(str(error.diag.message_primary))
    assert refused == [
        f"change {change.number} has 0 of 1 votes, 0 against",
        "governance_change was written without an audit event in the same transaction",
        "governance_vote rows are never deleted",
    ]
    assert Change.objects.get().state == "in_review"
