"""Prices, usage events, decisions, charges and the day sums. Three of the tables are partitioned by ranges of their key."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import django.db.models.expressions
import django.utils.timezone
import governance.models.accounts
import governance.models.guards
import governance.models.ids
import ledger.models.prices
import pgtrigger.compiler
import pgtrigger.migrations
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models

# Columns as in ledger/models; tests/ledger/test_tables.py compares the two.

USAGE_EVENT = """
CREATE TABLE ledger_usageevent (
    id uuid PRIMARY KEY,
    decision_id uuid NOT NULL,
    attempt smallint NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    booked_at timestamptz NOT NULL,
    clock text NOT NULL,
    gateway_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    environment_id uuid NOT NULL,
    key_id uuid NOT NULL,
    step text NOT NULL,
    run text,
    endpoint_id uuid NOT NULL,
    model text NOT NULL,
    tier text NOT NULL,
    model_requested text NOT NULL,
    model_served text,
    outcome text NOT NULL,
    kept boolean NOT NULL,
    http_status smallint,
    error text,
    input_tokens integer,
    cache_read_tokens integer NOT NULL,
    cache_write_tokens integer NOT NULL,
    output_tokens integer,
    usage_quality text NOT NULL,
    latency_ms integer NOT NULL,
    first_byte_ms integer,
    provider_request_id text,
    tags jsonb NOT NULL
) PARTITION BY RANGE (id)
"""

DECISION = """
CREATE TABLE ledger_decision (
    id uuid PRIMARY KEY,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    gateway_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    environment_id uuid NOT NULL,
    key_id uuid NOT NULL,
    step text NOT NULL,
    run text,
    facts jsonb NOT NULL,
    signals jsonb NOT NULL,
    state jsonb NOT NULL,
    snapshot text NOT NULL,
    policy_version_id uuid,
    attempts jsonb NOT NULL,
    outcome text NOT NULL,
    kept_model text,
    tier text,
    review_id uuid,
    triage text NOT NULL,
    mode text DEFAULT 'enforce' NOT NULL,
    observed_clause text,
    observed_ladder jsonb,
    observed_model text,
    observed_tier text,
    packed bytea,
    packed_attempts bytea
) PARTITION BY RANGE (id)
"""

CHARGE = """
CREATE TABLE ledger_charge (
    id uuid PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    state text NOT NULL,
    unpriced text,
    price_id uuid,
    currency text,
    input_amount numeric(20, 10),
    output_amount numeric(20, 10),
    cache_read_amount numeric(20, 10),
    cache_write_amount numeric(20, 10),
    amount numeric(20, 10)
) PARTITION BY RANGE (id)
"""


class Migration(migrations.Migration):

    initial = True

    # Installations from before these were one go on with them.
    replaces = [
        ('ledger', '0001_ledger'),
        ('ledger', '0002_partitions'),
        ('ledger', '0003_decisions_observed'),
        ('ledger', '0004_savings'),
        ('ledger', '0005_decisions_found'),
        ('ledger', '0006_usageevent_newest'),
        ('ledger', '0007_audited_rows'),
        ('ledger', '0008_decisions_packed'),
    ]

    dependencies = [
        ('governance', '0003_owner_of_the_log'),
    ]

    operations = [
        migrations.CreateModel(
            name='Price',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('kind', models.CharField(choices=[('list', 'List price'), ('own', 'Own price')], max_length=10)),
                ('endpoint', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='prices', to='governance.endpoint')),
                ('provider', models.CharField(blank=True, max_length=60, null=True, verbose_name="the provider’s slug")),
                ('model', models.CharField(blank=True, max_length=200, null=True, verbose_name='name at the provider')),
                ('input_from', models.PositiveBigIntegerField(default=0)),
                ('input_below', models.PositiveBigIntegerField(blank=True, null=True)),
                ('currency', models.CharField(max_length=3)),
                ('input', models.DecimalField(blank=True, decimal_places=10, max_digits=20, null=True)),
                ('output', models.DecimalField(blank=True, decimal_places=10, max_digits=20, null=True)),
                ('cache_read', models.DecimalField(blank=True, decimal_places=10, max_digits=20, null=True)),
                ('cache_write', models.DecimalField(blank=True, decimal_places=10, max_digits=20, null=True)),
                ('valid_from', models.DateTimeField()),
                ('valid_until', models.DateTimeField(blank=True, null=True)),
                ('source', models.CharField(max_length=120, verbose_name='where it is from')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('kind', 'own')), fields=['endpoint', '-valid_from'], name='price_own'), models.Index(condition=models.Q(('kind', 'list')), fields=['provider', 'model', '-valid_from'], name='price_list')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('endpoint__isnull', False), ('kind', 'own'), ('model', None), ('provider', None), ('input_below', None), ('input_from', 0)), models.Q(('endpoint', None), ('kind', 'list'), ('model__isnull', False), ('provider__isnull', False)), _connector='OR'), name='price_for_one_thing', violation_error_message="An own price is for an endpoint, a list price for a provider’s model."), models.CheckConstraint(condition=models.Q(('currency__regex', '^[A-Z]{3}$')), name='price_currency_form', violation_error_message='Write the currency as three capital letters, such as USD.'), models.CheckConstraint(condition=models.Q(('valid_until', None), ('valid_until__gte', models.F('valid_from')), _connector='OR'), name='price_ends_after_start', violation_error_message='A price ends after it begins.'), models.CheckConstraint(condition=models.Q(('input_below', None), ('input_below__gt', models.F('input_from')), _connector='OR'), name='price_input_range', violation_error_message='input_below is above input_from.'), models.CheckConstraint(condition=models.Q(('input__range', (0, Decimal('1000000'))), ('output__range', (0, Decimal('1000000'))), ('cache_read__range', (0, Decimal('1000000'))), ('cache_write__range', (0, Decimal('1000000')))), name='price_rates_bounded', violation_error_message='A rate is between 0 and 1,000,000 for a million tokens.'), django.contrib.postgres.constraints.ExclusionConstraint(condition=models.Q(('kind', 'own')), expressions=[('endpoint', '='), (governance.models.accounts.TsTzRange('valid_from', 'valid_until', django.contrib.postgres.fields.ranges.RangeBoundary()), '&&')], name='price_one_own_at_a_time', violation_error_message='This endpoint has an own price at that time already.'), django.contrib.postgres.constraints.ExclusionConstraint(condition=models.Q(('kind', 'list')), expressions=[('provider', '='), ('model', '='), (ledger.models.prices.Int8Range('input_from', 'input_below', django.contrib.postgres.fields.ranges.RangeBoundary()), '&&'), (governance.models.accounts.TsTzRange('valid_from', 'valid_until', django.contrib.postgres.fields.ranges.RangeBoundary()), '&&')], name='price_one_list_at_a_time', violation_error_message='This model has a list price at that time already.')],
                'triggers': [pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='a87d01155c0d8cdaea216903b09717a24af21a42', operation='DELETE', pgid='pgtrigger_kept_6e80c', table='ledger_price', when='BEFORE')), pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='c59c9285653c8605ccba727c7c68d084c59a8d76', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_538d8', table='ledger_price', when='BEFORE')), pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.created_at IS DISTINCT FROM OLD.created_at OR NEW.kind IS DISTINCT FROM OLD.kind OR NEW.endpoint_id IS DISTINCT FROM OLD.endpoint_id OR NEW.provider IS DISTINCT FROM OLD.provider OR NEW.model IS DISTINCT FROM OLD.model OR NEW.input_from IS DISTINCT FROM OLD.input_from OR NEW.input_below IS DISTINCT FROM OLD.input_below OR NEW.currency IS DISTINCT FROM OLD.currency OR NEW.input IS DISTINCT FROM OLD.input OR NEW.output IS DISTINCT FROM OLD.output OR NEW.cache_read IS DISTINCT FROM OLD.cache_read OR NEW.cache_write IS DISTINCT FROM OLD.cache_write OR NEW.valid_from IS DISTINCT FROM OLD.valid_from OR NEW.source IS DISTINCT FROM OLD.source THEN RAISE EXCEPTION '% rows keep their id, created_at, kind, endpoint_id, provider, model, input_from, input_below, currency, input, output, cache_read, cache_write, valid_from, source', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='10ea670f01aa15552d4554ec8b78d7d2cf44823f', operation='UPDATE', pgid='pgtrigger_fixed_columns_92815', table='ledger_price', when='BEFORE')), pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT id::text FROM ledger_price other WHERE other.endpoint_id = NEW.endpoint_id OR (other.provider, other.model) = (NEW.provider, NEW.model)) AND object_type || '' = 'price') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='410b455035f09b9d18f89ba06030727042930900', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_f9a32', table='ledger_price', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER'))],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(USAGE_EVENT, "DROP TABLE ledger_usageevent")],
            state_operations=[
                migrations.CreateModel(
                    name='UsageEvent',
                    fields=[
                        ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                        ('decision_id', models.UUIDField()),
                        ('attempt', models.SmallIntegerField()),
                        ('occurred_at', models.DateTimeField()),
                        ('recorded_at', models.DateTimeField(default=django.utils.timezone.now)),
                        ('booked_at', models.DateTimeField()),
                        ('clock', models.TextField(choices=[('ok', 'Right'), ('ahead', 'Ahead'), ('behind', 'Behind')])),
                        ('gateway', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='governance.gateway')),
                        ('workflow', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='governance.workflow')),
                        ('environment', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='governance.environment')),
                        ('key', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='governance.apikey')),
                        ('step', models.TextField()),
                        ('run', models.TextField(null=True)),
                        ('endpoint', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='governance.endpoint')),
                        ('model', models.TextField()),
                        ('tier', models.TextField()),
                        ('model_requested', models.TextField()),
                        ('model_served', models.TextField(null=True)),
                        ('outcome', models.TextField(choices=[('ok', 'Answered'), ('error', 'Error'), ('timeout', 'Timeout'), ('aborted', 'Aborted'), ('refused', 'Refused by the model')])),
                        ('kept', models.BooleanField()),
                        ('http_status', models.SmallIntegerField(null=True)),
                        ('error', models.TextField(null=True)),
                        ('input_tokens', models.IntegerField(null=True)),
                        ('cache_read_tokens', models.IntegerField()),
                        ('cache_write_tokens', models.IntegerField()),
                        ('output_tokens', models.IntegerField(null=True)),
                        ('usage_quality', models.TextField(choices=[('exact', 'Exact'), ('partial', 'Partial'), ('estimated', 'Estimated'), ('missing', 'Missing')])),
                        ('latency_ms', models.IntegerField()),
                        ('first_byte_ms', models.IntegerField(null=True)),
                        ('provider_request_id', models.TextField(null=True)),
                        ('tags', models.JSONField()),
                    ],
                ),
            ],
        ),
        migrations.CreateModel(
            name='UsageQueue',
            fields=[
                ('event_id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('recorded_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name='Rollup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('workflow', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.workflow')),
                ('step', models.TextField()),
                ('endpoint', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.endpoint')),
                ('key', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.apikey')),
                ('outcome', models.TextField(choices=[('ok', 'Answered'), ('error', 'Error'), ('timeout', 'Timeout'), ('aborted', 'Aborted'), ('refused', 'Refused by the model')])),
                ('currency', models.CharField(max_length=3, null=True)),
                ('events', models.BigIntegerField()),
                ('kept', models.BigIntegerField()),
                ('unpriced', models.BigIntegerField()),
                ('late', models.BigIntegerField()),
                ('input_tokens', models.BigIntegerField()),
                ('cache_read_tokens', models.BigIntegerField()),
                ('cache_write_tokens', models.BigIntegerField()),
                ('output_tokens', models.BigIntegerField()),
                ('kept_input_tokens', models.BigIntegerField(default=0, verbose_name='input of kept answers, cache included')),
                ('kept_output_tokens', models.BigIntegerField(default=0, verbose_name='output of kept answers')),
                ('amount', models.DecimalField(decimal_places=10, max_digits=30, null=True)),
                ('last_at', models.DateTimeField(verbose_name='time of the last attempt')),
            ],
            options={
                'indexes': [models.Index(fields=['workflow', 'day'], name='rollup_workflow_day')],
                'constraints': [models.UniqueConstraint(fields=('day', 'workflow', 'step', 'endpoint', 'key', 'outcome', 'currency'), name='rollup_once', nulls_distinct=False, violation_error_message='This sum exists already.'), models.CheckConstraint(condition=models.Q(models.Q(('amount', None), ('currency', None), ('unpriced', models.F('events'))), models.Q(('amount__isnull', False), ('currency__isnull', False), ('unpriced', 0)), _connector='OR'), name='rollup_priced_or_counted', violation_error_message='A sum has a currency and an amount, or counts as unpriced.'), models.CheckConstraint(condition=models.Q(('events__gt', 0), ('kept__gte', 0), ('kept__lte', models.F('events')), ('late__gte', 0), ('late__lte', models.F('events'))), name='rollup_counts_make_sense', violation_error_message='Kept and late attempts are part of all attempts.')],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(DECISION, "DROP TABLE ledger_decision")],
            state_operations=[
                migrations.CreateModel(
                    name='Decision',
                    fields=[
                        ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                        ('occurred_at', models.DateTimeField()),
                        ('recorded_at', models.DateTimeField(default=django.utils.timezone.now)),
                        ('gateway', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='governance.gateway')),
                        ('workflow', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='governance.workflow')),
                        ('environment', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='governance.environment')),
                        ('key', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='governance.apikey')),
                        ('step', models.TextField()),
                        ('run', models.TextField(null=True)),
                        ('facts', models.JSONField()),
                        ('signals', models.JSONField()),
                        ('state', models.JSONField()),
                        ('snapshot', models.TextField(verbose_name='sha256 of the snapshot')),
                        ('policy_version', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='governance.policyversion')),
                        ('attempts', models.JSONField()),
                        ('outcome', models.TextField(choices=[('kept', 'A model answered'), ('person', 'A person is asked'), ('failed', 'No model answered'), ('refused', 'Not allowed')])),
                        ('kept_model', models.TextField(null=True)),
                        ('tier', models.TextField(null=True)),
                        ('review_id', models.UUIDField(null=True)),
                        ('triage', models.TextField()),
                        ('mode', models.TextField(choices=[('enforce', 'The policy decided'), ('observe', 'The policy was only watched')], db_default='enforce')),
                        ('observed_model', models.TextField(null=True)),
                        ('observed_tier', models.TextField(null=True)),
                        ('observed_ladder', models.JSONField(null=True)),
                        ('observed_clause', models.TextField(null=True)),
                        ('packed', models.BinaryField(null=True)),
                        ('packed_attempts', models.BinaryField(null=True)),
                    ],
                ),
            ],
        ),
        migrations.CreateModel(
            name='Baseline',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('workflow', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='baselines', to='governance.workflow')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.model')),
                ('assumed', models.BooleanField(default=True)),
                ('reason', models.TextField(verbose_name='why this one')),
                ('tokens_least', models.DecimalField(decimal_places=3, default=Decimal('0.8'), max_digits=6)),
                ('tokens_most', models.DecimalField(decimal_places=3, default=Decimal('1.25'), max_digits=6)),
                ('valid_from', models.DateTimeField()),
                ('valid_until', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='baseline_reason_given', violation_error_message='Say why this model is the baseline.'), models.CheckConstraint(condition=models.Q(('tokens_least__gt', 0), ('tokens_least__lte', models.F('tokens_most'))), name='baseline_ratio_in_order', violation_error_message='The least ratio of tokens is above zero and not above the most.'), models.CheckConstraint(condition=models.Q(('valid_until', None), ('valid_until__gte', models.F('valid_from')), _connector='OR'), name='baseline_ends_after_start', violation_error_message='A baseline ends after it begins.'), django.contrib.postgres.constraints.ExclusionConstraint(expressions=[('workflow', '='), (governance.models.accounts.TsTzRange('valid_from', 'valid_until', django.contrib.postgres.fields.ranges.RangeBoundary()), '&&')], name='baseline_one_at_a_time', violation_error_message='This workflow has a baseline at that time already.')],
                'triggers': [pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='04f7b5ea5170671366515ee7249cc00cf8dcfe0d', operation='DELETE', pgid='pgtrigger_kept_d26f5', table='ledger_baseline', when='BEFORE')), pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='1e2f9e85cd2d62bc1f041cce6fccb1d792b7e108', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_fa207', table='ledger_baseline', when='BEFORE')), pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.model_id IS DISTINCT FROM OLD.model_id OR NEW.assumed IS DISTINCT FROM OLD.assumed OR NEW.reason IS DISTINCT FROM OLD.reason OR NEW.tokens_least IS DISTINCT FROM OLD.tokens_least OR NEW.tokens_most IS DISTINCT FROM OLD.tokens_most OR NEW.valid_from IS DISTINCT FROM OLD.valid_from OR NEW.created_by_id IS DISTINCT FROM OLD.created_by_id OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN RAISE EXCEPTION '% rows keep their id, workflow_id, model_id, assumed, reason, tokens_least, tokens_most, valid_from, created_by_id, created_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='7b4ee082a5c53ed383c8f659235352325e4b2b69', operation='UPDATE', pgid='pgtrigger_fixed_columns_37c19', table='ledger_baseline', when='BEFORE')), pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT id::text FROM ledger_baseline WHERE workflow_id = NEW.workflow_id) AND object_type || '' = 'baseline') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='5b02a5bde411b1a4f951c3bebb7f8ffc19ff7b34', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_2faef', table='ledger_baseline', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER'))],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(CHARGE, "DROP TABLE ledger_charge")],
            state_operations=[
                migrations.CreateModel(
                    name='Charge',
                    fields=[
                        ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                        ('recorded_at', models.DateTimeField(default=django.utils.timezone.now)),
                        ('state', models.TextField(choices=[('priced', 'Priced'), ('unpriced', 'Not priced')])),
                        ('unpriced', models.TextField(choices=[('no_price', 'no price at that time'), ('no_rate', 'no rate for some of its tokens'), ('no_tokens', 'no token counts')], null=True)),
                        ('price', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='ledger.price')),
                        ('currency', models.TextField(null=True)),
                        ('input_amount', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                        ('output_amount', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                        ('cache_read_amount', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                        ('cache_write_amount', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                        ('amount', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                    ],
                ),
            ],
        ),
        migrations.AddIndex(
            model_name='usageevent',
            index=models.Index(fields=['decision_id'], name='usageevent_decision'),
        ),
        migrations.AddIndex(
            model_name='usageevent',
            index=models.Index(fields=['workflow', 'booked_at'], name='usageevent_workflow_booked'),
        ),
        migrations.AddIndex(
            model_name='usageevent',
            index=models.Index(fields=['-booked_at', '-id'], name='usageevent_newest'),
        ),
        migrations.AddConstraint(
            model_name='usageevent',
            constraint=models.CheckConstraint(condition=models.Q(('input_tokens__range', (0, 1000000000)), ('cache_read_tokens__range', (0, 1000000000)), ('cache_write_tokens__range', (0, 1000000000)), ('output_tokens__range', (0, 1000000000))), name='usageevent_tokens_bounded', violation_error_message='An attempt has between none and 1,000,000,000 tokens of a kind.'),
        ),
        migrations.AddConstraint(
            model_name='usageevent',
            constraint=models.CheckConstraint(condition=models.Q(('outcome__in', ['ok', 'error', 'timeout', 'aborted', 'refused'])), name='usageevent_outcome_known', violation_error_message='Choose ok, error, timeout, aborted or refused.'),
        ),
        migrations.AddConstraint(
            model_name='usageevent',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('booked_at', models.F('occurred_at')), ('clock', 'ok')), models.Q(('booked_at', models.F('recorded_at')), ('clock__in', ['ahead', 'behind'])), _connector='OR'), name='usageevent_clock_marked', violation_error_message='A time that cannot be right is marked, and the money dated by its arrival.'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['workflow', '-id'], name='decision_workflow_newest'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['key', '-id'], name='decision_key_newest'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['kept_model', '-id'], name='decision_model_newest'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(condition=models.Q(('outcome', 'kept'), _negated=True), fields=['outcome', '-id'], name='decision_outcome_newest'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(condition=models.Q(('run__isnull', False)), fields=['workflow', 'run', '-id'], name='decision_run'),
        ),
        migrations.AddConstraint(
            model_name='decision',
            constraint=models.CheckConstraint(condition=models.Q(('outcome__in', ['kept', 'person', 'failed', 'refused'])), name='decision_outcome_known', violation_error_message='Choose kept, person, failed or refused.'),
        ),
        migrations.AddConstraint(
            model_name='decision',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('mode', 'enforce'), ('observed_clause', None), ('observed_ladder__isnull', True), ('observed_model', None), ('observed_tier', None)), models.Q(('mode', 'observe'), ('observed_clause', None), ('observed_ladder__isnull', False), ('observed_model__isnull', False), ('observed_tier__isnull', False)), models.Q(('mode', 'observe'), ('observed_clause__isnull', False), ('observed_ladder__isnull', False), ('observed_model', None), ('observed_tier', None)), _connector='OR'), name='decision_observed_where_watched', violation_error_message='A policy that was only watched would have started somewhere, or refused.'),
        ),
        migrations.AddConstraint(
            model_name='charge',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('currency__isnull', False), ('price__isnull', False), ('state', 'priced'), ('unpriced', None), ('amount__isnull', False), ('cache_read_amount__isnull', False), ('cache_write_amount__isnull', False), ('input_amount__isnull', False), ('output_amount__isnull', False), ('amount', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('input_amount'), '+', models.F('output_amount')), '+', models.F('cache_read_amount')), '+', models.F('cache_write_amount')))), models.Q(('amount', None), ('currency', None), ('state', 'unpriced'), ('unpriced__isnull', False), ('cache_read_amount', None), ('cache_write_amount', None), ('input_amount', None), ('output_amount', None)), _connector='OR'), name='charge_priced_or_says_why', violation_error_message='A charge has a price and amounts that add up, or says what is missing.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='usageevent',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='ff717dd3bfde9046cceaa7b0fe77515164ba61f8', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_ad95e', table='ledger_usageevent', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='usageevent',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='33eaaea394a105c32e7c41e9e42e63f75d7aae7d', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_e0436', table='ledger_usageevent', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='decision',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='a1515e3b6741b2c769b87ac3364b6a9de9043588', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_527cb', table='ledger_decision', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='decision',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='699ea6052512f60168ee563a6cec0ac87fe076f2', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_0932e', table='ledger_decision', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='charge',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='d9948cc8189d314361e22f63a3005fa2e13d2910', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_d3833', table='ledger_charge', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='charge',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='ee10b912c2a16fcf50a89df8d4ccc96123e255f0', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_1dcd2', table='ledger_charge', when='BEFORE')),
        ),
    ]
