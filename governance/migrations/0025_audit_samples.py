"""Samples drawn from the audit log, in a table owned as the log itself is."""

import django.contrib.postgres.fields
import django.utils.timezone
import governance.models.guards
import governance.models.ids
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


TABLE = "governance_auditsample"


def hand_over(apps, schema_editor):
    """Give the table to the audit role: the application may add to it and read it, nothing more."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT quote_ident(tgname), tgfoid::regprocedure::text FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgrelid = %s::regclass",
            [TABLE],
        )
        guards = cursor.fetchall()
        for _trigger, function in guards:
            cursor.execute(f"ALTER FUNCTION {function} OWNER TO smallfirst_audit")
        cursor.execute(f"ALTER TABLE {TABLE} OWNER TO smallfirst_audit")
        cursor.execute("SET LOCAL ROLE smallfirst_audit")
        for trigger, _function in guards:
            # ALWAYS: also for a session in replication mode, which skips ordinary triggers.
            cursor.execute(f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {trigger}")
        cursor.execute(f"REVOKE ALL ON {TABLE} FROM PUBLIC, smallfirst_app, smallfirst_migrator")
        cursor.execute(f"GRANT SELECT, INSERT ON {TABLE} TO smallfirst_app, smallfirst_migrator")
        cursor.execute("RESET ROLE")


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0024_required_checks'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditSample',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('actor_id', models.CharField(max_length=80)),
                ('actor_name', models.CharField(max_length=120)),
                ('purpose', models.CharField(blank=True, default='', max_length=200)),
                ('acts', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=60), blank=True, size=None)),
                ('since', models.DateTimeField()),
                ('until', models.DateTimeField()),
                ('seed', models.CharField(max_length=200)),
                ('n', models.PositiveIntegerField(verbose_name='entries asked for')),
                ('checkpoint', models.PositiveBigIntegerField(verbose_name='number of the checkpoint')),
                ('size', models.PositiveBigIntegerField(default=0, editable=False, verbose_name='leaves under the checkpoint')),
                ('root', models.CharField(default='', editable=False, max_length=64, verbose_name='root over them')),
                ('population', models.PositiveBigIntegerField(default=0, editable=False)),
                ('draws', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveBigIntegerField(), default=list, editable=False, size=None)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('since__lt', models.F('until'))), name='auditsample_period', violation_error_message='The period ends before it begins.'), models.CheckConstraint(condition=models.Q(('n__gte', 1), ('n__lte', 1000)), name='auditsample_n', violation_error_message='A sample has 1 to 1,000 entries.'), models.CheckConstraint(condition=models.Q(models.Q(('seed', ''), _negated=True), models.Q(('actor_id', ''), _negated=True), ('root__regex', '^[0-9a-f]{64}$')), name='auditsample_form', violation_error_message='A sample names who drew it, a seed, and a root of 64 hexadecimal digits.')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditsample',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='deed2a3ddc2f95127ff2b40283dab445f21874b4', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_a6d9a', table='governance_auditsample', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditsample',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='9f899b310ea90ae380e7d42c4f236e8350bd75c8', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_a8322', table='governance_auditsample', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditsample',
            trigger=pgtrigger.compiler.Trigger(name='drawn_by_the_database', sql=governance.models.guards.GuardSql(declare='DECLARE signed governance_auditcheckpoint%ROWTYPE;', func="\n                    SELECT * INTO signed FROM governance_auditcheckpoint WHERE number = NEW.checkpoint;\n                    IF NOT FOUND OR NEW.until > signed.at THEN\n                        RAISE EXCEPTION 'no checkpoint % was signed after that period', NEW.checkpoint\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    NEW.size := signed.size;\n                    NEW.root := signed.root;\n                    WITH population AS (\n                        SELECT l.index, sha256(convert_to(NEW.seed, 'UTF8') || decode(l.hash, 'hex')) AS ticket\n                        FROM governance_auditevent e JOIN governance_auditleaf l ON l.event_id = e.id\n                        WHERE l.index < NEW.size AND e.at >= NEW.since AND e.at < NEW.until\n                            AND (cardinality(NEW.acts) = 0 OR e.action = ANY (NEW.acts))\n                    )\n                    SELECT (SELECT count(*) FROM population),\n                        ARRAY(SELECT index FROM population ORDER BY ticket, index LIMIT NEW.n)\n                    INTO NEW.population, NEW.draws;\n                    RETURN NEW;\n                ", hash='d034ca5cb5edc0639b6047d06d29846674120f39', operation='INSERT', pgid='pgtrigger_drawn_by_the_database_a7705', table='governance_auditsample', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditsample',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='cd406ae66f22b91e940a6f8a1bb90039fab8b830', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_e0012', table='governance_auditsample', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.RunPython(hand_over, migrations.RunPython.noop),
    ]
