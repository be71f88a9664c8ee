"""What is taken out of traffic at once, without a vote."""


import django.db.models.deletion
import django.utils.timezone
import governance.models.guards
import governance.models.ids
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0014_requirement'),
    ]

    operations = [
        migrations.CreateModel(
            name='Stop',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('reason', models.TextField(max_length=2000)),
                ('lifted_at', models.DateTimeField(blank=True, null=True)),
                ('lifted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('model', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='stops', to='governance.model')),
                ('stopped_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workflow', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='stops', to='governance.workflow')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('workflow', None), ('model', None), _connector='OR'), name='stop_of_one', violation_error_message='Stop a workflow, or a model, or everything.'), models.UniqueConstraint(condition=models.Q(('lifted_at', None)), fields=('workflow', 'model'), name='stop_once', nulls_distinct=False, violation_error_message='This is stopped already.'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='stop_reason_given', violation_error_message='Say why it is stopped.'), models.CheckConstraint(condition=models.Q(models.Q(('lifted_at', None), ('lifted_by', None)), models.Q(('lifted_at__isnull', False), ('lifted_by__isnull', False)), _connector='OR'), name='stop_lifted_by_and_at', violation_error_message='Who lifted a stop stands with the time.')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='stop',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='a8334b674f561defbef6e64a9507d726ab4ba542', operation='DELETE', pgid='pgtrigger_kept_66251', table='governance_stop', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='stop',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='fe3c875593a0b449790ca9d028153d113139cf84', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_0d528', table='governance_stop', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='stop',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.model_id IS DISTINCT FROM OLD.model_id OR NEW.reason IS DISTINCT FROM OLD.reason OR NEW.stopped_by_id IS DISTINCT FROM OLD.stopped_by_id OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN RAISE EXCEPTION '% rows keep their id, workflow_id, model_id, reason, stopped_by_id, created_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='ebb9a912c7294eb6340596c6f8c118b392ede115', operation='UPDATE', pgid='pgtrigger_fixed_columns_dfd49', table='governance_stop', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='stop',
            trigger=pgtrigger.compiler.Trigger(name='lifted_once', sql=governance.models.guards.GuardSql(func="\n                    IF OLD.lifted_at IS NOT NULL AND NEW IS DISTINCT FROM OLD THEN\n                        RAISE EXCEPTION 'this stop was lifted' USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='a23d38c5fbeece8c3e81bec842e39b1009fa053f', operation='UPDATE', pgid='pgtrigger_lifted_once_aaf2c', table='governance_stop', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='stop',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='08a75e13e16f27e948ec7f8e295f49efa219ad9e', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_da971', table='governance_stop', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
