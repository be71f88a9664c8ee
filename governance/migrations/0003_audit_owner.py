"""Give the audit tables to a role of their own: the application may add to them and read them, nothing more.

A later migration that alters them runs `SET LOCAL ROLE smallfirst_audit` first and `RESET ROLE` last.
"""

from django.db import migrations

TABLES = ("governance_auditevent", "governance_auditbody")


def hand_over(apps, schema_editor):
    """Change owners and grants. Raises RuntimeError where docs/database_roles.sql was not run."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = 'smallfirst_audit'")
        if cursor.fetchone() is None:
            raise RuntimeError("this database has no role smallfirst_audit: run docs/database_roles.sql on it first")
        cursor.execute(
            "SELECT tgrelid::regclass::text, quote_ident(tgname), tgfoid::regprocedure::text FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgrelid = ANY (%s::regclass[])",
            [list(TABLES)],
        )
        guards = cursor.fetchall()
        for _table, _trigger, function in guards:
            cursor.execute(f"ALTER FUNCTION {function} OWNER TO smallfirst_audit")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} OWNER TO smallfirst_audit")
        cursor.execute("SET LOCAL ROLE smallfirst_audit")
        for table, trigger, _function in guards:
            # ALWAYS: also for a session in replication mode, which skips ordinary triggers.
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
        for table in TABLES:
            cursor.execute(f"REVOKE ALL ON {table} FROM PUBLIC, smallfirst_app, smallfirst_migrator")
            # The migrator adds events too, for rows that a later migration changes.
            cursor.execute(f"GRANT SELECT, INSERT ON {table} TO smallfirst_app, smallfirst_migrator")
        cursor.execute("RESET ROLE")


class Migration(migrations.Migration):

    dependencies = [
        ("governance", "0002_audit"),
    ]

    operations = [
        migrations.RunPython(hand_over, migrations.RunPython.noop),
    ]
