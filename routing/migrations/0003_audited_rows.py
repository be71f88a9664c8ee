"""A governed row commits only with an event about that very row."""

import governance.models.guards
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0017_audited_rows'),
        ('routing', '0002_evaluations'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='bundle',
            name='audited',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='evaluation',
            name='audited',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='evaluationschedule',
            name='audited',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='sample',
            name='audited',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='sampleset',
            name='audited',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='bundle',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.serial IS DISTINCT FROM OLD.serial) THEN RETURN NULL; END IF;\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='36293044348c160d642e3ecb3adf5d227738f791', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_85cd8', table='routing_bundle', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='evaluation',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.ended_at IS DISTINCT FROM OLD.ended_at) THEN RETURN NULL; END IF;\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='4ac80b46ce76affdf50b5c50de577cd88a20032c', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_3ce36', table='routing_evaluation', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='evaluationschedule',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.cron IS DISTINCT FROM OLD.cron OR NEW.sample_set_id IS DISTINCT FROM OLD.sample_set_id OR NEW.ended_at IS DISTINCT FROM OLD.ended_at) THEN RETURN NULL; END IF;\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='d809832373da230f0b03eedfc7b4dae5c9adc87f', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_f4d38', table='routing_evaluationschedule', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='sample',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.sample_set_id::text) AND object_type || '' = 'sampleset') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='7c675b38370010d0d6b822d39b31a65aa3602e71', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_049c7', table='routing_sample', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='sampleset',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='a114f95c8106fc825e2d6f2c49ebfb11db8fa66e', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_d2198', table='routing_sampleset', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
