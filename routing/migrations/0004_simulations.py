"""Simulations: past requests decided again under two policies, and what came out."""

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
        ('governance', '0019_checks'),
        ('routing', '0003_audited_rows'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Simulation',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('base_mode', models.CharField(choices=[('observe', 'Observes'), ('enforce', 'Enforces')], max_length=10)),
                ('document', models.JSONField()),
                ('mode', models.CharField(choices=[('observe', 'Observes'), ('enforce', 'Enforces')], max_length=10)),
                ('days', models.PositiveSmallIntegerField()),
                ('since', models.DateTimeField()),
                ('until', models.DateTimeField()),
                ('requests', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('queued', 'Waits for its turn'), ('running', 'Running'), ('done', 'Done'), ('cancelled', 'Cancelled'), ('failed', 'Broke off')], default='queued', max_length=10)),
                ('told', models.PositiveIntegerField(default=0)),
                ('after', models.UUIDField(blank=True, null=True)),
                ('so_far', models.TextField(blank=True, default='')),
                ('token', models.UUIDField(blank=True, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('started_at', models.DateTimeField(blank=True, null=True, verbose_name='first taken')),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('trouble', models.TextField(blank=True, default='')),
                ('result', models.TextField(blank=True, default='')),
                ('digest', models.CharField(blank=True, default='', max_length=64, verbose_name='sha256 of the result')),
                ('base_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.policyversion')),
                ('ended_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.environment')),
                ('revision', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='simulations', to='governance.revision')),
                ('snapshot', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='routing.snapshot')),
                ('started_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workflow', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.workflow')),
            ],
            options={
                'indexes': [models.Index(fields=['revision', '-created_at'], name='simulation_of_revision'), models.Index(fields=['-created_at', '-id'], name='simulation_listed')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['queued', 'running']), ('revision__isnull', False)), fields=('revision',), name='simulation_one_at_a_time', violation_error_message='This revision is being simulated already.'), models.UniqueConstraint(condition=models.Q(('state__in', ['queued', 'running']), ('revision', None)), fields=('started_by', 'workflow'), name='simulation_one_for_each', violation_error_message='A simulation of yours of this workflow is going on already.'), models.CheckConstraint(condition=models.Q(('days__range', (1, 90)), ('since__lt', models.F('until'))), name='simulation_of_some_days', violation_error_message='Simulate 1 to 90 days.'), models.CheckConstraint(condition=models.Q(('revision__isnull', False), ('started_by__isnull', False), _connector='OR'), name='simulation_asked_for', violation_error_message='A simulation is of a change, or somebody asked for it.'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('started_at', None), ('state', 'queued')), models.Q(('ended_at', None), ('started_at__isnull', False), ('state', 'running')), models.Q(('ended_at__isnull', False), ('started_at__isnull', False), ('state', 'done')), models.Q(('ended_at__isnull', False), ('state__in', ['cancelled', 'failed'])), _connector='OR'), name='simulation_state_whole', violation_error_message='A state stands with its times.'), models.CheckConstraint(condition=models.Q(models.Q(('digest__regex', '^[0-9a-f]{64}$'), ('state', 'done'), models.Q(('result', ''), _negated=True)), models.Q(models.Q(('state', 'done'), _negated=True), ('digest', ''), ('result', '')), _connector='OR'), name='simulation_done_found_something', violation_error_message='One that is done has a result with its digest, another one has none.'), models.CheckConstraint(condition=models.Q(('ended_by', None), ('state', 'cancelled'), _connector='OR'), name='simulation_ended_by_cancelling', violation_error_message='A person ends a simulation only by cancelling it.'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'failed'), models.Q(('trouble', ''), _negated=True)), models.Q(models.Q(('state', 'failed'), _negated=True), ('trouble', '')), _connector='OR'), name='simulation_failed_why', violation_error_message='One that broke off says why.'), models.CheckConstraint(condition=models.Q(('token', None), models.Q(('leased_until__isnull', False), ('state__in', ['queued', 'running'])), _connector='OR'), name='simulation_lease_whole', violation_error_message='Who has a simulation has it until a moment, and while it goes on.')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='simulation',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='4e2a192b53960f321fbd4e7d11b6ae4f9b4321ec', operation='DELETE', pgid='pgtrigger_kept_6e4e3', table='routing_simulation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='simulation',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='9ffeac6d8cbb36743a3b6dde10a5249a731335e3', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_19d67', table='routing_simulation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='simulation',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.created_at IS DISTINCT FROM OLD.created_at OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.revision_id IS DISTINCT FROM OLD.revision_id OR NEW.base_version_id IS DISTINCT FROM OLD.base_version_id OR NEW.base_mode IS DISTINCT FROM OLD.base_mode OR NEW.document IS DISTINCT FROM OLD.document OR NEW.mode IS DISTINCT FROM OLD.mode OR NEW.snapshot_id IS DISTINCT FROM OLD.snapshot_id OR NEW.days IS DISTINCT FROM OLD.days OR NEW.since IS DISTINCT FROM OLD.since OR NEW.until IS DISTINCT FROM OLD.until OR NEW.started_by_id IS DISTINCT FROM OLD.started_by_id THEN RAISE EXCEPTION '% rows keep their id, created_at, workflow_id, environment_id, revision_id, base_version_id, base_mode, document, mode, snapshot_id, days, since, until, started_by_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='eb59ce7a2c671452dde95ad66fb5bfc9d68320fa', operation='UPDATE', pgid='pgtrigger_fixed_columns_b581e', table='routing_simulation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='simulation',
            trigger=pgtrigger.compiler.Trigger(name='ends_once', sql=governance.models.guards.GuardSql(func="\n                    IF OLD.ended_at IS NOT NULL THEN\n                        RAISE EXCEPTION 'simulation % has ended', OLD.id USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='53279b15a87c7c866095740c08273300e1bd3d45', operation='UPDATE', pgid='pgtrigger_ends_once_dec15', table='routing_simulation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='simulation',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.ended_at IS DISTINCT FROM OLD.ended_at) THEN RETURN NULL; END IF;\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='4ca50b7d27836289e9c306128fb86c5b0e8f99d2', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_7b214', table='routing_simulation', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
