"""The Merkle log over the audit events: epochs, leaves, nodes and checkpoints, owned as the events are."""

import governance.models.audit
import governance.models.guards
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


TABLES = ("governance_auditepoch", "governance_auditleaf", "governance_auditnode", "governance_auditcheckpoint")


def hand_over(apps, schema_editor):
    """Give the tables to the audit role: the application may add to them and read them, nothing more."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, quote_ident(tgname), tgfoid::regprocedure::text FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgrelid = ANY (%s::regclass[])",
            [list(TABLES)],
        )
        guards = cursor.fetchall()
        for _table, _trigger, function in guards:
            cursor.execute(f"ALTER FUNCTION {function} OWNER TO smallfirst_audit")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} OWNER TO smallfirst_audit")
        cursor.execute("SET LOCAL ROLE smallfirst_audit")
        for table, trigger, _function in guards:
            # ALWAYS: also for a session in replication mode, which skips ordinary triggers.
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
        for table in TABLES:
            cursor.execute(f"REVOKE ALL ON {table} FROM PUBLIC, smallfirst_app, smallfirst_migrator")
            cursor.execute(f"GRANT SELECT, INSERT ON {table} TO smallfirst_app, smallfirst_migrator")
        cursor.execute("RESET ROLE")


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0009_reviewbody_kept'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEpoch',
            fields=[
                ('number', models.PositiveIntegerField(primary_key=True, serialize=False)),
                ('origin', models.CharField(max_length=80, verbose_name='name of the log')),
                ('system_identifier', models.CharField(max_length=20)),
                ('first_xid', governance.models.audit.TransactionIdField()),
                ('size', models.PositiveBigIntegerField(verbose_name='leaves when its own began')),
                ('began_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='AuditLeaf',
            fields=[
                ('index', models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ('event_id', models.UUIDField(unique=True)),
                ('hash', models.CharField(max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='AuditNode',
            fields=[
                ('pk', models.CompositePrimaryKey('level', 'index', blank=True, editable=False, primary_key=True, serialize=False)),
                ('level', models.PositiveSmallIntegerField()),
                ('index', models.PositiveBigIntegerField()),
                ('hash', models.CharField(max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='AuditCheckpoint',
            fields=[
                ('number', models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ('size', models.PositiveBigIntegerField()),
                ('root', models.CharField(max_length=64)),
                ('at', models.DateTimeField()),
                ('note', models.TextField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('root__regex', '^[0-9a-f]{64}$'), ('number__gte', 1), ('size__gte', 1)), name='auditcheckpoint_form', violation_error_message='A checkpoint speaks of at least one leaf; its root is 64 hexadecimal digits.')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditcheckpoint',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='60fa0fc8f527c5ba96998a4def6a3b03681815c6', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_98b70', table='governance_auditcheckpoint', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditcheckpoint',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='01794cdca63f2c3d3c7bd0af72f18aa09374b6d4', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_18eac', table='governance_auditcheckpoint', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='auditepoch',
            constraint=models.CheckConstraint(condition=models.Q(('number__gte', 1), ('system_identifier__regex', '^[0-9]+$')), name='auditepoch_numbered', violation_error_message='Epochs count from 1, and name their cluster by its number.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditepoch',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='d47683ffa3c9dd6fe6090d167505d3135733f1e0', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_fd13e', table='governance_auditepoch', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditepoch',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='be0f5c305db26e968b5441a22483a5377dc34af4', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_d8f75', table='governance_auditepoch', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='auditleaf',
            constraint=models.CheckConstraint(condition=models.Q(('hash__regex', '^[0-9a-f]{64}$')), name='auditleaf_hash_form', violation_error_message='A hash is 64 hexadecimal digits.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditleaf',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='be8ac2a1382a11b9561ab0417f4705501bd31bc1', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_b0c21', table='governance_auditleaf', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditleaf',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='442d8f69a578c46f0e4da626e897d857c5aed7e5', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_1e920', table='governance_auditleaf', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='auditnode',
            constraint=models.CheckConstraint(condition=models.Q(('hash__regex', '^[0-9a-f]{64}$'), ('level__gte', 1)), name='auditnode_form', violation_error_message='A node stands above the leaves; its hash is 64 hexadecimal digits.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditnode',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='8dc53d1851a484afbce0839e0f48a8272fa525fe', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_75d8a', table='governance_auditnode', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditnode',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='2e5dda009b48f183e0ab8d843a0c3753bfa2cfd5', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_0a818', table='governance_auditnode', when='BEFORE')),
        ),
        migrations.RunPython(hand_over, migrations.RunPython.noop),
    ]
