"""Access tokens: what people's own programs show."""

import datetime
import django.db.models.deletion
import django.db.models.expressions
import django.utils.timezone
import governance.models.guards
import governance.models.ids
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0003_owner_of_the_log'),
    ]

    operations = [
        migrations.CreateModel(
            name='AccessToken',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('name', models.CharField(max_length=120)),
                ('scope', models.CharField(choices=[('read', 'Read changes, policies and simulations'), ('propose', 'Read, propose and simulate changes')], max_length=10)),
                ('prefix', models.CharField(max_length=8, unique=True, verbose_name='first letters')),
                ('sha256', models.CharField(max_length=64, unique=True)),
                ('expires_at', models.DateTimeField()),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='access_tokens', to=settings.AUTH_USER_MODEL)),
                ('revoked_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('sha256__regex', '^[0-9a-f]{64}$')), name='accesstoken_sha256_form', violation_error_message="A token’s hash is 64 hexadecimal digits."), models.CheckConstraint(condition=models.Q(('prefix__regex', '^[A-Za-z0-9]{8}$')), name='accesstoken_prefix_form', violation_error_message="A token’s first letters are eight letters or digits."), models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='accesstoken_name_given', violation_error_message='Give the token a name.'), models.CheckConstraint(condition=models.Q(('scope__in', ['read', 'propose'])), name='accesstoken_scope_known', violation_error_message='A token reads, or reads and proposes.'), models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('created_at')), ('expires_at__lte', django.db.models.expressions.CombinedExpression(models.F('created_at'), '+', models.Value(datetime.timedelta(days=366))))), name='accesstoken_within_a_year', violation_error_message='Choose an end within a year.'), models.CheckConstraint(condition=models.Q(models.Q(('revoked_at', None), ('revoked_by', None)), models.Q(('revoked_at__isnull', False), ('revoked_by__isnull', False)), _connector='OR'), name='accesstoken_revoked_by_and_at', violation_error_message='A revoked token says when and by whom.')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='accesstoken',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='9ac118ffeaf4fb60511fd4d526d7ec46ebd44dd3', operation='DELETE', pgid='pgtrigger_kept_75b24', table='governance_accesstoken', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='accesstoken',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='be4c9fbf27ea7a7257af81870afdce926b87a631', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_67164', table='governance_accesstoken', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='accesstoken',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.created_at IS DISTINCT FROM OLD.created_at OR NEW.person_id IS DISTINCT FROM OLD.person_id OR NEW.name IS DISTINCT FROM OLD.name OR NEW.scope IS DISTINCT FROM OLD.scope OR NEW.prefix IS DISTINCT FROM OLD.prefix OR NEW.sha256 IS DISTINCT FROM OLD.sha256 OR NEW.expires_at IS DISTINCT FROM OLD.expires_at THEN RAISE EXCEPTION '% rows keep their id, created_at, person_id, name, scope, prefix, sha256, expires_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='ff7c3b6c5fbb327e6b1b5c09913cbffe1422114a', operation='UPDATE', pgid='pgtrigger_fixed_columns_235a0', table='governance_accesstoken', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='accesstoken',
            trigger=pgtrigger.compiler.Trigger(name='revoked_once', sql=governance.models.guards.GuardSql(func="\n                    IF OLD.revoked_at IS NOT NULL AND NEW IS DISTINCT FROM OLD THEN\n                        RAISE EXCEPTION 'this access token was revoked' USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='9821fe27f1a2e35e0bdf983bbd33f85005a77b6f', operation='UPDATE', pgid='pgtrigger_revoked_once_d33e6', table='governance_accesstoken', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='accesstoken',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.revoked_at IS DISTINCT FROM OLD.revoked_at OR NEW.revoked_by_id IS DISTINCT FROM OLD.revoked_by_id) THEN RETURN NULL; END IF;\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='42fcfec686927e2ac59031030ec226ce7743d019', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_79f97', table='governance_accesstoken', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
