"""Audit events and their bodies."""

import django.db.models.deletion
import governance.models.audit
import governance.models.guards
import governance.models.ids
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0001_governance'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEvent',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('xid', governance.models.audit.TransactionIdField(db_default=governance.models.audit.CurrentTransaction(), editable=False)),
                ('at', models.DateTimeField()),
                ('actor_kind', models.CharField(choices=[('person', 'Person'), ('service', 'Service')], max_length=10)),
                ('actor_id', models.CharField(max_length=80)),
                ('actor_name', models.CharField(max_length=120)),
                ('on_behalf_of', models.CharField(max_length=80, null=True)),
                ('auth_method', models.CharField(max_length=40, null=True)),
                ('ip', models.CharField(max_length=45, null=True)),
                ('request_id', models.CharField(max_length=120, null=True)),
                ('action', models.CharField(max_length=60)),
                ('object_type', models.CharField(max_length=60)),
                ('object_id', models.CharField(max_length=80)),
                ('object_name', models.CharField(max_length=250)),
                ('object_version', models.CharField(max_length=80, null=True)),
                ('team', models.UUIDField(null=True)),
                ('outcome', models.CharField(choices=[('done', 'Done'), ('refused', 'Refused')], max_length=10)),
                ('summary', models.TextField()),
                ('reason', models.TextField()),
                ('before', models.JSONField(null=True)),
                ('after', models.JSONField(null=True)),
                ('body_digest', models.CharField(max_length=64, null=True, verbose_name='sha256 of salt and body')),
                ('schema', models.PositiveSmallIntegerField()),
                ('entry_hash', models.CharField(max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='AuditBody',
            fields=[
                ('event', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='body', serialize=False, to='governance.auditevent')),
                ('salt', models.BinaryField(null=True)),
                ('content', models.JSONField(null=True)),
                ('erased_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['xid', 'id'], name='auditevent_xid'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['-at', '-id'], name='auditevent_at'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['object_type', 'object_id', '-at'], name='auditevent_object'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['actor_id', '-at'], name='auditevent_actor'),
        ),
        migrations.AddConstraint(
            model_name='auditevent',
            constraint=models.CheckConstraint(condition=models.Q(('actor_kind__in', ['person', 'service'])), name='auditevent_actor_kind_known', violation_error_message='An actor is a person or a service.'),
        ),
        migrations.AddConstraint(
            model_name='auditevent',
            constraint=models.CheckConstraint(condition=models.Q(('outcome__in', ['done', 'refused'])), name='auditevent_outcome_known', violation_error_message='An act is done or refused.'),
        ),
        migrations.AddConstraint(
            model_name='auditevent',
            constraint=models.CheckConstraint(condition=models.Q(('entry_hash__regex', '^[0-9a-f]{64}$'), models.Q(('body_digest', None), ('body_digest__regex', '^[0-9a-f]{64}$'), _connector='OR')), name='auditevent_digests_form', violation_error_message='A digest is 64 hexadecimal digits.'),
        ),
        migrations.AddConstraint(
            model_name='auditevent',
            constraint=models.CheckConstraint(condition=models.Q(('action__regex', '^[a-z_]+\\.[a-z_]+$'), models.Q(('summary', ''), _negated=True), models.Q(('actor_id', ''), _negated=True), models.Q(('object_id', ''), _negated=True)), name='auditevent_says_what', violation_error_message='An event names actor, object and act, and says in a sentence what was done.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditevent',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='bee3ac8879e6f034bc7f3a771d7eee19e85f5129', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_7f355', table='governance_auditevent', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditevent',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='70cac91de3f51d1fe18972840a6ed6c6fce30caf', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_27c37', table='governance_auditevent', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='auditbody',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('content__isnull', False), ('erased_at', None), ('salt__isnull', False)), models.Q(('content', None), ('erased_at__isnull', False), ('salt', None)), _connector='OR'), name='auditbody_there_or_erased', violation_error_message='A body is there, or it is erased whole and says when.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditbody',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='6c1cb0cd98515bd60a8fda04fa32be4be4e6b46d', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_6c9b5', table='governance_auditbody', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditbody',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='78abb2c2d7fe8066dd9f1eadc9d356d8e1e977bd', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_35059', table='governance_auditbody', when='BEFORE')),
        ),
    ]
