"""Gateways and their credentials."""

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
        ('governance', '0003_audit_owner'),
    ]

    operations = [
        migrations.CreateModel(
            name='Gateway',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('name', models.CharField(max_length=120, unique=True)),
                ('sha256', models.CharField(max_length=64, unique=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('last_seen_at', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='gateways', to='governance.environment')),
                ('revoked_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('sha256__regex', '^[0-9a-f]{64}$')), name='gateway_sha256_form', violation_error_message="A credential's hash is 64 hexadecimal digits."), models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='gateway_name_given', violation_error_message='Give the gateway a name.'), models.CheckConstraint(condition=models.Q(('revoked_by', None), ('revoked_at__isnull', False), _connector='OR'), name='gateway_revoked_by_and_at', violation_error_message='Who revoked a gateway stands only with the time.')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='gateway',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='cdb70cc256a6f6b36b65efcfe4976be1e2503073', operation='DELETE', pgid='pgtrigger_kept_994b5', table='governance_gateway', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='gateway',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='f1583fd3a24979919ea06183405c32482deccd56', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_211b9', table='governance_gateway', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='gateway',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.name IS DISTINCT FROM OLD.name OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.sha256 IS DISTINCT FROM OLD.sha256 OR NEW.created_by_id IS DISTINCT FROM OLD.created_by_id THEN RAISE EXCEPTION '% rows keep their id, name, environment_id, sha256, created_by_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='a1de067dbf399e2b01418a30b67fc80425177981', operation='UPDATE', pgid='pgtrigger_fixed_columns_f85ad', table='governance_gateway', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='gateway',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.revoked_at IS DISTINCT FROM OLD.revoked_at OR NEW.revoked_by_id IS DISTINCT FROM OLD.revoked_by_id) THEN RETURN NULL; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='731ac0ba0a461ffb723a8e9e07c443c7d847563b', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_e73c8', table='governance_gateway', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
