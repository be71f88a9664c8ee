"""Rules that PostgreSQL itself keeps, for the shell and raw SQL as much as for the verbs."""

from collections.abc import Iterable, Mapping

import pgtrigger
from django.db import models
from pgtrigger import compiler

# A refusal looks to Django and its forms like that of a check constraint.
REFUSED = " USING ERRCODE = 'check_violation';"

# Ends the appointment of a change that has another content now, or has ended. Whitespace counts: migrations keep it.
ENDS_APPOINTMENTS = """
                    UPDATE governance_appointment SET ended_at = clock_timestamp(),
                        state = CASE
                            WHEN NEW.revision_id <> OLD.revision_id THEN 'cancelled'
                            WHEN NEW.state = 'applied' THEN 'kept'
                            WHEN NEW.state = 'stale' THEN 'suspended'
                            ELSE 'cancelled'
                        END,
                        why = CASE WHEN NEW.state = 'stale' AND NEW.revision_id = OLD.revision_id
                            THEN 'Another change became live in its place first. Revise it, and ask for votes anew.'
                            ELSE ''
                        END
                    WHERE change_id = NEW.id AND state = 'waiting' AND (
                        NEW.revision_id <> OLD.revision_id
                        OR NEW.state IN ('applied', 'stale', 'rejected', 'withdrawn', 'expired')
                    );
                    RETURN NULL;
                """


class GuardSql(compiler.UpsertTriggerSql):
    """A trigger's SQL without pgtrigger's way round it.

    Triggers as pgtrigger writes them stand aside when the session sets `pgtrigger.ignore`, which any role may do.
    """

    def get_template(self) -> str:
        """The SQL that makes the function and the trigger."""
        return """
            CREATE OR REPLACE FUNCTION {pgid}()
            RETURNS TRIGGER AS $$
                {declare}
                BEGIN
                    {func}
                END;
            $$ LANGUAGE plpgsql;

            DROP TRIGGER IF EXISTS {pgid} ON {table};
            CREATE {constraint} TRIGGER {pgid}
                {when} {operation} ON {table}
                {timing}
                {referencing}
                FOR EACH {level} {condition}
                EXECUTE PROCEDURE {execute};

            COMMENT ON TRIGGER {pgid} ON {table} IS '{hash}';
        """


class Guard(pgtrigger.Trigger):
    """A trigger that nobody who may write to the table can turn off. Its refusals are check violations (23514)."""

    def compile(self, model: models.Model) -> compiler.Trigger:
        """Return the trigger for the migration."""
        return compiler.Trigger(
            name=self.name,
            sql=GuardSql(
                pgid=self.get_pgid(model),
                declare=self.render_declare(model),
                func=self.render_func(model),
                table=model._meta.db_table,
                constraint="CONSTRAINT" if self.timing else "",
                when=self.when,
                operation=self.operation,
                timing=f"DEFERRABLE INITIALLY {self.timing}" if self.timing else "",
                level=self.level,
                condition=self.render_condition(model),
                execute=self.render_execute(model),
            ),
        )


def append_only() -> list[Guard]:
    """Rows that are written once: no update, no delete, no truncate."""
    return [
        Guard(
            name="append_only",
            when=pgtrigger.Before,
            operation=pgtrigger.Update | pgtrigger.Delete,
            func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME" + REFUSED,
        ),
        _no_truncate(),
    ]


def kept(*, fixed: Iterable[str] = ()) -> list[Guard]:
    """Rows that stay: no delete, no truncate, and the named columns keep their first value."""
    guards = [
        Guard(
            name="kept",
            when=pgtrigger.Before,
            operation=pgtrigger.Delete,
            func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME" + REFUSED,
        ),
        _no_truncate(),
    ]
    columns = list(fixed)
    if columns:
        changed = " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in columns)
        guards.append(
            Guard(
                name="fixed_columns",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func=f"IF {changed} THEN "
                f"RAISE EXCEPTION '% rows keep their {', '.join(columns)}', TG_TABLE_NAME{REFUSED} END IF; RETURN NEW;",
            )
        )
    return guards


def audited(*columns: str, within: Mapping[str, str] | None = None) -> Guard:
    """A write that commits only together with an audit event of the same transaction about that very row.

    With columns, updates that leave all of them alone are free (a sign-in stamps the time of the last one). `within`
    names the other nouns whose event tells of the row as well, because one verb writes several rows: each with the id,
    or the query for the ids, of those rows as text, where NEW is the row written, also for one that was deleted.
    """
    watched = " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in columns)
    skip = f"IF TG_OP = 'UPDATE' AND NOT ({watched}) THEN RETURN NULL; END IF;" if columns else ""
    own = {"split_part(TG_TABLE_NAME, '_', 2)": "NEW.id::text"}
    named = own | {f"'{noun}'": ids for noun, ids in (within or {}).items()}
    # By transaction and object, which one index finds; the noun joined to nothing keeps the planner from another, where
    # an object that is often written would have all of its past read.
    silent = " AND ".join(
        "NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()"
        f" AND object_id IN ({ids}) AND object_type || '' = {noun})"
        for noun, ids in named.items()
    )
    return Guard(
        name="audited",
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        timing=pgtrigger.Deferred,
        func=skip
        + f"""
            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;
            IF {silent} THEN
                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        """,
    )


def _no_truncate() -> Guard:
    return Guard(
        name="no_truncate",
        level=pgtrigger.Statement,
        when=pgtrigger.Before,
        operation=pgtrigger.Truncate,
        func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME" + REFUSED,
    )
