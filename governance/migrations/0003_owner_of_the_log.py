"""Give the tables of the audit log to a role of their own: the application may add to them and read them, nothing more.

A later migration that alters them runs `SET LOCAL ROLE smallfirst_audit` first and `RESET ROLE` last.
"""

from django.db import migrations

TABLES = (
    "governance_auditevent",
    "governance_auditbody",
    "governance_auditepoch",
    "governance_auditleaf",
    "governance_auditnode",
    "governance_auditcheckpoint",
    "governance_auditsample",
)

# Erases the personal part of an entry, once, and can do nothing else. It acts with the rights of the audit role, so the
# application needs none on the table but to add and to read.
ERASE = """
    CREATE FUNCTION governance_erase_auditbody(event uuid, at timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
        BEGIN
            UPDATE governance_auditbody SET salt = NULL, content = NULL, erased_at = at
            WHERE event_id = event AND erased_at IS NULL;
            RETURN FOUND;
        END;
    $$;
    REVOKE ALL ON FUNCTION governance_erase_auditbody(uuid, timestamptz) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION governance_erase_auditbody(uuid, timestamptz) TO smallfirst_app;
"""


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

    # Installations from before these were one go on with them.
    replaces = [
        ('governance', '0001_governance'),
        ('governance', '0002_audit'),
        ('governance', '0003_audit_owner'),
        ('governance', '0004_gateways'),
        ('governance', '0005_workflow_register'),
        ('governance', '0006_probes'),
        ('governance', '0007_provider_accounts'),
        ('governance', '0008_session_rounds'),
        ('governance', '0009_reviewbody_kept'),
        ('governance', '0010_audit_log'),
        ('governance', '0011_anchors'),
        ('governance', '0012_brakes'),
        ('governance', '0013_approval_rules'),
        ('governance', '0014_requirement'),
        ('governance', '0015_stops'),
        ('governance', '0016_appointments'),
        ('governance', '0017_audited_rows'),
        ('governance', '0018_rollbacks'),
        ('governance', '0019_checks'),
        ('governance', '0020_emergencies'),
        ('governance', '0021_delegations'),
        ('governance', '0022_comments'),
        ('governance', '0023_webhooks'),
        ('governance', '0024_required_checks'),
        ('governance', '0025_audit_samples'),
        ('governance', '0026_gateways_without_bundles'),
        ('governance', '0027_erasable_bodies'),
    ]

    dependencies = [
        ('governance', '0002_functions'),
    ]

    operations = [
        migrations.RunPython(hand_over, migrations.RunPython.noop),
        migrations.RunSQL("SET LOCAL ROLE smallfirst_audit", "RESET ROLE"),
        migrations.RunSQL(ERASE, "DROP FUNCTION governance_erase_auditbody(uuid, timestamptz)"),
        migrations.RunSQL("RESET ROLE", "SET LOCAL ROLE smallfirst_audit"),
    ]
