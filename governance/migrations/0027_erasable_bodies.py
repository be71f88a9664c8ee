"""Let the personal part of an audit entry be erased, once and told, by a function that can do nothing else."""

import governance.models.guards
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

# It acts with the rights of the audit role, so the application needs none on the table but to add and to read.
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


def enable_always(apps, schema_editor):
    """Let the triggers hold for a session in replication mode too, which skips ordinary ones."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT quote_ident(tgname) FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgrelid = 'governance_auditbody'::regclass"
        )
        for (trigger,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE governance_auditbody ENABLE ALWAYS TRIGGER {trigger}")


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0026_gateways_without_bundles'),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL ROLE smallfirst_audit", "RESET ROLE"),
        pgtrigger.migrations.RemoveTrigger(
            model_name='auditbody',
            name='append_only',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditbody',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='86c6a8cb5d2f20d69027bb09e02ff6eb9abfc1d4', operation='DELETE', pgid='pgtrigger_kept_a945e', table='governance_auditbody', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditbody',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.event_id IS DISTINCT FROM OLD.event_id THEN RAISE EXCEPTION '% rows keep their event_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='f28cddc3e3556c2208c551e783ac8f01318ff8dc', operation='UPDATE', pgid='pgtrigger_fixed_columns_5cd3e', table='governance_auditbody', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditbody',
            trigger=pgtrigger.compiler.Trigger(name='erased_once', sql=governance.models.guards.GuardSql(func="\n                    IF OLD.erased_at IS NOT NULL OR NEW.erased_at IS NULL THEN\n                        RAISE EXCEPTION '% rows are never changed, only erased, and once', TG_TABLE_NAME\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='32c15d0eec7b2ed0317f6b33ca9104ad0e04632a', operation='UPDATE', pgid='pgtrigger_erased_once_dadcc', table='governance_auditbody', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditbody',
            trigger=pgtrigger.compiler.Trigger(name='erasure_told', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n                    IF NOT EXISTS (\n                        SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()\n                            AND object_id = NEW.event_id::text AND object_type || '' = 'auditevent'\n                            AND action = 'audit_bodies.erase'\n                    ) THEN\n                        RAISE EXCEPTION 'a body was erased without an audit event in the same transaction'\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NULL;\n                ", hash='43541aaf7fd9dd3a622b0f7720b02ea034fd0bb5', operation='UPDATE', pgid='pgtrigger_erasure_told_19cf0', table='governance_auditbody', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.RunPython(enable_always, migrations.RunPython.noop),
        migrations.RunSQL(ERASE, "DROP FUNCTION governance_erase_auditbody(uuid, timestamptz)"),
        migrations.RunSQL("RESET ROLE", "SET LOCAL ROLE smallfirst_audit"),
    ]
