"""How often all sessions of a person were ended."""

import governance.models.guards
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0007_provider_accounts'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='user',
            name='audited',
        ),
        migrations.AddField(
            model_name='user',
            name='session_round',
            field=models.PositiveIntegerField(default=0, verbose_name='how often all sessions were ended'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='user',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.email IS DISTINCT FROM OLD.email OR NEW.name IS DISTINCT FROM OLD.name OR NEW.time_zone IS DISTINCT FROM OLD.time_zone OR NEW.is_active IS DISTINCT FROM OLD.is_active OR NEW.session_round IS DISTINCT FROM OLD.session_round) THEN RETURN NULL; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='9d67bc9f7f1a3b8764f1e0ca95bfb748ec741b44', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_a457b', table='governance_user', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
