"""Probes of endpoints; names of models whose parts begin with a letter or digit."""

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
        ('governance', '0005_workflow_register'),
    ]

    operations = [
        migrations.CreateModel(
            name='Probe',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('url', models.CharField(max_length=400, verbose_name='its address at that time')),
                ('outcome', models.CharField(choices=[('listed', 'Lists the model'), ('answered', 'The model answered'), ('not_listed', 'Does not list the model'), ('key_missing', 'Asks for a key'), ('key_refused', 'Refused the key'), ('not_found', 'Nothing at this address'), ('refused', 'Refused the connection'), ('unknown_host', 'No such host'), ('timeout', 'No answer in time'), ('tls', 'Not secure'), ('forbidden', 'Never asked'), ('failed', 'Failed')], max_length=20)),
                ('text', models.TextField(verbose_name='what came of it, in words')),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='model',
            name='model_name_form',
        ),
        migrations.AddConstraint(
            model_name='model',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '^[a-z0-9][a-z0-9._:-]*(/[a-z0-9][a-z0-9._:-]*)*$'), models.Q(('name', 'auto'), _negated=True)), name='model_name_form', violation_error_message='Write the name in lower case letters, digits and . _ : / -, each part beginning with a letter or digit; auto is taken.'),
        ),
        migrations.AddField(
            model_name='probe',
            name='endpoint',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='probes', to='governance.endpoint'),
        ),
        migrations.AddField(
            model_name='probe',
            name='tried_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='probe',
            index=models.Index(fields=['endpoint', '-created_at'], name='probe_newest'),
        ),
        migrations.AddConstraint(
            model_name='probe',
            constraint=models.CheckConstraint(condition=models.Q(('outcome__in', ['listed', 'answered', 'not_listed', 'key_missing', 'key_refused', 'not_found', 'refused', 'unknown_host', 'timeout', 'tls', 'forbidden', 'failed'])), name='probe_outcome_known', violation_error_message='Choose one of the outcomes.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='probe',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='0612654e6e2e288399e9736b8ce6d2d60c9c2f9a', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_33b91', table='governance_probe', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='probe',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='872911d6d73e01b99d82939880038e0b94b7f160', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_af9de', table='governance_probe', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='probe',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='7692befdba7a6e14f2df8bfe0a36468143892ff7', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_33289', table='governance_probe', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
