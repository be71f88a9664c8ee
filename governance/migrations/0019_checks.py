"""Checks: what was found out about a revision, and which simulation each vote saw."""

import django.db.models.deletion
import django.utils.timezone
import governance.models.guards
import governance.models.ids
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


# The newest check of a kind of a change, and how it stands to the change now: `missing` without one, `revised` where it
# is of an earlier revision, `moved` where another version is live than the one it compares with, `old` when its time is
# over, `failed`, else `fresh`. In this order, because that is the order in which people have to act.
STANDING = """
CREATE FUNCTION governance_check_standing(asked uuid, asked_kind text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT jsonb_build_object(
            'id', found.id, 'digest', found.digest, 'number', revision.number,
            'made_at', found.created_at, 'valid_until', found.valid_until,
            'state', CASE
                WHEN found.revision_id <> change.revision_id THEN 'revised'
                WHEN found.base_id IS DISTINCT FROM head.version_id THEN 'moved'
                WHEN found.valid_until <= clock_timestamp() THEN 'old'
                WHEN found.verdict <> 'passed' THEN 'failed'
                ELSE 'fresh'
            END
        )
        FROM governance_change change
        JOIN governance_revision revision ON revision.change_id = change.id
        JOIN governance_check found ON found.revision_id = revision.id AND found.kind = asked_kind
        LEFT JOIN governance_policyhead head
            ON head.workflow_id = change.workflow_id AND head.environment_id = change.environment_id
        WHERE change.id = asked
        ORDER BY revision.number DESC, found.number DESC
        LIMIT 1
    ), '{"state": "missing"}'::jsonb)
$$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0018_rollbacks'),
    ]

    operations = [
        migrations.CreateModel(
            name='Check',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('kind', models.CharField(choices=[('simulation', 'Simulation')], max_length=20)),
                ('number', models.PositiveIntegerField(verbose_name='which of this kind of this revision')),
                ('digest', models.CharField(max_length=64, verbose_name='sha256 of what was found')),
                ('verdict', models.CharField(choices=[('passed', 'Passed'), ('failed', 'Failed')], max_length=10)),
                ('valid_until', models.DateTimeField()),
            ],
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='vote',
            trigger=pgtrigger.compiler.Trigger(name='voter_saw_the_newest', sql=governance.models.guards.GuardSql(func="\n        IF NEW.simulation_id IS DISTINCT FROM (\n            SELECT id FROM governance_check WHERE revision_id = NEW.revision_id AND kind = 'simulation'\n                ORDER BY number DESC LIMIT 1\n        ) THEN\n            RAISE EXCEPTION 'a vote names the newest simulation of what it is on' USING ERRCODE = 'check_violation';\n        END IF;\n        RETURN NEW;\n    ", hash='cea226887748bedda70d09cdfb13c3784cf91b80', operation='INSERT', pgid='pgtrigger_voter_saw_the_newest_080ab', table='governance_vote', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='check',
            name='base',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.policyversion'),
        ),
        migrations.AddField(
            model_name='check',
            name='revision',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='checks', to='governance.revision'),
        ),
        migrations.AddField(
            model_name='vote',
            name='simulation',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.check'),
        ),
        migrations.AddConstraint(
            model_name='check',
            constraint=models.UniqueConstraint(fields=('revision', 'kind', 'number'), name='check_number_once', violation_error_message='This revision has a check of that number already.'),
        ),
        migrations.AddConstraint(
            model_name='check',
            constraint=models.CheckConstraint(condition=models.Q(('kind', 'simulation')), name='check_kind_known', violation_error_message='Choose one of the kinds of checks.'),
        ),
        migrations.AddConstraint(
            model_name='check',
            constraint=models.CheckConstraint(condition=models.Q(('verdict__in', ['passed', 'failed'])), name='check_verdict_known', violation_error_message='A check has passed or failed.'),
        ),
        migrations.AddConstraint(
            model_name='check',
            constraint=models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='check_digest_form', violation_error_message='A digest is 64 hexadecimal digits.'),
        ),
        migrations.AddConstraint(
            model_name='check',
            constraint=models.CheckConstraint(condition=models.Q(('number__gt', 0), ('valid_until__gt', models.F('created_at'))), name='check_holds_a_while', violation_error_message='Checks count from 1, and hold for a while.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='check',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='1eb9f9b1314def278259a3fb718f1c0892b50e75', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_4122c', table='governance_check', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='check',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='a6ac205c4649ce47bf646858b10fe3415ac3614e', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_a0b0b', table='governance_check', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='check',
            trigger=pgtrigger.compiler.Trigger(name='of_present_form', sql=governance.models.guards.GuardSql(declare='DECLARE revision governance_revision%ROWTYPE; change governance_change%ROWTYPE;', func="\n                    SELECT * INTO revision FROM governance_revision WHERE id = NEW.revision_id;\n                    SELECT * INTO change FROM governance_change WHERE id = revision.change_id FOR UPDATE;\n                    IF change.revision_id <> revision.id OR change.state NOT IN ('in_review', 'approved', 'stale') THEN\n                        RAISE EXCEPTION 'change % has another content by now, or has ended', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF NEW.base_id IS DISTINCT FROM revision.base_version_id THEN\n                        RAISE EXCEPTION 'change % starts from another version than was compared', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='5421af522adb66dc8623f81ae700b3a3acff21c6', operation='INSERT', pgid='pgtrigger_of_present_form_68257', table='governance_check', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='check',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT change_id::text FROM governance_revision WHERE id = NEW.revision_id) AND object_type || '' = 'change') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='67581dd2f3b9008270539aaad90f52d0a1509f18', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_38d73', table='governance_check', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.RunSQL(STANDING, "DROP FUNCTION governance_check_standing(uuid, text)"),
    ]
