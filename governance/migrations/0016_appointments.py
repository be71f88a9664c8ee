"""Appointments: when an approved change becomes live by itself, ended by a trigger of the change."""

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
        ('governance', '0015_stops'),
    ]

    operations = [
        migrations.CreateModel(
            name='Appointment',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('at', models.DateTimeField()),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('kept', 'Kept'), ('suspended', 'Suspended'), ('cancelled', 'Cancelled')], default='waiting', max_length=20)),
                ('why', models.TextField(blank=True, default='')),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='change',
            trigger=pgtrigger.compiler.Trigger(name='ends_appointments', sql=governance.models.guards.GuardSql(func="\n                    UPDATE governance_appointment SET ended_at = clock_timestamp(),\n                        state = CASE\n                            WHEN NEW.revision_id <> OLD.revision_id THEN 'cancelled'\n                            WHEN NEW.state = 'applied' THEN 'kept'\n                            WHEN NEW.state = 'stale' THEN 'suspended'\n                            ELSE 'cancelled'\n                        END,\n                        why = CASE WHEN NEW.state = 'stale' AND NEW.revision_id = OLD.revision_id\n                            THEN 'Another change became live in its place first. Revise it, and ask for votes anew.'\n                            ELSE ''\n                        END\n                    WHERE change_id = NEW.id AND state = 'waiting' AND (\n                        NEW.revision_id <> OLD.revision_id\n                        OR NEW.state IN ('applied', 'stale', 'rejected', 'withdrawn', 'expired')\n                    );\n                    RETURN NULL;\n                ", hash='b779736e288e073c1abfcf4418c7e4138af5292e', operation='UPDATE', pgid='pgtrigger_ends_appointments_eb719', table='governance_change', when='AFTER')),
        ),
        migrations.AddField(
            model_name='appointment',
            name='by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='appointment',
            name='change',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='appointments', to='governance.change'),
        ),
        migrations.AddField(
            model_name='appointment',
            name='environment',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.environment'),
        ),
        migrations.AddField(
            model_name='appointment',
            name='revision',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.revision'),
        ),
        migrations.AddField(
            model_name='appointment',
            name='workflow',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.workflow'),
        ),
        migrations.AddIndex(
            model_name='appointment',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['at'], name='appointment_waiting'),
        ),
        migrations.AddConstraint(
            model_name='appointment',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'waiting')), fields=('workflow', 'environment'), name='appointment_one_waits', nulls_distinct=False, violation_error_message='Another change is to become live there by itself already.'),
        ),
        migrations.AddConstraint(
            model_name='appointment',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'kept', 'suspended', 'cancelled'])), name='appointment_state_known', violation_error_message='An appointment waits, is kept, suspended or cancelled.'),
        ),
        migrations.AddConstraint(
            model_name='appointment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('state', 'waiting')), models.Q(models.Q(('state', 'waiting'), _negated=True), ('ended_at__isnull', False)), _connector='OR'), name='appointment_ended_when', violation_error_message='An appointment that waits no longer says since when.'),
        ),
        migrations.AddConstraint(
            model_name='appointment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'suspended'), models.Q(('why', ''), _negated=True)), models.Q(models.Q(('state', 'suspended'), _negated=True), ('why', '')), _connector='OR'), name='appointment_suspended_why', violation_error_message='An appointment that was suspended says why, another one does not.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='appointment',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='7327510c7b1d16b8c04ce99ed14d3e4a7b3ccbac', operation='DELETE', pgid='pgtrigger_kept_b986b', table='governance_appointment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='appointment',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='067812c2ff7fac731db09b453cacb94bd5bbc801', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_7fb0c', table='governance_appointment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='appointment',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.change_id IS DISTINCT FROM OLD.change_id OR NEW.revision_id IS DISTINCT FROM OLD.revision_id OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.at IS DISTINCT FROM OLD.at OR NEW.by_id IS DISTINCT FROM OLD.by_id OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN RAISE EXCEPTION '% rows keep their id, change_id, revision_id, workflow_id, environment_id, at, by_id, created_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='cf59def719804c08b45143929734b292b607d439', operation='UPDATE', pgid='pgtrigger_fixed_columns_b5f8f', table='governance_appointment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='appointment',
            trigger=pgtrigger.compiler.Trigger(name='of_approved', sql=governance.models.guards.GuardSql(declare='DECLARE change governance_change%ROWTYPE;', func="\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF TG_OP = 'INSERT' THEN\n                        IF NEW.state <> 'waiting' OR NEW.at <= clock_timestamp() THEN\n                            RAISE EXCEPTION 'an appointment begins before its moment'\n                                USING ERRCODE = 'check_violation';\n                        END IF;\n                        IF change.state <> 'approved' OR change.revision_id <> NEW.revision_id\n                            OR change.workflow_id IS DISTINCT FROM NEW.workflow_id\n                            OR change.environment_id IS DISTINCT FROM NEW.environment_id\n                        THEN\n                            RAISE EXCEPTION 'change % is not approved with this content for this place', change.number\n                                USING ERRCODE = 'check_violation';\n                        END IF;\n                    ELSIF OLD.state <> 'waiting' THEN\n                        RAISE EXCEPTION 'this appointment has ended' USING ERRCODE = 'check_violation';\n                    ELSIF NEW.state = 'kept'\n                        AND (change.state <> 'applied' OR change.revision_id <> NEW.revision_id)\n                    THEN\n                        RAISE EXCEPTION 'change % did not become live', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='f4335b3aa7691e8f69d8a52207eba7322c60210b', operation='INSERT OR UPDATE', pgid='pgtrigger_of_approved_e4e6b', table='governance_appointment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='appointment',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='d4733149490dc6ae462d9b57a2ff49bb494e5417', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_b33d1', table='governance_appointment', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
