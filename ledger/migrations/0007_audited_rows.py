"""A governed row commits only with an event about that very row."""

import governance.models.guards
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0017_audited_rows'),
        ('ledger', '0006_usageevent_newest'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='baseline',
            name='audited',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='price',
            name='audited',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='baseline',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT id::text FROM ledger_baseline WHERE workflow_id = NEW.workflow_id) AND object_type || '' = 'baseline') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='5b02a5bde411b1a4f951c3bebb7f8ffc19ff7b34', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_2faef', table='ledger_baseline', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='price',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT id::text FROM ledger_price other WHERE other.endpoint_id = NEW.endpoint_id OR (other.provider, other.model) = (NEW.provider, NEW.model)) AND object_type || '' = 'price') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='410b455035f09b9d18f89ba06030727042930900', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_f9a32', table='ledger_price', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
