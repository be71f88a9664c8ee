"""The log is only ever added to, and nothing governed is written past it: grants, triggers, commits."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import IntegrityError, ProgrammingError, connection, models, transaction
from django.utils import timezone
from psycopg import errors

from config.up.services import Postgres
from governance import audit
from governance.models import ApiKey, AuditEvent, Change, Model, ModelVersion, Team, User, Workflow
from tests.cast import BOOTSTRAP, make_cast, make_change, make_key, make_person, make_team

OF_THE_LOG = (
    "UPDATE governance_auditevent SET summary = 'other'",
    "DELETE FROM governance_auditevent",
    "TRUNCATE governance_auditevent CASCADE",
    "UPDATE governance_auditbody SET content = '{}'",
    "DELETE FROM governance_auditbody",
    "ALTER TABLE governance_auditevent DISABLE TRIGGER ALL",
    "DROP TABLE governance_auditevent CASCADE",
    "SET session_replication_role = replica",
    "SET ROLE smallfirst_audit",
)


@pytest.mark.django_db
@pytest.mark.parametrize("statement", OF_THE_LOG)
def test_the_application_can_only_add_and_read(statement: str) -> None:
    make_person("Someone")
    before = list(AuditEvent.objects.values())
    with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as sql:
        sql.execute(statement)
    assert list(AuditEvent.objects.values()) == before


def test_neither_can_the_migrator_nor_the_owner_nor_a_superuser_in_replication_mode(
    live_database: Any, postgres: Postgres
) -> None:
    make_person("Someone")
    with psycopg.connect(live_database.migrator_url, autocommit=True) as migrator:
        for statement in OF_THE_LOG[:6]:
            with pytest.raises(errors.InsufficientPrivilege):
                migrator.execute(statement)
        migrator.execute("SET ROLE smallfirst_audit")
        for statement in OF_THE_LOG[:5]:
            with pytest.raises(errors.CheckViolation, match="never"):
                migrator.execute(statement)
    with postgres.connect(live_database.name) as admin:
        admin.execute("SET session_replication_role = replica")
        for statement in OF_THE_LOG[:5]:
            with pytest.raises(errors.CheckViolation, match="never"):
                admin.execute(statement)
    assert AuditEvent.objects.count() == 1


def test_no_governed_row_commits_without_an_entry(live_database: Any) -> None:
    cast = make_cast()
    change, (key, _token) = make_change(cast), make_key(cast)
    writes: dict[str, Callable[[], object]] = {
        "queryset update": lambda: Workflow.objects.filter(pk=cast.workflow.pk).update(purpose="Other"),
        "save": lambda: Team(name="Silent", slug="silent").save(),
        "bulk create": lambda: Team.objects.bulk_create([Team(name="A", slug="a"), Team(name="B", slug="b")]),
        "revoke": lambda: ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now()),
        "retire": lambda: Model.objects.filter(pk=cast.models[0].pk).update(state="retired"),
        "withdraw": lambda: Change.objects.filter(pk=change.pk).update(state="withdrawn"),
        "promote": lambda: User.objects.filter(pk=cast.stranger.pk).update(email="other@example.com"),
        "grant": lambda: cast.stranger.grants.update(valid_until=timezone.now()),
    }
    for name, write in writes.items():
        with pytest.raises(IntegrityError, match="without an audit event"):
            write()
        with pytest.raises(IntegrityError, match="without an audit event"), transaction.atomic():
            write()
        assert Workflow.objects.get().purpose == cast.workflow.purpose, name
    assert not Team.objects.filter(slug__in=["silent", "a", "b"]).exists()
    assert ApiKey.objects.get().revoked_at is None

    with transaction.atomic():
        writes["queryset update"]()
        audit.record(action="workflows.edit", actor=BOOTSTRAP, object=cast.workflow, summary="By hand")
    assert Workflow.objects.get().purpose == "Other"


# Rows that one verb writes together: by their tables, the table that the entry is about.
WITHIN = {
    **dict.fromkeys(("revision", "contributor", "vote", "ratification", "policyversion", "policyhead"), "change"),
    **dict.fromkeys(("content", "contenthead"), "change endpoint"),
    "endpoint": "change",
    "modelversion": "model",
    "price": "price",
    "baseline": "baseline",
    "sample": "sampleset",
    **dict.fromkeys(("appointment", "rollback", "emergency", "hindsight", "check", "comment"), "change"),
    "preference": "user",
    "workflow": "change",
}


def governed() -> list[type[models.Model]]:
    """Every table whose rows commit only with an entry."""
    triggers = {model: getattr(model._meta, "triggers", ()) for model in apps.get_models()}
    return [model for model, found in triggers.items() if any(each.name == "audited" for each in found)]


@pytest.mark.django_db
def test_every_governed_table_asks_for_an_entry_about_its_row() -> None:
    asked = set()
    with connection.cursor() as sql:
        for model in governed():
            table, noun = model._meta.db_table, str(model._meta.model_name)
            sql.execute(
                "SELECT prosrc FROM pg_proc WHERE proname LIKE 'pgtrigger_audited_%%' AND oid IN "
                "(SELECT tgfoid FROM pg_trigger WHERE tgrelid = %s::regclass)",
                [table],
            )
            ((source,),) = sql.fetchall()
            assert "split_part(TG_TABLE_NAME, '_', 2)" in source, table
            nouns = set(re.findall(r"object_type \|\| '' = '(\w+)'", source))
            assert nouns == set(WITHIN.get(noun, "").split()), table
            asked.add(noun)
    assert len(asked) > 25
    assert set(WITHIN) <= asked


def together(write: Callable[[], object], about: models.Model) -> None:
    """A write and an entry about something, in one transaction."""
    with transaction.atomic():
        write()
        audit.record(action="test.write", actor=BOOTSTRAP, object=about, summary="By hand")


def test_a_row_does_not_commit_with_the_entry_of_another(live_database: Any) -> None:
    cast = make_cast()
    change = make_change(cast)
    other, (key, _token) = make_team("Other"), make_key(cast)
    writes: dict[models.Model, dict[str, Any]] = {
        cast.workflow: {"purpose": "Other"},
        cast.team: {"name": "Else"},
        cast.stranger: {"email": "other@example.com"},
        key: {"revoked_at": timezone.now()},
        cast.models[0]: {"state": "retired"},
        change: {"state": "withdrawn"},
        cast.owner.grants.get(): {"valid_until": timezone.now()},
        cast.models[0].versions.get(): {"is_current": False},
    }
    for row, values in writes.items():
        rows = type(row)._base_manager.filter(pk=row.pk)
        before = rows.values().get()
        with pytest.raises(IntegrityError, match="without an audit event"):
            together(partial(rows.update, **values), about=other)
        assert rows.values().get() == before
    # A version of a model is told of by the model's entry; a model not by that of its version.
    model, version = cast.models[1], cast.models[1].versions.get()
    together(lambda: ModelVersion.objects.filter(pk=version.pk).update(is_current=False), about=model)
    with pytest.raises(IntegrityError, match="without an audit event"):
        together(lambda: Model.objects.filter(pk=model.pk).update(title="Other"), about=version)
    assert Model.objects.get(pk=model.pk).title == model.title


def test_signing_in_is_no_governed_write(live_database: Any) -> None:
    person = make_person("Someone")
    person.last_login = timezone.now()
    person.save(update_fields=["last_login"])
    person.save()
    assert User.objects.get().last_login is not None


def test_an_entry_of_another_transaction_does_not_do(live_database: Any) -> None:
    team = make_team("Team")
    with pytest.raises(IntegrityError, match="without an audit event"):
        Team.objects.filter(pk=team.pk).update(name="Other")


def test_an_entry_outside_a_transaction_is_a_mistake(live_database: Any) -> None:
    team = make_team("Team")
    with pytest.raises(RuntimeError, match="inside the transaction"):
        audit.record(action="teams.try", actor=BOOTSTRAP, object=team, summary="Tried")
    assert AuditEvent.objects.count() == 1
