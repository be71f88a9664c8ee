"""Tables, constraints and guards of people, register, workflows, policies, changes and reviews."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.text
import django.utils.timezone
import governance.models.accounts
import governance.models.guards
import governance.models.ids
import pgtrigger.compiler
import pgtrigger.migrations
import uuid
from django.conf import settings
from django.contrib.postgres.operations import BtreeGistExtension
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        BtreeGistExtension(),
        migrations.RunSQL("CREATE SEQUENCE governance_change_number AS bigint", "DROP SEQUENCE governance_change_number"),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('name', models.CharField(max_length=120)),
                ('prefix', models.CharField(max_length=8, unique=True, verbose_name='first letters')),
                ('sha256', models.CharField(max_length=64, unique=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Change',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('kind', models.CharField(choices=[('policy', 'Policy')], default='policy', max_length=20)),
                ('number', models.BigIntegerField(db_default=models.Func(models.Value('governance_change_number'), function='nextval', output_field=models.BigIntegerField()), editable=False, unique=True)),
                ('title', models.CharField(max_length=200)),
                ('state', models.CharField(choices=[('in_review', 'In review'), ('approved', 'Approved'), ('applied', 'Applied'), ('rejected', 'Rejected'), ('withdrawn', 'Withdrawn'), ('stale', 'Stale')], max_length=20)),
                ('applied_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Contributor',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
        ),
        migrations.CreateModel(
            name='Endpoint',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('url', models.CharField(max_length=400)),
                ('upstream_model', models.CharField(max_length=200, verbose_name='name at the provider')),
                ('region', models.CharField(max_length=40)),
                ('hosting', models.CharField(choices=[('self', 'Self-hosted'), ('hosted', 'Hosted')], max_length=10)),
                ('secret', models.CharField(blank=True, max_length=120, null=True, verbose_name='where the gateway finds the secret')),
                ('logprobs', models.BooleanField(default=False, verbose_name='gives logprobs')),
                ('timeout_ms', models.PositiveIntegerField(default=30000)),
                ('position', models.PositiveSmallIntegerField(default=1)),
                ('active', models.BooleanField(default=True)),
            ],
        ),
        migrations.CreateModel(
            name='Environment',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('name', models.SlugField(max_length=40, unique=True)),
                ('votes_needed', models.PositiveSmallIntegerField()),
                ('position', models.PositiveSmallIntegerField(unique=True)),
            ],
            options={
                'ordering': ['position'],
            },
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('role', models.CharField(choices=[('viewer', 'Viewer'), ('reviewer', 'Reviewer'), ('owner', 'Workflow owner'), ('lead', 'Governance lead'), ('finance', 'Finance'), ('integrator', 'Integrator'), ('auditor', 'Auditor'), ('admin', 'Administrator')], max_length=20)),
                ('valid_from', models.DateTimeField(default=django.utils.timezone.now)),
                ('valid_until', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Model',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('name', models.CharField(max_length=80, unique=True)),
                ('title', models.CharField(max_length=120)),
                ('tier', models.CharField(choices=[('small', 'Small'), ('mid', 'Mid'), ('frontier', 'Frontier')], max_length=10)),
                ('purpose', models.TextField()),
                ('supplier', models.CharField(max_length=120)),
                ('licence', models.CharField(max_length=80)),
                ('hosting', models.CharField(choices=[('self', 'Self-hosted'), ('hosted', 'Hosted')], max_length=10)),
                ('state', models.CharField(choices=[('active', 'Active'), ('retired', 'Retired')], default='active', max_length=10)),
            ],
        ),
        migrations.CreateModel(
            name='ModelVersion',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('version', models.CharField(max_length=80)),
                ('digest', models.CharField(blank=True, max_length=64, null=True, verbose_name='sha256 of the weights')),
                ('context_tokens', models.PositiveIntegerField()),
                ('data_classes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('public', 'Public'), ('internal', 'Internal'), ('confidential', 'Confidential'), ('restricted', 'Restricted')], max_length=20), size=None)),
                ('regions', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), size=None)),
                ('is_current', models.BooleanField(default=True)),
            ],
        ),
        migrations.CreateModel(
            name='PolicyHead',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('mode', models.CharField(choices=[('enforce', 'Enforces')], max_length=10)),
            ],
        ),
        migrations.CreateModel(
            name='PolicyVersion',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('number', models.PositiveIntegerField()),
                ('document', models.JSONField()),
                ('digest', models.CharField(max_length=64, verbose_name='sha256 of the canonical document')),
                ('note', models.TextField(blank=True, default='')),
            ],
        ),
        migrations.CreateModel(
            name='Provider',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('name', models.CharField(max_length=120, unique=True)),
                ('slug', models.SlugField(max_length=60, unique=True)),
                ('kind', models.CharField(choices=[('openai', 'OpenAI-compatible')], default='openai', max_length=20)),
                ('metered_by', models.CharField(choices=[('gateway', 'Smallfirst gateway')], default='gateway', max_length=20)),
            ],
        ),
        migrations.CreateModel(
            name='Review',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('decision', models.UUIDField(verbose_name="the engine's decision that asked for it")),
                ('step', models.CharField(max_length=200)),
                ('run', models.CharField(blank=True, max_length=200, null=True)),
                ('request_digest', models.CharField(max_length=64, verbose_name='sha256 of the request')),
                ('reason_code', models.CharField(max_length=200)),
                ('reason_text', models.TextField()),
                ('title', models.CharField(max_length=200)),
                ('role', models.CharField(choices=[('viewer', 'Viewer'), ('reviewer', 'Reviewer'), ('owner', 'Workflow owner'), ('lead', 'Governance lead'), ('finance', 'Finance'), ('integrator', 'Integrator'), ('auditor', 'Auditor'), ('admin', 'Administrator')], max_length=20, verbose_name='who may take it')),
                ('respond_by', models.DateTimeField(verbose_name='answer wanted by')),
                ('expires_at', models.DateTimeField(verbose_name='ends by itself at')),
                ('on_expiry', models.JSONField(verbose_name='what the application is told then')),
                ('answer', models.JSONField(verbose_name='what an answer looks like: type, options, schema')),
                ('opened_at', models.DateTimeField(verbose_name='opened at the gateway')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='arrived here')),
                ('status', models.CharField(choices=[('open', 'Open'), ('claimed', 'Claimed'), ('answered', 'Answered'), ('expired', 'Expired'), ('cancelled', 'Cancelled')], default='open', max_length=12)),
                ('claim_token', models.UUIDField(blank=True, null=True)),
                ('claimed_until', models.DateTimeField(blank=True, null=True)),
                ('outcome', models.CharField(blank=True, choices=[('answer', 'Answered'), ('refuse', 'Refused')], max_length=10, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('delivered_at', models.DateTimeField(blank=True, null=True, verbose_name='fetched by the application')),
            ],
        ),
        migrations.CreateModel(
            name='Revision',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('number', models.PositiveIntegerField()),
                ('mode', models.CharField(choices=[('enforce', 'Enforces')], max_length=10)),
                ('payload_digest', models.CharField(max_length=64, verbose_name='sha256 of what is voted on')),
                ('rule', models.JSONField()),
            ],
        ),
        migrations.CreateModel(
            name='Step',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('name', models.CharField(max_length=60)),
                ('position', models.PositiveSmallIntegerField()),
                ('purpose', models.TextField()),
            ],
            options={
                'ordering': ['position'],
            },
        ),
        migrations.CreateModel(
            name='Team',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('name', models.CharField(max_length=120, unique=True)),
                ('slug', models.SlugField(max_length=60, unique=True)),
            ],
        ),
        migrations.CreateModel(
            name='Vote',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('digest', models.CharField(max_length=64, verbose_name='sha256 of what the voter saw')),
                ('number', models.PositiveSmallIntegerField(verbose_name="which of this person's votes on this revision")),
                ('choice', models.CharField(choices=[('approve', 'Approved'), ('request_changes', 'Asked for changes'), ('reject', 'Rejected'), ('abstain', 'Abstained'), ('withdraw', 'Took the vote back')], max_length=20)),
                ('reason', models.TextField(blank=True, default='')),
            ],
        ),
        migrations.CreateModel(
            name='Workflow',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('slug', models.SlugField(max_length=60, unique=True)),
                ('name', models.CharField(max_length=120, unique=True)),
                ('purpose', models.TextField()),
                ('risk', models.CharField(choices=[('minimal', 'Minimal'), ('limited', 'Limited'), ('high', 'High')], max_length=12)),
                ('data_class', models.CharField(choices=[('public', 'Public'), ('internal', 'Internal'), ('confidential', 'Confidential'), ('restricted', 'Restricted')], max_length=20)),
                ('retention_days', models.PositiveSmallIntegerField(default=30, verbose_name='days that prompts and answers are kept')),
                ('cost_centre', models.CharField(blank=True, max_length=40, null=True)),
                ('retired_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('email', models.EmailField(max_length=254, unique=True, verbose_name='e-mail address')),
                ('name', models.CharField(max_length=120)),
                ('time_zone', models.CharField(default='UTC', max_length=64)),
                ('is_active', models.BooleanField(default=True, verbose_name='may sign in')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('email', django.db.models.functions.text.Lower('email'))), name='user_email_lower_case', violation_error_message='Write the e-mail address in lower case.'), models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='user_name_given', violation_error_message='Give the person a name.')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='user',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='6ea220fb9fb718ecfeda9c26df1926761a63cdef', operation='DELETE', pgid='pgtrigger_kept_efab9', table='governance_user', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='user',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='52ab2c9eecaa372ae87e059178a202379f3bc6e7', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_e604b', table='governance_user', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='user',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN RAISE EXCEPTION '% rows keep their id, created_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='49cfda6a89031a49b2f35a4ed22db3b5768d5472', operation='UPDATE', pgid='pgtrigger_fixed_columns_8ec88', table='governance_user', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='user',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.email IS DISTINCT FROM OLD.email OR NEW.name IS DISTINCT FROM OLD.name OR NEW.time_zone IS DISTINCT FROM OLD.time_zone OR NEW.is_active IS DISTINCT FROM OLD.is_active) THEN RETURN NULL; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='7541f40fdcc5653556e6db7c5e62395872cfdc0a', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_a457b', table='governance_user', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddField(
            model_name='apikey',
            name='created_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='apikey',
            name='revoked_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='change',
            name='applied_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='change',
            name='proposed_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='proposed_changes', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='contributor',
            name='change',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='contributors', to='governance.change'),
        ),
        migrations.AddField(
            model_name='contributor',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='environment',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '^[a-z0-9]+(-[a-z0-9]+)*$')), name='environment_name_form', violation_error_message='Write the name in lower case letters, digits and single hyphens.'),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='environment',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='endpoints', to='governance.environment'),
        ),
        migrations.AddField(
            model_name='change',
            name='environment',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='changes', to='governance.environment'),
        ),
        migrations.AddField(
            model_name='apikey',
            name='environment',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='keys', to='governance.environment'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='environment',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='a4f87fce2cfd9bf7657275a52e87e3dfb1b86621', operation='DELETE', pgid='pgtrigger_kept_dad8b', table='governance_environment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='environment',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='19e0cb3b2991867385cf06360d2a92687d543a79', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_79603', table='governance_environment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='environment',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.name IS DISTINCT FROM OLD.name OR NEW.votes_needed IS DISTINCT FROM OLD.votes_needed THEN RAISE EXCEPTION '% rows keep their id, name, votes_needed', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='1dc20fe423a464030b00b0f79089591c7f64db26', operation='UPDATE', pgid='pgtrigger_fixed_columns_6c095', table='governance_environment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='environment',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='09a4f8931d7fbc2e614585723979c07fb5835be6', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_5e793', table='governance_environment', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddField(
            model_name='grant',
            name='environment',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='grants', to='governance.environment'),
        ),
        migrations.AddField(
            model_name='grant',
            name='granted_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='grant',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='grants', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='model',
            name='owner',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='modelversion',
            name='model',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='versions', to='governance.model'),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='version',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='endpoints', to='governance.modelversion'),
        ),
        migrations.AddField(
            model_name='policyhead',
            name='change',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='head', to='governance.change'),
        ),
        migrations.AddField(
            model_name='policyhead',
            name='environment',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='heads', to='governance.environment'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='created_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='policyhead',
            name='version',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.policyversion'),
        ),
        migrations.AddConstraint(
            model_name='provider',
            constraint=models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9]+(-[a-z0-9]+)*$')), name='provider_slug_form', violation_error_message='Write the slug in lower case letters, digits and single hyphens.'),
        ),
        migrations.AddConstraint(
            model_name='provider',
            constraint=models.CheckConstraint(condition=models.Q(('kind', 'openai')), name='provider_kind_known', violation_error_message='Choose one of the kinds.'),
        ),
        migrations.AddConstraint(
            model_name='provider',
            constraint=models.CheckConstraint(condition=models.Q(('metered_by', 'gateway')), name='provider_meter_known', violation_error_message='Choose who meters the account.'),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='provider',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='endpoints', to='governance.provider'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='provider',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='999040ca3702141739f2b1e38a57ada9593c459a', operation='DELETE', pgid='pgtrigger_kept_4d3d0', table='governance_provider', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='provider',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='af4ef459c1afea154cecee56307c809b9bb60fcf', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_75a9a', table='governance_provider', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='provider',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.slug IS DISTINCT FROM OLD.slug THEN RAISE EXCEPTION '% rows keep their id, slug', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='19f7c47cb89c8963b7b2fdc42a09937a3e50ff29', operation='UPDATE', pgid='pgtrigger_fixed_columns_6fefd', table='governance_provider', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='provider',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='c7d5832346b2beac6c3ca0ddb7057d5a446e0c2b', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_a3ffd', table='governance_provider', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.CreateModel(
            name='ReviewBody',
            fields=[
                ('review', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='body', serialize=False, to='governance.review')),
                ('sealed', models.BinaryField(null=True)),
                ('answer', models.BinaryField(null=True)),
                ('erased_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.AddField(
            model_name='review',
            name='claimed_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='claimed_reviews', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='review',
            name='ended_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='review',
            name='environment',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to='governance.environment'),
        ),
        migrations.AddField(
            model_name='review',
            name='key',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to='governance.apikey'),
        ),
        migrations.AddField(
            model_name='revision',
            name='base_version',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.policyversion'),
        ),
        migrations.AddField(
            model_name='revision',
            name='change',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='revisions', to='governance.change'),
        ),
        migrations.AddField(
            model_name='revision',
            name='created_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='revision',
            name='version',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='revision', to='governance.policyversion'),
        ),
        migrations.AddField(
            model_name='change',
            name='revision',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.revision'),
        ),
        migrations.AddConstraint(
            model_name='team',
            constraint=models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9]+(-[a-z0-9]+)*$')), name='team_slug_form', violation_error_message='Write the slug in lower case letters, digits and single hyphens.'),
        ),
        migrations.AddConstraint(
            model_name='team',
            constraint=models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='team_name_given', violation_error_message='Give the team a name.'),
        ),
        migrations.AddField(
            model_name='model',
            name='team',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='models', to='governance.team'),
        ),
        migrations.AddField(
            model_name='grant',
            name='team',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='grants', to='governance.team'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='team',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='ce9e4d5d7b0c9aa319680ed7634e30eda152dd39', operation='DELETE', pgid='pgtrigger_kept_eec0c', table='governance_team', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='team',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='23a105cb3cd9c49469c125df2b64342faa4523a9', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_2a7ec', table='governance_team', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='team',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.slug IS DISTINCT FROM OLD.slug THEN RAISE EXCEPTION '% rows keep their id, slug', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='0700c90c8d94717df051d0dbf52dfd32fd3c314c', operation='UPDATE', pgid='pgtrigger_fixed_columns_29e4a', table='governance_team', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='team',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='1821e6726a46e0ef12441efd1f9abdba14d27192', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_fdb2d', table='governance_team', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddField(
            model_name='vote',
            name='revision',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='votes', to='governance.revision'),
        ),
        migrations.AddField(
            model_name='vote',
            name='voter',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='votes', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='workflow',
            name='deputy',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='workflow',
            name='owner',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='workflow',
            name='team',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='workflows', to='governance.team'),
        ),
        migrations.AddField(
            model_name='step',
            name='workflow',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='steps', to='governance.workflow'),
        ),
        migrations.AddField(
            model_name='review',
            name='workflow',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to='governance.workflow'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='workflow',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='policy_versions', to='governance.workflow'),
        ),
        migrations.AddField(
            model_name='policyhead',
            name='workflow',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='heads', to='governance.workflow'),
        ),
        migrations.AddField(
            model_name='change',
            name='workflow',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='changes', to='governance.workflow'),
        ),
        migrations.AddField(
            model_name='apikey',
            name='workflow',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='keys', to='governance.workflow'),
        ),
        migrations.AddConstraint(
            model_name='contributor',
            constraint=models.UniqueConstraint(fields=('change', 'user'), name='contributor_once', violation_error_message='This person is named as a contributor already.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contributor',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='0e61dcce0f3f64f9779f18093168a9660c89694e', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_018c4', table='governance_contributor', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contributor',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='2b59acb928a9f1f5b2cff3bf300b4971ca8bef8a', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_7e9dc', table='governance_contributor', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contributor',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='d1f48d75b1e271b83c4238de0a618b27d5c2cf83', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_1546f', table='governance_contributor', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.UniqueConstraint(fields=('model', 'version'), name='modelversion_once', violation_error_message='This model has a version of that name already.'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.UniqueConstraint(condition=models.Q(('is_current', True)), fields=('model',), name='modelversion_one_current', violation_error_message='A model has one current version.'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('digest', None), ('digest__regex', '^[0-9a-f]{64}$'), _connector='OR'), name='modelversion_digest_form', violation_error_message='A digest is 64 hexadecimal digits.'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('context_tokens__gt', 0)), name='modelversion_context_positive', violation_error_message='A model reads at least one token.'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('data_classes__contained_by', ['public', 'internal', 'confidential', 'restricted']), ('data_classes__len__gt', 0)), name='modelversion_data_classes_known', violation_error_message='Name at least one data class: public, internal, confidential, restricted.'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('regions__len__gt', 0)), name='modelversion_regions_given', violation_error_message='Name at least one region.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='modelversion',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='a1274de4152e5d4bc0270b08a8ad34c3bc20829b', operation='DELETE', pgid='pgtrigger_kept_f3080', table='governance_modelversion', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='modelversion',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='bd2714b1c68202ed58f8545f63e6a4786634898b', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_f59b0', table='governance_modelversion', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='modelversion',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.model_id IS DISTINCT FROM OLD.model_id OR NEW.version IS DISTINCT FROM OLD.version OR NEW.digest IS DISTINCT FROM OLD.digest OR NEW.context_tokens IS DISTINCT FROM OLD.context_tokens OR NEW.data_classes IS DISTINCT FROM OLD.data_classes OR NEW.regions IS DISTINCT FROM OLD.regions OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN RAISE EXCEPTION '% rows keep their id, model_id, version, digest, context_tokens, data_classes, regions, created_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='2009e2fa929818686c2a46ef9f4f460da72b6d79', operation='UPDATE', pgid='pgtrigger_fixed_columns_bce0c', table='governance_modelversion', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='modelversion',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='5f86115affde04d32407ad4ffcaa3451d3591b80', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_6e772', table='governance_modelversion', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.UniqueConstraint(condition=models.Q(('active', True)), fields=('version', 'environment', 'position'), name='endpoint_one_per_position', violation_error_message='Another endpoint of this version has that position in this environment.'),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(('url__regex', '^https?://[^\\s/?#]+(/[^\\s?#]*)?$')), name='endpoint_url_form', violation_error_message='Write an http or https address without query, such as https://host/v1.'),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(('hosting__in', ['self', 'hosted'])), name='endpoint_hosting_known', violation_error_message='Choose self or hosted.'),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(('secret', None), ('secret__regex', '^env:[A-Z][A-Z0-9_]*$'), _connector='OR'), name='endpoint_secret_form', violation_error_message="Name the gateway's environment variable, such as env:PROVIDER_KEY."),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(('timeout_ms__gte', 100), ('timeout_ms__lte', 600000)), name='endpoint_timeout_range', violation_error_message='Choose a timeout between 100 and 600,000 ms.'),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('region', ''), _negated=True), models.Q(('upstream_model', ''), _negated=True)), name='endpoint_names_given', violation_error_message="Name the region and the model's name at the provider."),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='endpoint',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='598e36c4e9d319228a2e048b226ae81ab7bc38c0', operation='DELETE', pgid='pgtrigger_kept_13852', table='governance_endpoint', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='endpoint',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='bee4b3795930ba6dba645326cb7ba1c423c0266b', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_5743d', table='governance_endpoint', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='endpoint',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.version_id IS DISTINCT FROM OLD.version_id OR NEW.provider_id IS DISTINCT FROM OLD.provider_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN RAISE EXCEPTION '% rows keep their id, version_id, provider_id, environment_id, created_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='2d7d508e466ca1b8f44c270ec5ce20e3e57e9018', operation='UPDATE', pgid='pgtrigger_fixed_columns_67ef6', table='governance_endpoint', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='endpoint',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='3676a428e1b78504203215ad93eee2bfa9c3c3ce', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_01ed7', table='governance_endpoint', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='reviewbody',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('erased_at', None), ('sealed__isnull', False)), models.Q(('answer', None), ('erased_at__isnull', False), ('sealed', None)), _connector='OR'), name='reviewbody_there_or_erased', violation_error_message='A body is there, or it is erased whole and says when.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewbody',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='b560af515fa6e76e9d18295aeae1e288a97c86ba', operation='DELETE', pgid='pgtrigger_kept_bc830', table='governance_reviewbody', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewbody',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='4c7853e7f7b02d2b6602b71e483b43a10efb3a5c', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_a6bd4', table='governance_reviewbody', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewbody',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.review_id IS DISTINCT FROM OLD.review_id THEN RAISE EXCEPTION '% rows keep their review_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='f46662b008cc8b64a5bd1b02c5834345aed30e86', operation='UPDATE', pgid='pgtrigger_fixed_columns_a0763', table='governance_reviewbody', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='revision',
            constraint=models.UniqueConstraint(fields=('change', 'number'), name='revision_number_once', violation_error_message='This change has a revision of that number already.'),
        ),
        migrations.AddConstraint(
            model_name='revision',
            constraint=models.CheckConstraint(condition=models.Q(('number__gt', 0)), name='revision_number_positive', violation_error_message='Revisions count from 1.'),
        ),
        migrations.AddConstraint(
            model_name='revision',
            constraint=models.CheckConstraint(condition=models.Q(('mode__in', ['enforce'])), name='revision_mode_known', violation_error_message='A live policy enforces.'),
        ),
        migrations.AddConstraint(
            model_name='revision',
            constraint=models.CheckConstraint(condition=models.Q(('payload_digest__regex', '^[0-9a-f]{64}$')), name='revision_digest_form', violation_error_message='A digest is 64 hexadecimal digits.'),
        ),
        migrations.AddConstraint(
            model_name='revision',
            constraint=models.CheckConstraint(condition=models.Q(('rule__votes_needed__gte', 0)), name='revision_rule_form', violation_error_message='A rule says how many votes are needed.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='revision',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='a44ec20a7d1842b92cb17170695337211ac43748', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_9eebb', table='governance_revision', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='revision',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='babd945f7512fc4d52ec5562c59e3ae3bf19aeab', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_39215', table='governance_revision', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='revision',
            trigger=pgtrigger.compiler.Trigger(name='belongs_together', sql=governance.models.guards.GuardSql(declare='DECLARE change governance_change%ROWTYPE;', func="\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF change.state NOT IN ('in_review', 'approved', 'stale') THEN\n                        RAISE EXCEPTION 'change % has ended', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF EXISTS (\n                        SELECT FROM governance_policyversion\n                        WHERE id IN (NEW.version_id, NEW.base_version_id) AND workflow_id <> change.workflow_id\n                    ) THEN\n                        RAISE EXCEPTION 'change % leads to a policy of another workflow', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='0f2349da1c2eca2aff9b908cb995b276183ec4d6', operation='INSERT', pgid='pgtrigger_belongs_together_41d67', table='governance_revision', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='revision',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='4090d4d47d91303034e29b65f68f77fe238dcfb0', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_1c9cc', table='governance_revision', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='model',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '^[a-z0-9][a-z0-9._:/-]*$'), models.Q(('name', 'auto'), _negated=True)), name='model_name_form', violation_error_message='Write the name in lower case letters, digits and . _ : / -; auto is taken.'),
        ),
        migrations.AddConstraint(
            model_name='model',
            constraint=models.CheckConstraint(condition=models.Q(('tier__in', ['small', 'mid', 'frontier'])), name='model_tier_known', violation_error_message='Choose small, mid or frontier.'),
        ),
        migrations.AddConstraint(
            model_name='model',
            constraint=models.CheckConstraint(condition=models.Q(('hosting__in', ['self', 'hosted'])), name='model_hosting_known', violation_error_message='Choose self or hosted.'),
        ),
        migrations.AddConstraint(
            model_name='model',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['active', 'retired'])), name='model_state_known', violation_error_message='Choose active or retired.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='model',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='0d00cb2d2153549cee86ce1e6f033831e3642848', operation='DELETE', pgid='pgtrigger_kept_b0907', table='governance_model', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='model',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='c21ec2bc6f2bb714a8cda2ed03df047c4efe0ea3', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_d9c6e', table='governance_model', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='model',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.name IS DISTINCT FROM OLD.name THEN RAISE EXCEPTION '% rows keep their id, name', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='004f0429408cb8dddbd0e0c6f285e7a5a7abfa61', operation='UPDATE', pgid='pgtrigger_fixed_columns_c8992', table='governance_model', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='model',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='29824f1b1f461de0c7da6e9b6f1c7b97f391318d', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_d3181', table='governance_model', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['viewer', 'reviewer', 'owner', 'lead', 'finance', 'integrator', 'auditor', 'admin'])), name='grant_role_known', violation_error_message='Choose one of the roles.'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('role', 'admin'), _negated=True), models.Q(('environment', None), ('team', None)), _connector='OR'), name='grant_admin_everywhere', violation_error_message='Administrators administer everything: leave team and environment out.'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('valid_until', None), ('valid_until__gte', models.F('valid_from')), _connector='OR'), name='grant_ends_after_start', violation_error_message='A grant ends after it begins.'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('granted_by', None), models.Q(('granted_by', models.F('user')), _negated=True), _connector='OR'), name='grant_not_to_oneself', violation_error_message='Nobody grants himself a role: ask another administrator.'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(expressions=[('user', '='), ('role', '='), (django.db.models.functions.comparison.Coalesce('team', models.Value(uuid.UUID('00000000-0000-0000-0000-000000000000'))), '='), (django.db.models.functions.comparison.Coalesce('environment', models.Value(uuid.UUID('00000000-0000-0000-0000-000000000000'))), '='), (governance.models.accounts.TsTzRange('valid_from', 'valid_until', django.contrib.postgres.fields.ranges.RangeBoundary()), '&&')], name='grant_once_at_a_time', violation_error_message='This person holds this role in this scope at that time already.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grant',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='02e2da0cdd58ac50c83a30e120a8ea943bb357f3', operation='DELETE', pgid='pgtrigger_kept_a16c0', table='governance_grant', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grant',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='5321c799f8920e9e4c0a0d81699e08ebedde64b3', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_b9247', table='governance_grant', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grant',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.user_id IS DISTINCT FROM OLD.user_id OR NEW.role IS DISTINCT FROM OLD.role OR NEW.team_id IS DISTINCT FROM OLD.team_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.valid_from IS DISTINCT FROM OLD.valid_from OR NEW.granted_by_id IS DISTINCT FROM OLD.granted_by_id THEN RAISE EXCEPTION '% rows keep their id, user_id, role, team_id, environment_id, valid_from, granted_by_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='ad3893bce60291898376c13eb298b51a6b6e8bb9', operation='UPDATE', pgid='pgtrigger_fixed_columns_e6e48', table='governance_grant', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grant',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='cb34af9580998dd79c90e81c381e8cdf28e52099', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_c94e8', table='governance_grant', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='vote',
            constraint=models.UniqueConstraint(fields=('revision', 'voter', 'number'), name='vote_number_once', violation_error_message='This person has a vote of that number on this revision already.'),
        ),
        migrations.AddConstraint(
            model_name='vote',
            constraint=models.CheckConstraint(condition=models.Q(('choice__in', ['approve', 'request_changes', 'reject', 'abstain', 'withdraw'])), name='vote_choice_known', violation_error_message='Approve, ask for changes, reject, abstain or withdraw.'),
        ),
        migrations.AddConstraint(
            model_name='vote',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('choice__in', ['request_changes', 'reject']), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='vote_against_has_reason', violation_error_message='Say why, so that the author knows what to change.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='vote',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='82046442ecaed740b4d5072873088de14f3c5573', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_8b112', table='governance_vote', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='vote',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='3837009566f702ebc61fab0365014772e123d967', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_082ad', table='governance_vote', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='vote',
            trigger=pgtrigger.compiler.Trigger(name='voter_is_another', sql=governance.models.guards.GuardSql(declare='DECLARE revision governance_revision%ROWTYPE; change governance_change%ROWTYPE;', func="\n                    SELECT * INTO revision FROM governance_revision WHERE id = NEW.revision_id;\n                    SELECT * INTO change FROM governance_change WHERE id = revision.change_id FOR UPDATE;\n                    IF change.revision_id <> revision.id OR NEW.digest <> revision.payload_digest THEN\n                        RAISE EXCEPTION 'change % has another content by now', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF change.state NOT IN ('in_review', 'approved') THEN\n                        RAISE EXCEPTION 'change % is not in review', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF NEW.voter_id = change.proposed_by_id\n                        OR EXISTS (\n                            SELECT FROM governance_contributor\n                            WHERE change_id = change.id AND user_id = NEW.voter_id\n                        )\n                        OR EXISTS (\n                            SELECT FROM governance_revision\n                            WHERE change_id = change.id AND created_by_id = NEW.voter_id\n                        )\n                    THEN\n                        RAISE EXCEPTION 'nobody votes on change % who had a hand in it', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='087a2bf60e3d77a4852790dd806c24ab1be59b6e', operation='INSERT', pgid='pgtrigger_voter_is_another_17816', table='governance_vote', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='vote',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='e7c6bd472483f82de3f99c47c43d042bf108662c', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_7a32a', table='governance_vote', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='workflow',
            constraint=models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9]+(-[a-z0-9]+)*$')), name='workflow_slug_form', violation_error_message='Write the slug in lower case letters, digits and single hyphens.'),
        ),
        migrations.AddConstraint(
            model_name='workflow',
            constraint=models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='workflow_name_given', violation_error_message='Give the workflow a name.'),
        ),
        migrations.AddConstraint(
            model_name='workflow',
            constraint=models.CheckConstraint(condition=models.Q(('risk__in', ['minimal', 'limited', 'high'])), name='workflow_risk_known', violation_error_message='Choose minimal, limited or high; unacceptable risk is not allowed.'),
        ),
        migrations.AddConstraint(
            model_name='workflow',
            constraint=models.CheckConstraint(condition=models.Q(('data_class__in', ['public', 'internal', 'confidential', 'restricted'])), name='workflow_data_class_known', violation_error_message='Choose public, internal, confidential or restricted.'),
        ),
        migrations.AddConstraint(
            model_name='workflow',
            constraint=models.CheckConstraint(condition=models.Q(('deputy', None), models.Q(('deputy', models.F('owner')), _negated=True), _connector='OR'), name='workflow_deputy_is_another', violation_error_message='The deputy is someone else than the owner.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='workflow',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='b1f0249fdcfee57139570afa672eadf80b9baceb', operation='DELETE', pgid='pgtrigger_kept_cd0ef', table='governance_workflow', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='workflow',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='5a476223ae049ab59011d21c5ed01fed432b6e3e', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_7580f', table='governance_workflow', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='workflow',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.slug IS DISTINCT FROM OLD.slug OR NEW.team_id IS DISTINCT FROM OLD.team_id THEN RAISE EXCEPTION '% rows keep their id, slug, team_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='4823751f53a831ae5d71eb56a6d2b8fa42d43cf1', operation='UPDATE', pgid='pgtrigger_fixed_columns_de23f', table='governance_workflow', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='workflow',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='19549be3e781bfb68c0c30466a9e5a434d5e3654', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_f5554', table='governance_workflow', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='step',
            constraint=models.UniqueConstraint(fields=('workflow', 'name'), name='step_name_once', violation_error_message='This workflow has a step of that name already.'),
        ),
        migrations.AddConstraint(
            model_name='step',
            constraint=models.UniqueConstraint(fields=('workflow', 'position'), name='step_position_once', violation_error_message='Another step of this workflow has that position.'),
        ),
        migrations.AddConstraint(
            model_name='step',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '^[a-z0-9][a-z0-9_.-]*$')), name='step_name_form', violation_error_message='Write the name in lower case letters, digits and _ . -.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='step',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='245ad187fbd3364c47fa7e3cc82f6e47fe36d1f9', operation='DELETE', pgid='pgtrigger_kept_54d14', table='governance_step', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='step',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='fb38304818631bbeec2a821f785333fa5a2800e1', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_da7b6', table='governance_step', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='step',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.name IS DISTINCT FROM OLD.name THEN RAISE EXCEPTION '% rows keep their id, workflow_id, name', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='cc0990cfa584c785172ec60736692e1a57adfcd8', operation='UPDATE', pgid='pgtrigger_fixed_columns_d936a', table='governance_step', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='step',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='ba70ebb0c1028f9d136a5e5edddd11fe9973a048', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_a929d', table='governance_step', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddIndex(
            model_name='review',
            index=models.Index(condition=models.Q(('status__in', ['open', 'claimed'])), fields=['respond_by', 'id'], name='review_waiting'),
        ),
        migrations.AddIndex(
            model_name='review',
            index=models.Index(condition=models.Q(('status__in', ['open', 'claimed'])), fields=['expires_at'], name='review_expiring'),
        ),
        migrations.AddIndex(
            model_name='review',
            index=models.Index(fields=['workflow', '-opened_at'], name='review_by_workflow'),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['open', 'claimed', 'answered', 'expired', 'cancelled'])), name='review_status_known', violation_error_message='A review is open, claimed, answered, expired or cancelled.'),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.CheckConstraint(condition=models.Q(('outcome', None), ('outcome__in', ['answer', 'refuse']), _connector='OR'), name='review_outcome_known', violation_error_message='An outcome is answer or refuse.'),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['viewer', 'reviewer', 'owner', 'lead', 'finance', 'integrator', 'auditor', 'admin'])), name='review_role_known', violation_error_message='Choose one of the roles.'),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.CheckConstraint(condition=models.Q(('request_digest__regex', '^[0-9a-f]{64}$')), name='review_request_digest_form', violation_error_message='A digest is 64 hexadecimal digits.'),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.CheckConstraint(condition=models.Q(('respond_by__lte', models.F('expires_at'))), name='review_expires_after_respond_by', violation_error_message='A review expires no sooner than its answer is wanted.'),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('claim_token__isnull', False), ('claimed_by__isnull', False), ('claimed_until__isnull', False), ('status', 'claimed')), models.Q(models.Q(('status', 'claimed'), _negated=True), ('claim_token', None), ('claimed_until', None)), _connector='OR'), name='review_claim_whole', violation_error_message='A claim has a person, a token and an end; without it there is none of them.'),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('delivered_at', None), ('ended_at', None), ('ended_by', None), ('outcome', None), ('status__in', ['open', 'claimed'])), models.Q(('ended_at__isnull', False), ('ended_by__isnull', False), ('outcome__isnull', False), ('status', 'answered')), models.Q(('ended_at__isnull', False), ('ended_by', None), ('outcome__isnull', False), ('status', 'expired')), models.Q(('ended_at__isnull', False), ('outcome', None), ('status', 'cancelled')), _connector='OR'), name='review_end_whole', violation_error_message='An answer has a person, a time and an outcome, an expiry the last two.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='review',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='f11e1c62ea682609f5987a5d7752fd8f343cfa89', operation='DELETE', pgid='pgtrigger_kept_db676', table='governance_review', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='review',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='4db976ca46311c161085963eced7bec16d3ffd9b', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_dfbaf', table='governance_review', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='review',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.decision IS DISTINCT FROM OLD.decision OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.key_id IS DISTINCT FROM OLD.key_id OR NEW.step IS DISTINCT FROM OLD.step OR NEW.run IS DISTINCT FROM OLD.run OR NEW.request_digest IS DISTINCT FROM OLD.request_digest OR NEW.role IS DISTINCT FROM OLD.role OR NEW.respond_by IS DISTINCT FROM OLD.respond_by OR NEW.expires_at IS DISTINCT FROM OLD.expires_at OR NEW.on_expiry IS DISTINCT FROM OLD.on_expiry OR NEW.answer IS DISTINCT FROM OLD.answer OR NEW.opened_at IS DISTINCT FROM OLD.opened_at OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN RAISE EXCEPTION '% rows keep their id, decision, workflow_id, environment_id, key_id, step, run, request_digest, role, respond_by, expires_at, on_expiry, answer, opened_at, created_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='f4377f05a1a85d9f82703fed1f45ec24d2ba2d10', operation='UPDATE', pgid='pgtrigger_fixed_columns_48183', table='governance_review', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='review',
            trigger=pgtrigger.compiler.Trigger(name='ends_once', sql=governance.models.guards.GuardSql(func="\n                    IF OLD.status IN ('answered', 'expired', 'cancelled')\n                        AND (NEW.status, NEW.outcome, NEW.ended_at, NEW.ended_by_id, NEW.claimed_by_id)\n                            IS DISTINCT FROM\n                            (OLD.status, OLD.outcome, OLD.ended_at, OLD.ended_by_id, OLD.claimed_by_id)\n                    THEN\n                        RAISE EXCEPTION 'review % has ended', OLD.id\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='64368b316e19f73e4c66fd23a53e4e9b7f6d8fff', operation='UPDATE', pgid='pgtrigger_ends_once_94245', table='governance_review', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='review',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.status IS DISTINCT FROM OLD.status OR NEW.outcome IS DISTINCT FROM OLD.outcome OR NEW.claimed_by_id IS DISTINCT FROM OLD.claimed_by_id) THEN RETURN NULL; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='753e4261be346fa960377c4c12a4ab8cc555c390', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_31cd9', table='governance_review', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.UniqueConstraint(fields=('workflow', 'number'), name='policyversion_number_once', violation_error_message='This workflow has a policy version of that number already.'),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.CheckConstraint(condition=models.Q(('number__gt', 0)), name='policyversion_number_positive', violation_error_message='Policy versions count from 1.'),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='policyversion_digest_form', violation_error_message='A digest is 64 hexadecimal digits.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policyversion',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='d11671c706f7df00e275458bde5ba465e6f0a646', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_5e0fb', table='governance_policyversion', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policyversion',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='a6d3f028d16abe46f0a00b7829ba475b1e694e2f', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_a81ad', table='governance_policyversion', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policyversion',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='85536b062345801d631d0c9f679ceafd6d28032d', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_eeb3e', table='governance_policyversion', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='policyhead',
            constraint=models.UniqueConstraint(fields=('workflow', 'environment'), name='policyhead_one_per_place', violation_error_message='A workflow has one live policy in an environment.'),
        ),
        migrations.AddConstraint(
            model_name='policyhead',
            constraint=models.CheckConstraint(condition=models.Q(('mode__in', ['enforce'])), name='policyhead_mode_known', violation_error_message='A live policy enforces.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policyhead',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='c36baf2689e2392ae0a347d368be5903d83e8201', operation='DELETE', pgid='pgtrigger_kept_edeea', table='governance_policyhead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policyhead',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='44a22970163ccde601cdc4ddec6853dc23715fb6', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_e66b0', table='governance_policyhead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policyhead',
            trigger=pgtrigger.compiler.Trigger(name='moves_by_votes', sql=governance.models.guards.GuardSql(declare='DECLARE live uuid; change governance_change%ROWTYPE; revision governance_revision%ROWTYPE; needed int; approving int; blocking int;', func="\n    IF TG_OP = 'UPDATE' THEN\n        IF (NEW.id, NEW.workflow_id, NEW.environment_id) IS DISTINCT FROM (OLD.id, OLD.workflow_id, OLD.environment_id)\n        THEN\n            RAISE EXCEPTION 'a policy head stays with its workflow and environment'\n                USING ERRCODE = 'check_violation';\n        END IF;\n        live := OLD.version_id;\n    END IF;\n    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n    IF NOT FOUND OR change.state <> 'applied' THEN\n        RAISE EXCEPTION 'a policy head moves only to the version of an applied change'\n            USING ERRCODE = 'check_violation';\n    END IF;\n    IF (change.workflow_id, change.environment_id) IS DISTINCT FROM (NEW.workflow_id, NEW.environment_id) THEN\n        RAISE EXCEPTION 'change % belongs to another workflow or environment', change.number\n            USING ERRCODE = 'check_violation';\n    END IF;\n    SELECT * INTO revision FROM governance_revision WHERE change_id = change.id ORDER BY number DESC LIMIT 1;\n    IF NOT FOUND OR revision.id <> change.revision_id OR revision.version_id <> NEW.version_id\n        OR revision.mode <> NEW.mode\n    THEN\n        RAISE EXCEPTION 'change % does not lead to this version and mode', change.number\n            USING ERRCODE = 'check_violation';\n    END IF;\n    IF revision.base_version_id IS DISTINCT FROM live THEN\n        RAISE EXCEPTION 'change % starts from another version than the live one', change.number\n            USING ERRCODE = 'check_violation';\n    END IF;\n    SELECT greatest(votes_needed, (revision.rule ->> 'votes_needed')::int) INTO needed\n        FROM governance_environment WHERE id = NEW.environment_id;\n    SELECT count(*) FILTER (WHERE newest.choice = 'approve'),\n           count(*) FILTER (WHERE newest.choice IN ('request_changes', 'reject'))\n        INTO approving, blocking\n        FROM (\n            SELECT DISTINCT ON (voter_id) voter_id, choice, digest FROM governance_vote\n            WHERE revision_id = revision.id ORDER BY voter_id, number DESC\n        ) newest\n        JOIN governance_user voter ON voter.id = newest.voter_id AND voter.is_active\n        WHERE newest.digest = revision.payload_digest\n            AND newest.voter_id <> change.proposed_by_id\n            AND NOT EXISTS (\n                SELECT FROM governance_contributor c WHERE c.change_id = change.id AND c.user_id = newest.voter_id\n            )\n            AND NOT EXISTS (\n                SELECT FROM governance_revision r WHERE r.change_id = change.id AND r.created_by_id = newest.voter_id\n            )\n            AND EXISTS (\n                SELECT FROM governance_grant g JOIN governance_workflow w ON w.id = change.workflow_id\n                WHERE g.user_id = newest.voter_id AND g.role IN ('lead', 'owner')\n                    AND (g.team_id IS NULL OR g.team_id = w.team_id)\n                    AND (g.environment_id IS NULL OR g.environment_id = change.environment_id)\n                    AND g.valid_from <= clock_timestamp()\n                    AND (g.valid_until IS NULL OR g.valid_until > clock_timestamp())\n            );\n    IF approving < needed OR blocking > 0 THEN\n        RAISE EXCEPTION 'change % has % of % votes, % against', change.number, approving, needed, blocking\n            USING ERRCODE = 'check_violation';\n    END IF;\n    RETURN NEW;\n", hash='8056ebc6c9119d3b097d56d42c0c799a4aae53a5', operation='INSERT OR UPDATE', pgid='pgtrigger_moves_by_votes_1bfbe', table='governance_policyhead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policyhead',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='b0288cc0b73085b1740a6a5d69d6b56e4a4a5441', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_fbc95', table='governance_policyhead', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddIndex(
            model_name='change',
            index=models.Index(condition=models.Q(('state__in', ['in_review', 'approved', 'stale'])), fields=['workflow', 'environment'], name='change_open'),
        ),
        migrations.AddConstraint(
            model_name='change',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['policy'])), name='change_kind_known', violation_error_message='Choose a kind.'),
        ),
        migrations.AddConstraint(
            model_name='change',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['in_review', 'approved', 'applied', 'rejected', 'withdrawn', 'stale'])), name='change_state_known', violation_error_message='A change is in review, approved, applied, rejected, withdrawn or stale.'),
        ),
        migrations.AddConstraint(
            model_name='change',
            constraint=models.CheckConstraint(condition=models.Q(('title', ''), _negated=True), name='change_title_given', violation_error_message='Give the change a title.'),
        ),
        migrations.AddConstraint(
            model_name='change',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('applied_at__isnull', False), ('applied_by__isnull', False), ('state', 'applied')), models.Q(models.Q(('state', 'applied'), _negated=True), ('applied_at', None), ('applied_by', None)), _connector='OR'), name='change_applied_when_and_by', violation_error_message='An applied change says when and by whom, another one does not.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='change',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='15d63b7568228d8bc88c0948eed5af9a6f19006d', operation='DELETE', pgid='pgtrigger_kept_fb1be', table='governance_change', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='change',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='fb766405fe904ceed7cc465620eef93bde5be9ed', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_62e43', table='governance_change', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='change',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.kind IS DISTINCT FROM OLD.kind OR NEW.number IS DISTINCT FROM OLD.number OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.proposed_by_id IS DISTINCT FROM OLD.proposed_by_id OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN RAISE EXCEPTION '% rows keep their id, kind, number, workflow_id, environment_id, proposed_by_id, created_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='76a1643955b736376c945d72e576dc4a36309bfa', operation='UPDATE', pgid='pgtrigger_fixed_columns_5f5d2', table='governance_change', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='change',
            trigger=pgtrigger.compiler.Trigger(name='state_moves', sql=governance.models.guards.GuardSql(func="\n                    IF TG_OP = 'INSERT' THEN\n                        IF NEW.state NOT IN ('in_review', 'approved') THEN\n                            RAISE EXCEPTION 'a change begins in review'\n                                USING ERRCODE = 'check_violation';\n                        END IF;\n                    ELSIF NEW.state <> ALL (CASE OLD.state WHEN 'in_review' THEN ARRAY['in_review', 'approved', 'rejected', 'withdrawn', 'stale'] WHEN 'approved' THEN ARRAY['approved', 'in_review', 'applied', 'rejected', 'withdrawn', 'stale'] WHEN 'stale' THEN ARRAY['stale', 'in_review', 'approved', 'withdrawn'] ELSE ARRAY[OLD.state] END)\n                    THEN\n                        RAISE EXCEPTION 'change % cannot go from % to %', OLD.number, OLD.state, NEW.state\n                            USING ERRCODE = 'check_violation';\n                    ELSIF OLD.state NOT IN ('in_review', 'approved', 'stale') AND NEW IS DISTINCT FROM OLD THEN\n                        RAISE EXCEPTION 'change % has ended', OLD.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='cc00873bf9f500ec323b4dbc2a4c142225ccacbd', operation='INSERT OR UPDATE', pgid='pgtrigger_state_moves_30a66', table='governance_change', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='change',
            trigger=pgtrigger.compiler.Trigger(name='applied_is_live', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', declare='DECLARE leads_to uuid;', func="\n                    IF NEW.state = 'applied' AND OLD.state <> 'applied' THEN\n                        SELECT version_id INTO leads_to FROM governance_revision WHERE id = NEW.revision_id;\n                        IF NOT EXISTS (SELECT FROM governance_policyhead WHERE change_id = NEW.id)\n                            AND NOT EXISTS (\n                                SELECT FROM governance_change later\n                                JOIN governance_revision r ON r.id = later.revision_id\n                                WHERE later.state = 'applied' AND r.base_version_id = leads_to\n                            )\n                        THEN\n                            RAISE EXCEPTION 'change % is marked applied, but nothing moved', NEW.number\n                                USING ERRCODE = 'check_violation';\n                        END IF;\n                    END IF;\n                    RETURN NULL;\n                ", hash='d4bc8c65151363f7096634202b29f72b37b1b67e', operation='UPDATE', pgid='pgtrigger_applied_is_live_47182', table='governance_change', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='change',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='0fae7c312c274bbcce05a7b744e9a9ad60730353', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_9e072', table='governance_change', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('sha256__regex', '^[0-9a-f]{64}$')), name='apikey_sha256_form', violation_error_message="A key's hash is 64 hexadecimal digits."),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('prefix__regex', '^[A-Za-z0-9]{8}$')), name='apikey_prefix_form', violation_error_message="A key's first letters are eight letters or digits."),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='apikey_name_given', violation_error_message='Give the key a name.'),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('revoked_by', None), ('revoked_at__isnull', False), _connector='OR'), name='apikey_revoked_by_and_at', violation_error_message='Who revoked a key stands only with the time.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='apikey',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='f19196f21b389075f704860e34c67a9b7a9a5d93', operation='DELETE', pgid='pgtrigger_kept_56615', table='governance_apikey', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='apikey',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='f034a628ba9ceb16194a14800910b565040a7839', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_efbca', table='governance_apikey', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='apikey',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.prefix IS DISTINCT FROM OLD.prefix OR NEW.sha256 IS DISTINCT FROM OLD.sha256 OR NEW.created_by_id IS DISTINCT FROM OLD.created_by_id THEN RAISE EXCEPTION '% rows keep their id, workflow_id, environment_id, prefix, sha256, created_by_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='aa1951b2589c117ce17e49450499c5b7c684cf15', operation='UPDATE', pgid='pgtrigger_fixed_columns_fbcf6', table='governance_apikey', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='apikey',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='6bd01ac05ac964899ab670c2a8898786bc7c36d4', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_88263', table='governance_apikey', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
