"""What gateways are sent, sample sets and evaluations, simulations, and what each instance says it runs."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.utils.timezone
import governance.models.guards
import governance.models.ids
import pgtrigger.compiler
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    # Installations from before these were one go on with them.
    replaces = [
        ('routing', '0001_routing'),
        ('routing', '0002_evaluations'),
        ('routing', '0003_audited_rows'),
        ('routing', '0004_simulations'),
        ('routing', '0005_bundle_proofs'),
        ('routing', '0006_instances'),
    ]

    dependencies = [
        ('governance', '0003_owner_of_the_log'),
    ]

    operations = [
        migrations.CreateModel(
            name='Snapshot',
            fields=[
                ('digest', models.CharField(max_length=64, primary_key=True, serialize=False, verbose_name='sha256 of the text')),
                ('text', models.TextField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='snapshot_digest_form', violation_error_message='A digest is 64 hexadecimal digits.')],
                'triggers': [pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='fb763fd4de7ee0813391d2f6d4fc9536e326293a', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_c6b34', table='routing_snapshot', when='BEFORE')), pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='5a218c287be037537622370f8a3705177b0497c4', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_f6b1a', table='routing_snapshot', when='BEFORE'))],
            },
        ),
        migrations.CreateModel(
            name='StateFeed',
            fields=[
                ('environment', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='state_feed', serialize=False, to='governance.environment')),
                ('serial', models.PositiveBigIntegerField()),
                ('digest', models.CharField(max_length=64)),
                ('stamp', models.CharField(max_length=64)),
                ('envelope', models.TextField()),
                ('issued_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('issued_at'))), name='statefeed_expires_after_issue', violation_error_message='A state expires after it is issued.')],
                'triggers': [pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='9004bd600cbbc5f8fea2147a6cd4e45f86008ee5', operation='DELETE', pgid='pgtrigger_kept_2de81', table='routing_statefeed', when='BEFORE')), pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='6ff1cdd8eab104305e614b330a052876ba481ae6', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_5c29f', table='routing_statefeed', when='BEFORE')), pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.environment_id IS DISTINCT FROM OLD.environment_id THEN RAISE EXCEPTION '% rows keep their environment_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='347a0a1fc0950476a5685d36cd1f9530d21c5a82', operation='UPDATE', pgid='pgtrigger_fixed_columns_7cdab', table='routing_statefeed', when='BEFORE')), pgtrigger.compiler.Trigger(name='serial_rises', sql=governance.models.guards.GuardSql(func="\n                    IF NEW.serial < OLD.serial OR (NEW.serial = OLD.serial AND NEW.envelope <> OLD.envelope) THEN\n                        RAISE EXCEPTION 'the serial of a state rises with every issue' USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='a986dfb3f30a9b2ec0b3b423ab908fbc952d9a7e', operation='UPDATE', pgid='pgtrigger_serial_rises_fafcf', table='routing_statefeed', when='BEFORE'))],
            },
        ),
        migrations.CreateModel(
            name='SampleSet',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('step', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='sample_sets', to='governance.step')),
                ('name', models.CharField(max_length=120)),
                ('version', models.PositiveIntegerField()),
                ('description', models.TextField(blank=True, default='', verbose_name='what it is made of')),
                ('source', models.CharField(max_length=200, verbose_name='where its texts come from')),
                ('licence', models.CharField(max_length=120, verbose_name='on which terms they are used')),
                ('labels', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), size=None)),
                ('size', models.PositiveIntegerField(verbose_name='number of samples')),
                ('digest', models.CharField(max_length=64, verbose_name='sha256 over its samples')),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('erased_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('step', 'name', 'version'), name='sampleset_version_once', violation_error_message='This step has that version of the set already.'), models.CheckConstraint(condition=models.Q(models.Q(('name', ''), _negated=True), models.Q(('source', ''), _negated=True), models.Q(('licence', ''), _negated=True)), name='sampleset_described', violation_error_message='Give the set a name, and say where its texts come from and on which terms.'), models.CheckConstraint(condition=models.Q(('version__gt', 0)), name='sampleset_version_positive', violation_error_message='Versions count from 1.'), models.CheckConstraint(condition=models.Q(('size__range', (1, 10000))), name='sampleset_size_range', violation_error_message='A set has between 1 and 10,000 samples.'), models.CheckConstraint(condition=models.Q(('labels__len__range', (1, 50))), name='sampleset_labels_range', violation_error_message='A set has between 1 and 50 labels.'), models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='sampleset_digest_form', violation_error_message='A digest is 64 hexadecimal digits.')],
                'triggers': [pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='83a3d5b786e14f192c91aea3d6af5ddd40d84cc0', operation='DELETE', pgid='pgtrigger_kept_ea954', table='routing_sampleset', when='BEFORE')), pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='644f60a3aefaf456f5636b2fcd5aeb3d46320423', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_8b771', table='routing_sampleset', when='BEFORE')), pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.created_at IS DISTINCT FROM OLD.created_at OR NEW.step_id IS DISTINCT FROM OLD.step_id OR NEW.name IS DISTINCT FROM OLD.name OR NEW.version IS DISTINCT FROM OLD.version OR NEW.description IS DISTINCT FROM OLD.description OR NEW.source IS DISTINCT FROM OLD.source OR NEW.licence IS DISTINCT FROM OLD.licence OR NEW.labels IS DISTINCT FROM OLD.labels OR NEW.size IS DISTINCT FROM OLD.size OR NEW.digest IS DISTINCT FROM OLD.digest OR NEW.created_by_id IS DISTINCT FROM OLD.created_by_id THEN RAISE EXCEPTION '% rows keep their id, created_at, step_id, name, version, description, source, licence, labels, size, digest, created_by_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='c5e6c7c51484aa3b4def9ca614d85d6b2f17f8d5', operation='UPDATE', pgid='pgtrigger_fixed_columns_4dc58', table='routing_sampleset', when='BEFORE')), pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='a114f95c8106fc825e2d6f2c49ebfb11db8fa66e', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_d2198', table='routing_sampleset', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER'))],
            },
        ),
        migrations.CreateModel(
            name='Instance',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('gateway', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='instances', to='governance.gateway')),
                ('name', models.CharField(blank=True, default='', max_length=36)),
                ('host', models.CharField(blank=True, default='', max_length=120)),
                ('program', models.CharField(blank=True, default='', max_length=60)),
                ('version', models.CharField(blank=True, default='', max_length=40)),
                ('held', models.PositiveBigIntegerField(blank=True, null=True, verbose_name='serial of the bundle it has')),
                ('proof', models.CharField(blank=True, default='', max_length=40)),
                ('refused', models.CharField(blank=True, default='', max_length=40)),
                ('last_seen_at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['last_seen_at'], name='instance_seen')],
                'constraints': [models.UniqueConstraint(fields=('gateway', 'name'), name='instance_name_once', violation_error_message='This gateway has an instance of that name already.')],
            },
        ),
        migrations.CreateModel(
            name='Bundle',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='bundles', to='governance.environment')),
                ('serial', models.PositiveBigIntegerField()),
                ('snapshot', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='bundles', to='routing.snapshot')),
                ('digest', models.CharField(max_length=64)),
                ('stamp', models.CharField(max_length=64)),
                ('envelope', models.TextField()),
                ('proof', models.TextField(blank=True, db_default='', default='')),
                ('issued_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('environment', 'serial'), name='bundle_serial_once', violation_error_message='This environment has a bundle of that serial already.'), models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('issued_at'))), name='bundle_expires_after_issue', violation_error_message='A bundle expires after it is issued.')],
                'triggers': [pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='fd4f12fecfd1af79b2d2c2619fac9758e470243c', operation='DELETE', pgid='pgtrigger_kept_85b1d', table='routing_bundle', when='BEFORE')), pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='e7650bc861c05d6f6cb0f0e213c9c134f07e6cac', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_4bd0b', table='routing_bundle', when='BEFORE')), pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.created_at IS DISTINCT FROM OLD.created_at OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.serial IS DISTINCT FROM OLD.serial OR NEW.snapshot_id IS DISTINCT FROM OLD.snapshot_id OR NEW.digest IS DISTINCT FROM OLD.digest OR NEW.envelope IS DISTINCT FROM OLD.envelope OR NEW.issued_at IS DISTINCT FROM OLD.issued_at OR NEW.expires_at IS DISTINCT FROM OLD.expires_at THEN RAISE EXCEPTION '% rows keep their id, created_at, environment_id, serial, snapshot_id, digest, envelope, issued_at, expires_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='4b0771892d481f1fcb3b6b7fb9e7f5866dafb660', operation='UPDATE', pgid='pgtrigger_fixed_columns_66cd8', table='routing_bundle', when='BEFORE')), pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.serial IS DISTINCT FROM OLD.serial) THEN RETURN NULL; END IF;\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='36293044348c160d642e3ecb3adf5d227738f791', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_85cd8', table='routing_bundle', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')), pgtrigger.compiler.Trigger(name='proved_once', sql=governance.models.guards.GuardSql(func="IF OLD.proof <> '' AND NEW.proof <> OLD.proof THEN RAISE EXCEPTION 'a bundle keeps its proof' USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='9a9bb52fda636ffe75c6f4ec132f53f26d3b890e', operation='UPDATE', pgid='pgtrigger_proved_once_4fa97', table='routing_bundle', when='BEFORE'))],
            },
        ),
        migrations.CreateModel(
            name='Sample',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('sample_set', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='samples', to='routing.sampleset')),
                ('position', models.PositiveIntegerField()),
                ('sealed', models.BinaryField(null=True)),
                ('signals', models.JSONField()),
                ('label', models.CharField(max_length=200, verbose_name='the right answer')),
                ('cluster', models.CharField(blank=True, max_length=200, null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('sample_set', 'position'), name='sample_position_once', violation_error_message='Another sample of this set has that position.'), models.CheckConstraint(condition=models.Q(('position__gt', 0)), name='sample_position_positive', violation_error_message='Positions count from 1.')],
                'triggers': [pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='fa2a6aa09737b5947bd9f866262729a68d2185ba', operation='DELETE', pgid='pgtrigger_kept_ce2a9', table='routing_sample', when='BEFORE')), pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='199ea2a31286b15b2d8f5cc385183fa8fbd5725e', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_8edc6', table='routing_sample', when='BEFORE')), pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.sample_set_id IS DISTINCT FROM OLD.sample_set_id OR NEW.position IS DISTINCT FROM OLD.position OR NEW.signals IS DISTINCT FROM OLD.signals OR NEW.label IS DISTINCT FROM OLD.label OR NEW.cluster IS DISTINCT FROM OLD.cluster THEN RAISE EXCEPTION '% rows keep their id, sample_set_id, position, signals, label, cluster', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='50b5c2e17d0b330727e3631b22996a7337413bd6', operation='UPDATE', pgid='pgtrigger_fixed_columns_e3815', table='routing_sample', when='BEFORE')), pgtrigger.compiler.Trigger(name='belongs', sql=governance.models.guards.GuardSql(func="\n                    IF NOT EXISTS (\n                        SELECT FROM routing_sampleset s\n                        WHERE s.id = NEW.sample_set_id AND NEW.position <= s.size AND NEW.label = ANY (s.labels)\n                    ) THEN\n                        RAISE EXCEPTION 'a sample is one of its set, with one of its labels' USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='1e41634601b8b98105dab229afc2dfb937a61edf', operation='INSERT', pgid='pgtrigger_belongs_e25df', table='routing_sample', when='BEFORE')), pgtrigger.compiler.Trigger(name='only_emptied', sql=governance.models.guards.GuardSql(func="\n                    IF NEW.sealed IS NOT NULL AND NEW.sealed IS DISTINCT FROM OLD.sealed THEN\n                        RAISE EXCEPTION 'a sample keeps its text, or loses it' USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='2c271ff72b5ab8a495c650f75084b1ec9848d4ff', operation='UPDATE', pgid='pgtrigger_only_emptied_28344', table='routing_sample', when='BEFORE')), pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.sample_set_id::text) AND object_type || '' = 'sampleset') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='7c675b38370010d0d6b822d39b31a65aa3602e71', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_049c7', table='routing_sample', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER'))],
            },
        ),
        migrations.CreateModel(
            name='EvaluationSchedule',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('step', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='evaluation_schedules', to='governance.step')),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.environment')),
                ('sample_set', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='schedules', to='routing.sampleset')),
                ('cron', models.CharField(max_length=120)),
                ('next_due_at', models.DateTimeField()),
                ('last_due_at', models.DateTimeField(blank=True, null=True, verbose_name='when it was last its turn')),
                ('trouble', models.TextField(blank=True, default='')),
                ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('ended_at', None)), fields=['next_due_at'], name='evaluationschedule_due')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('step', 'environment'), name='evaluationschedule_one_per_place', violation_error_message='This step has a schedule in this environment already.'), models.CheckConstraint(condition=models.Q(('last_due_at', None), ('next_due_at__gt', models.F('last_due_at')), _connector='OR'), name='evaluationschedule_goes_on', violation_error_message='The next turn comes after the last one.')],
                'triggers': [pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='83f034d38682f1f430761172ca67a3417debcdda', operation='DELETE', pgid='pgtrigger_kept_ecc4b', table='routing_evaluationschedule', when='BEFORE')), pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='906d19280d7b06db40ebd770556999161c90f425', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_0916a', table='routing_evaluationschedule', when='BEFORE')), pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.created_at IS DISTINCT FROM OLD.created_at OR NEW.step_id IS DISTINCT FROM OLD.step_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.created_by_id IS DISTINCT FROM OLD.created_by_id THEN RAISE EXCEPTION '% rows keep their id, created_at, step_id, environment_id, created_by_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='ceec43d8278aa46a631e6178bc8cb76ba5a7c08f', operation='UPDATE', pgid='pgtrigger_fixed_columns_87be0', table='routing_evaluationschedule', when='BEFORE')), pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.cron IS DISTINCT FROM OLD.cron OR NEW.sample_set_id IS DISTINCT FROM OLD.sample_set_id OR NEW.ended_at IS DISTINCT FROM OLD.ended_at) THEN RETURN NULL; END IF;\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='d809832373da230f0b03eedfc7b4dae5c9adc87f', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_f4d38', table='routing_evaluationschedule', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER'))],
            },
        ),
        migrations.CreateModel(
            name='Simulation',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('workflow', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.workflow')),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.environment')),
                ('revision', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='simulations', to='governance.revision')),
                ('base_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.policyversion')),
                ('base_mode', models.CharField(choices=[('observe', 'Observes'), ('enforce', 'Enforces')], max_length=10)),
                ('document', models.JSONField()),
                ('mode', models.CharField(choices=[('observe', 'Observes'), ('enforce', 'Enforces')], max_length=10)),
                ('snapshot', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='routing.snapshot')),
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
                ('started_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('started_at', models.DateTimeField(blank=True, null=True, verbose_name='first taken')),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('trouble', models.TextField(blank=True, default='')),
                ('result', models.TextField(blank=True, default='')),
                ('digest', models.CharField(blank=True, default='', max_length=64, verbose_name='sha256 of the result')),
            ],
            options={
                'indexes': [models.Index(fields=['revision', '-created_at'], name='simulation_of_revision'), models.Index(fields=['-created_at', '-id'], name='simulation_listed')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['queued', 'running']), ('revision__isnull', False)), fields=('revision',), name='simulation_one_at_a_time', violation_error_message='This revision is being simulated already.'), models.UniqueConstraint(condition=models.Q(('state__in', ['queued', 'running']), ('revision', None)), fields=('started_by', 'workflow'), name='simulation_one_for_each', violation_error_message='A simulation of yours of this workflow is going on already.'), models.CheckConstraint(condition=models.Q(('days__range', (1, 90)), ('since__lt', models.F('until'))), name='simulation_of_some_days', violation_error_message='Simulate 1 to 90 days.'), models.CheckConstraint(condition=models.Q(('revision__isnull', False), ('started_by__isnull', False), _connector='OR'), name='simulation_asked_for', violation_error_message='A simulation is of a change, or somebody asked for it.'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('started_at', None), ('state', 'queued')), models.Q(('ended_at', None), ('started_at__isnull', False), ('state', 'running')), models.Q(('ended_at__isnull', False), ('started_at__isnull', False), ('state', 'done')), models.Q(('ended_at__isnull', False), ('state__in', ['cancelled', 'failed'])), _connector='OR'), name='simulation_state_whole', violation_error_message='A state stands with its times.'), models.CheckConstraint(condition=models.Q(models.Q(('digest__regex', '^[0-9a-f]{64}$'), ('state', 'done'), models.Q(('result', ''), _negated=True)), models.Q(models.Q(('state', 'done'), _negated=True), ('digest', ''), ('result', '')), _connector='OR'), name='simulation_done_found_something', violation_error_message='One that is done has a result with its digest, another one has none.'), models.CheckConstraint(condition=models.Q(('ended_by', None), ('state', 'cancelled'), _connector='OR'), name='simulation_ended_by_cancelling', violation_error_message='A person ends a simulation only by cancelling it.'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'failed'), models.Q(('trouble', ''), _negated=True)), models.Q(models.Q(('state', 'failed'), _negated=True), ('trouble', '')), _connector='OR'), name='simulation_failed_why', violation_error_message='One that broke off says why.'), models.CheckConstraint(condition=models.Q(('token', None), models.Q(('leased_until__isnull', False), ('state__in', ['queued', 'running'])), _connector='OR'), name='simulation_lease_whole', violation_error_message='Who has a simulation has it until a moment, and while it goes on.')],
                'triggers': [pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='4e2a192b53960f321fbd4e7d11b6ae4f9b4321ec', operation='DELETE', pgid='pgtrigger_kept_6e4e3', table='routing_simulation', when='BEFORE')), pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='9ffeac6d8cbb36743a3b6dde10a5249a731335e3', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_19d67', table='routing_simulation', when='BEFORE')), pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.created_at IS DISTINCT FROM OLD.created_at OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.revision_id IS DISTINCT FROM OLD.revision_id OR NEW.base_version_id IS DISTINCT FROM OLD.base_version_id OR NEW.base_mode IS DISTINCT FROM OLD.base_mode OR NEW.document IS DISTINCT FROM OLD.document OR NEW.mode IS DISTINCT FROM OLD.mode OR NEW.snapshot_id IS DISTINCT FROM OLD.snapshot_id OR NEW.days IS DISTINCT FROM OLD.days OR NEW.since IS DISTINCT FROM OLD.since OR NEW.until IS DISTINCT FROM OLD.until OR NEW.started_by_id IS DISTINCT FROM OLD.started_by_id THEN RAISE EXCEPTION '% rows keep their id, created_at, workflow_id, environment_id, revision_id, base_version_id, base_mode, document, mode, snapshot_id, days, since, until, started_by_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='eb59ce7a2c671452dde95ad66fb5bfc9d68320fa', operation='UPDATE', pgid='pgtrigger_fixed_columns_b581e', table='routing_simulation', when='BEFORE')), pgtrigger.compiler.Trigger(name='ends_once', sql=governance.models.guards.GuardSql(func="\n                    IF OLD.ended_at IS NOT NULL THEN\n                        RAISE EXCEPTION 'simulation % has ended', OLD.id USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='53279b15a87c7c866095740c08273300e1bd3d45', operation='UPDATE', pgid='pgtrigger_ends_once_dec15', table='routing_simulation', when='BEFORE')), pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.ended_at IS DISTINCT FROM OLD.ended_at) THEN RETURN NULL; END IF;\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='4ca50b7d27836289e9c306128fb86c5b0e8f99d2', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_7b214', table='routing_simulation', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER'))],
            },
        ),
        migrations.CreateModel(
            name='Evaluation',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('step', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='evaluations', to='governance.step')),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.environment')),
                ('sample_set', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='evaluations', to='routing.sampleset')),
                ('policy_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.policyversion')),
                ('snapshot', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='routing.snapshot')),
                ('ladder', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), size=None)),
                ('left_out', models.JSONField(blank=True, default=dict)),
                ('asks', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('queued', 'Waits for its turn'), ('running', 'Running'), ('done', 'Done'), ('cancelled', 'Cancelled'), ('failed', 'Failed')], default='queued', max_length=10)),
                ('started_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('schedule', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='evaluations', to='routing.evaluationschedule')),
                ('started_at', models.DateTimeField(blank=True, null=True, verbose_name='first sample taken')),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('trouble', models.TextField(blank=True, default='')),
                ('troubled_since', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['step', 'environment', '-ended_at'], name='evaluation_newest'), models.Index(fields=['-created_at', '-id'], name='evaluation_listed')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['queued', 'running'])), fields=('step', 'environment'), name='evaluation_one_at_a_time', violation_error_message='This step is being evaluated in this environment already.'), models.CheckConstraint(condition=models.Q(models.Q(('schedule__isnull', False), ('started_by', None)), models.Q(('schedule', None), ('started_by__isnull', False)), _connector='OR'), name='evaluation_by_someone_or_schedule', violation_error_message='An evaluation is started by a person or by a schedule.'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('started_at', None), ('state', 'queued')), models.Q(('ended_at', None), ('started_at__isnull', False), ('state', 'running')), models.Q(('ended_at__isnull', False), ('started_at__isnull', False), ('state', 'done')), models.Q(('ended_at__isnull', False), ('state__in', ['cancelled', 'failed'])), _connector='OR'), name='evaluation_state_whole', violation_error_message='A state stands with its times.'), models.CheckConstraint(condition=models.Q(('ended_by', None), ('state', 'cancelled'), _connector='OR'), name='evaluation_ended_by_cancelling', violation_error_message='A person ends an evaluation only by cancelling it.'), models.CheckConstraint(condition=models.Q(('asks__gt', 0), ('ladder__len__gt', 0)), name='evaluation_asks_something', violation_error_message='An evaluation asks at least one model one sample.'), models.CheckConstraint(condition=models.Q(('troubled_since', None), models.Q(('trouble', ''), _negated=True), _connector='OR'), name='evaluation_trouble_told', violation_error_message='Trouble has a reason.')],
                'triggers': [pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='269eee0d8983470c8e5e2e8d9ef7787745e4a0ef', operation='DELETE', pgid='pgtrigger_kept_8f005', table='routing_evaluation', when='BEFORE')), pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='ff733c2fcee82b84f88f201385463a9f4449e6c6', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_0dd68', table='routing_evaluation', when='BEFORE')), pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.created_at IS DISTINCT FROM OLD.created_at OR NEW.step_id IS DISTINCT FROM OLD.step_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.sample_set_id IS DISTINCT FROM OLD.sample_set_id OR NEW.policy_version_id IS DISTINCT FROM OLD.policy_version_id OR NEW.snapshot_id IS DISTINCT FROM OLD.snapshot_id OR NEW.ladder IS DISTINCT FROM OLD.ladder OR NEW.left_out IS DISTINCT FROM OLD.left_out OR NEW.asks IS DISTINCT FROM OLD.asks OR NEW.started_by_id IS DISTINCT FROM OLD.started_by_id OR NEW.schedule_id IS DISTINCT FROM OLD.schedule_id THEN RAISE EXCEPTION '% rows keep their id, created_at, step_id, environment_id, sample_set_id, policy_version_id, snapshot_id, ladder, left_out, asks, started_by_id, schedule_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='051af48a9aeee6f30ef92cfffdb79bd8bb0ac88b', operation='UPDATE', pgid='pgtrigger_fixed_columns_eae32', table='routing_evaluation', when='BEFORE')), pgtrigger.compiler.Trigger(name='ends_once', sql=governance.models.guards.GuardSql(func="\n                    IF OLD.ended_at IS NOT NULL THEN\n                        RAISE EXCEPTION 'evaluation % has ended', OLD.id USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='be44f4b5cdaabc88674587996bf5455febd15dc0', operation='UPDATE', pgid='pgtrigger_ends_once_bbf39', table='routing_evaluation', when='BEFORE')), pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NOT (NEW.ended_at IS DISTINCT FROM OLD.ended_at) THEN RETURN NULL; END IF;\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='4ac80b46ce76affdf50b5c50de577cd88a20032c', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_3ce36', table='routing_evaluation', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER'))],
            },
        ),
        migrations.CreateModel(
            name='EvaluationChunk',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('evaluation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='chunks', to='routing.evaluation')),
                ('number', models.PositiveIntegerField()),
                ('first', models.PositiveIntegerField(verbose_name='position of its first sample')),
                ('last', models.PositiveIntegerField(verbose_name='position of its last sample')),
                ('token', models.UUIDField(null=True)),
                ('leased_until', models.DateTimeField(null=True)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('done_at', models.DateTimeField(null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('done_at', None)), fields=['evaluation', 'number'], name='evaluationchunk_open')],
                'constraints': [models.UniqueConstraint(fields=('evaluation', 'number'), name='evaluationchunk_number_once', violation_error_message='This evaluation has a chunk of that number already.'), models.CheckConstraint(condition=models.Q(('first__gt', 0), ('last__gte', models.F('first'))), name='evaluationchunk_samples_in_order', violation_error_message='A chunk has at least one sample.'), models.CheckConstraint(condition=models.Q(('token', None), models.Q(('done_at', None), ('leased_until__isnull', False)), _connector='OR'), name='evaluationchunk_lease_whole', violation_error_message='Who has a chunk has it until a moment, and while it is not done.')],
            },
        ),
        migrations.CreateModel(
            name='EvaluationResult',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('evaluation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='results', to='routing.evaluation')),
                ('sample', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='results', to='routing.sample')),
                ('model', models.CharField(max_length=200)),
                ('outcome', models.CharField(choices=[('ok', 'Answered'), ('error', 'Error'), ('timeout', 'Timeout')], max_length=10)),
                ('error', models.CharField(blank=True, default='', max_length=80)),
                ('label', models.CharField(max_length=200, null=True)),
                ('correct', models.BooleanField()),
                ('confidence', models.FloatField(null=True)),
                ('stop_reason', models.CharField(max_length=200, null=True)),
                ('latency_ms', models.PositiveIntegerField()),
                ('input_tokens', models.PositiveIntegerField(null=True)),
                ('output_tokens', models.PositiveIntegerField(null=True)),
                ('cost', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('currency', models.CharField(max_length=3, null=True)),
                ('decision', models.UUIDField(null=True)),
                ('asked_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('evaluation', 'sample', 'model'), name='evaluationresult_once', violation_error_message='This model was asked this sample already.'), models.CheckConstraint(condition=models.Q(models.Q(('error', ''), ('outcome', 'ok')), models.Q(('correct', False), ('label', None), ('outcome__in', ['error', 'timeout'])), _connector='OR'), name='evaluationresult_outcome_whole', violation_error_message='An answer has no error, and without an answer nothing is right.'), models.CheckConstraint(condition=models.Q(('correct', False), ('label__isnull', False), _connector='OR'), name='evaluationresult_right_says_what', violation_error_message='A right answer is one of the labels.'), models.CheckConstraint(condition=models.Q(('confidence', None), ('confidence__range', (0, 1)), _connector='OR'), name='evaluationresult_confidence_range', violation_error_message='A confidence lies between 0 and 1.'), models.CheckConstraint(condition=models.Q(models.Q(('cost', None), ('currency', None)), models.Q(('cost__gte', 0), ('currency__isnull', False)), _connector='OR'), name='evaluationresult_cost_whole', violation_error_message='A cost is not negative and has a currency.')],
                'triggers': [pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='d759d95adf9c1a9777bdc26edd6da7ac4869d8e1', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_8de2b', table='routing_evaluationresult', when='BEFORE')), pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='f152488971798b0d6087da91bee8426355e9b6f1', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_a7af8', table='routing_evaluationresult', when='BEFORE'))],
            },
        ),
        migrations.CreateModel(
            name='EvaluationScore',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('evaluation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='scores', to='routing.evaluation')),
                ('model', models.CharField(max_length=200, null=True)),
                ('n', models.PositiveIntegerField()),
                ('correct', models.PositiveIntegerField()),
                ('errors', models.PositiveIntegerField()),
                ('timeouts', models.PositiveIntegerField()),
                ('person', models.PositiveIntegerField()),
                ('kept', models.PositiveIntegerField()),
                ('low', models.FloatField(null=True)),
                ('high', models.FloatField(null=True)),
                ('latency_p50_ms', models.PositiveIntegerField()),
                ('latency_p95_ms', models.PositiveIntegerField()),
                ('cost', models.DecimalField(decimal_places=10, max_digits=30, null=True)),
                ('currency', models.CharField(max_length=3, null=True)),
                ('unpriced', models.PositiveIntegerField()),
                ('gained', models.PositiveIntegerField()),
                ('lost', models.PositiveIntegerField()),
                ('p_value', models.FloatField(null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('evaluation', 'model'), name='evaluationscore_once', nulls_distinct=False, violation_error_message='This evaluation has that score already.'), models.CheckConstraint(condition=models.Q(('n__gt', 0), ('n__gte', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('correct'), '+', models.F('errors')), '+', models.F('timeouts')), '+', models.F('person'))), ('kept__lte', models.F('n')), ('unpriced__lte', models.F('n'))), name='evaluationscore_counts_make_sense', violation_error_message='Right, failed and escalated samples are parts of all.'), models.CheckConstraint(condition=models.Q(models.Q(('high', None), ('low', None)), models.Q(('high__lte', 1), ('low__gte', 0), ('low__lte', models.F('high'))), _connector='OR'), name='evaluationscore_interval_whole', violation_error_message='An interval has two bounds between 0 and 1.'), models.CheckConstraint(condition=models.Q(models.Q(('cost', None), ('currency', None)), models.Q(('cost__gte', 0), ('currency__isnull', False), ('unpriced__lt', models.F('n'))), _connector='OR'), name='evaluationscore_cost_whole', violation_error_message='A cost is not negative, has a currency and is that of some sample.')],
                'triggers': [pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='70c906ba76a2dbf672c7b74b88d6ea96285f0f96', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_49d41', table='routing_evaluationscore', when='BEFORE')), pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='0d7afc555b80d4f3005d724daa30a51be2130261', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_a666b', table='routing_evaluationscore', when='BEFORE'))],
            },
        ),
    ]
