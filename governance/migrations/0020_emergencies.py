"""Emergencies: a head may move without votes, for hours, and what moved so is no measure of what changes after it."""

from importlib import import_module

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


# Why no emergency makes a change live, as the end of a sentence; empty where one may. Asked while the head still says
# what is live. An emergency does not go through a stop, nor through an objection, nor on from another emergency.
WHY_NOT = """
CREATE FUNCTION governance_why_no_emergency(asked uuid) RETURNS text LANGUAGE sql STABLE AS $$
    WITH named AS (
        SELECT model.title
        FROM governance_change change
        JOIN governance_revision revision ON revision.id = change.revision_id
        JOIN governance_policyversion version ON version.id = revision.version_id
        CROSS JOIN LATERAL jsonb_path_query(version.document, '$.steps[*].ladder[*].model') AS rung(called)
        JOIN governance_model model ON model.name = rung.called #>> '{}'
        JOIN governance_stop stop ON stop.model_id = model.id AND stop.lifted_at IS NULL
        WHERE change.id = asked
    ), newest AS (
        SELECT DISTINCT ON (vote.voter_id) vote.voter_id, vote.choice
        FROM governance_vote vote JOIN governance_change change ON change.revision_id = vote.revision_id
        WHERE change.id = asked ORDER BY vote.voter_id, vote.number DESC
    )
    SELECT CASE
        WHEN change.kind <> 'policy'
            THEN 'approval rules wait for votes'
        WHEN head.id IS NULL
            THEN 'nothing is live there that it could go back to'
        WHEN EXISTS (
            SELECT FROM governance_stop WHERE workflow_id IS NULL AND model_id IS NULL AND lifted_at IS NULL
        )
            THEN 'everything is stopped'
        WHEN EXISTS (SELECT FROM governance_stop WHERE workflow_id = change.workflow_id AND lifted_at IS NULL)
            THEN 'its workflow is stopped'
        WHEN EXISTS (SELECT FROM named)
            THEN 'its model ' || (SELECT min(title) FROM named) || ' is stopped'
        WHEN EXISTS (
            SELECT FROM newest WHERE choice IN ('request_changes', 'reject')
                AND voter_id IN (SELECT user_id FROM governance_voters(asked))
        )
            THEN 'somebody who may vote is against it'
        WHEN EXISTS (SELECT FROM governance_emergency WHERE change_id = head.change_id AND outcome = '')
            THEN 'what is live there is so by an emergency already'
        WHEN EXISTS (
            SELECT FROM governance_emergency glass
            JOIN governance_change broken ON broken.id = glass.change_id
            WHERE broken.workflow_id = change.workflow_id AND broken.id <> asked
                AND glass.created_at < clock_timestamp() - interval '2 days'
                AND NOT EXISTS (SELECT FROM governance_hindsight h WHERE h.emergency_id = glass.id)
        )
            THEN 'nobody has looked back at an earlier emergency of this workflow, and that is overdue'
        ELSE ''
    END
    FROM governance_change change
    LEFT JOIN governance_policyhead head
        ON head.workflow_id = change.workflow_id AND head.environment_id = change.environment_id
    WHERE change.id = asked
$$;
"""

# Asked by the trigger of a policy head, of the change of an emergency and of the one that goes back from it.
REFUSE = """
CREATE FUNCTION governance_refuse_emergency(asked uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    change governance_change%ROWTYPE;
    revision governance_revision%ROWTYPE;
    glass governance_emergency%ROWTYPE;
    why text;
BEGIN
    SELECT * INTO change FROM governance_change WHERE id = asked FOR UPDATE;
    SELECT * INTO revision FROM governance_revision WHERE id = change.revision_id;
    SELECT * INTO glass FROM governance_emergency WHERE asked IN (change_id, back_id);
    IF glass.change_id = asked THEN
        IF glass.outcome <> '' OR glass.until > clock_timestamp() + interval '24 hours'
            OR glass.digest <> revision.payload_digest
        THEN
            RAISE EXCEPTION 'the emergency of change % is over, or too long', change.number
                USING ERRCODE = 'check_violation';
        END IF;
        IF change.applied_by_id <> glass.by_id
            OR glass.by_id NOT IN (SELECT user_id FROM governance_voters(asked))
        THEN
            RAISE EXCEPTION 'nobody breaks the glass for change % who had a hand in it, or may not vote there',
                change.number USING ERRCODE = 'check_violation';
        END IF;
        why := governance_why_no_emergency(asked);
        IF why <> '' THEN
            RAISE EXCEPTION 'no emergency makes change % live: %', change.number, why
                USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NOT EXISTS (
        SELECT FROM governance_revision broken
        JOIN governance_policyversion before ON before.id = broken.base_version_id
        JOIN governance_revision was ON was.version_id = before.id
        JOIN governance_policyversion made ON made.id = revision.version_id
        WHERE broken.change_id = glass.change_id AND broken.version_id = revision.base_version_id
            AND made.document = before.document AND made.digest = before.digest AND revision.mode = was.mode
    ) THEN
        RAISE EXCEPTION 'change % does not go back to what was live before the emergency', change.number
            USING ERRCODE = 'check_violation';
    END IF;
END
$$;
"""

_rollbacks = import_module("governance.migrations.0018_rollbacks")
_requirement = import_module("governance.migrations.0014_requirement")

# Nobody goes back at once to what had no votes.
EARLIER_BEFORE = _rollbacks.EARLIER.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
EARLIER = EARLIER_BEFORE.replace(
    "back.change_id = made.id) AS",
    """back.change_id = made.id)
                OR EXISTS (SELECT FROM governance_emergency e WHERE made.id IN (e.change_id, e.back_id)) AS""",
)

# What a change alters is measured against what was live before an emergency: to let the same stay, it asks for what it
# would have asked for.
FACTS_BEFORE = _requirement.FACTS.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
FACTS = FACTS_BEFORE.replace(
    "WITH compared AS",
    """WITH started AS (
        SELECT coalesce((
            SELECT broken.base_version_id
            FROM governance_emergency glass JOIN governance_revision broken ON broken.change_id = glass.change_id
            WHERE broken.version_id = $4
        ), $4) AS earlier
    ), compared AS""",
).replace("= base)", "= (SELECT earlier FROM started))")


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0019_checks'),
    ]

    operations = [
        migrations.CreateModel(
            name='Emergency',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('digest', models.CharField(max_length=64, verbose_name='sha256 of what became live')),
                ('reason', models.TextField(max_length=2000)),
                ('confirmed_at', models.DateTimeField()),
                ('until', models.DateTimeField()),
                ('outcome', models.CharField(blank=True, choices=[('reverted', 'Taken back'), ('replaced', 'Replaced')], default='', max_length=20)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Hindsight',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('opinion', models.CharField(choices=[('right', 'It was right'), ('wrong', 'It was not right')], max_length=10)),
                ('reason', models.TextField(max_length=2000)),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='policyhead',
            name='moves_by_votes',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policyhead',
            trigger=pgtrigger.compiler.Trigger(name='moves_by_votes', sql=governance.models.guards.GuardSql(declare='DECLARE live uuid; change governance_change%ROWTYPE; revision governance_revision%ROWTYPE;', func="\n    IF TG_OP = 'UPDATE' THEN\n        IF (NEW.id, NEW.workflow_id, NEW.environment_id) IS DISTINCT FROM (OLD.id, OLD.workflow_id, OLD.environment_id)\n        THEN\n            RAISE EXCEPTION 'a policy head stays with its workflow and environment'\n                USING ERRCODE = 'check_violation';\n        END IF;\n        live := OLD.version_id;\n    END IF;\n    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n    IF NOT FOUND OR change.state <> 'applied' THEN\n        RAISE EXCEPTION 'a policy head moves only to the version of an applied change'\n            USING ERRCODE = 'check_violation';\n    END IF;\n    IF (change.workflow_id, change.environment_id) IS DISTINCT FROM (NEW.workflow_id, NEW.environment_id) THEN\n        RAISE EXCEPTION 'change % belongs to another workflow or environment', change.number\n            USING ERRCODE = 'check_violation';\n    END IF;\n    SELECT * INTO revision FROM governance_revision WHERE change_id = change.id ORDER BY number DESC LIMIT 1;\n    IF NOT FOUND OR revision.id <> change.revision_id OR revision.version_id <> NEW.version_id\n        OR revision.mode <> NEW.mode\n    THEN\n        RAISE EXCEPTION 'change % does not lead to this version and mode', change.number\n            USING ERRCODE = 'check_violation';\n    END IF;\n    IF revision.base_version_id IS DISTINCT FROM live THEN\n        RAISE EXCEPTION 'change % starts from another version than the live one', change.number\n            USING ERRCODE = 'check_violation';\n    END IF;\n    IF EXISTS (SELECT FROM governance_rollback WHERE change_id = change.id) THEN\n        PERFORM governance_refuse_rollback(change.id);\n    ELSIF EXISTS (SELECT FROM governance_emergency WHERE change.id IN (change_id, back_id)) THEN\n        PERFORM governance_refuse_emergency(change.id);\n    ELSE\n        PERFORM governance_refuse_unapproved(change.id);\n    END IF;\n    RETURN NEW;\n", hash='c12e5e1d3461cae26ce54a6809cfe73d6ea13ccf', operation='INSERT OR UPDATE', pgid='pgtrigger_moves_by_votes_1bfbe', table='governance_policyhead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policyhead',
            trigger=pgtrigger.compiler.Trigger(name='ends_emergencies', sql=governance.models.guards.GuardSql(func="\n                    UPDATE governance_emergency SET ended_at = clock_timestamp(), outcome = 'replaced'\n                    WHERE change_id = OLD.change_id AND OLD.change_id <> NEW.change_id AND outcome = '';\n                    RETURN NULL;\n                ", hash='341e36e7403786749af63c07b7d28de2a4d199a6', operation='UPDATE', pgid='pgtrigger_ends_emergencies_439a5', table='governance_policyhead', when='AFTER')),
        ),
        migrations.AddField(
            model_name='emergency',
            name='back',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reverts', to='governance.change'),
        ),
        migrations.AddField(
            model_name='emergency',
            name='by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='emergency',
            name='change',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='emergency', to='governance.change'),
        ),
        migrations.AddField(
            model_name='hindsight',
            name='by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='hindsight',
            name='emergency',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='hindsight', to='governance.emergency'),
        ),
        migrations.AddIndex(
            model_name='emergency',
            index=models.Index(condition=models.Q(('outcome', '')), fields=['until'], name='emergency_holding'),
        ),
        migrations.AddConstraint(
            model_name='emergency',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='emergency_reason_given', violation_error_message='Say what the emergency is.'),
        ),
        migrations.AddConstraint(
            model_name='emergency',
            constraint=models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='emergency_digest_form', violation_error_message='A digest is 64 hexadecimal digits.'),
        ),
        migrations.AddConstraint(
            model_name='emergency',
            constraint=models.CheckConstraint(condition=models.Q(('confirmed_at__gte', django.db.models.expressions.CombinedExpression(models.F('created_at'), '-', models.Value(datetime.timedelta(seconds=300)))), ('confirmed_at__lte', models.F('created_at'))), name='emergency_confirmed', violation_error_message='Give your password again: five minutes at most before.'),
        ),
        migrations.AddConstraint(
            model_name='emergency',
            constraint=models.CheckConstraint(condition=models.Q(('until__gt', models.F('created_at')), ('until__lte', django.db.models.expressions.CombinedExpression(models.F('created_at'), '+', models.Value(datetime.timedelta(days=1))))), name='emergency_until_within_a_day', violation_error_message='An emergency lasts 24 hours at most.'),
        ),
        migrations.AddConstraint(
            model_name='emergency',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('back', None), ('ended_at', None), ('outcome', '')), models.Q(('back__isnull', False), ('ended_at__isnull', False), ('outcome', 'reverted')), models.Q(('back', None), ('ended_at__isnull', False), ('outcome', 'replaced')), _connector='OR'), name='emergency_outcome_told', violation_error_message='An emergency that ended says when and how.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='emergency',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='58cb9c2e3d938fbd4e702830e07f9c4f00d01094', operation='DELETE', pgid='pgtrigger_kept_7f3df', table='governance_emergency', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='emergency',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='ffb597d6ab326d4b2d6e05957c31e0b633b3c0d1', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_7c644', table='governance_emergency', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='emergency',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.created_at IS DISTINCT FROM OLD.created_at OR NEW.change_id IS DISTINCT FROM OLD.change_id OR NEW.digest IS DISTINCT FROM OLD.digest OR NEW.by_id IS DISTINCT FROM OLD.by_id OR NEW.reason IS DISTINCT FROM OLD.reason OR NEW.confirmed_at IS DISTINCT FROM OLD.confirmed_at OR NEW.until IS DISTINCT FROM OLD.until THEN RAISE EXCEPTION '% rows keep their id, created_at, change_id, digest, by_id, reason, confirmed_at, until', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='90497feb8acd212a6db594184df1dbf05fa30f71', operation='UPDATE', pgid='pgtrigger_fixed_columns_c0d34', table='governance_emergency', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='emergency',
            trigger=pgtrigger.compiler.Trigger(name='of_a_change', sql=governance.models.guards.GuardSql(declare='DECLARE change governance_change%ROWTYPE; revision governance_revision%ROWTYPE;', func="\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    SELECT * INTO revision FROM governance_revision WHERE id = change.revision_id;\n                    IF TG_OP = 'INSERT' THEN\n                        IF change.state <> 'approved' OR NEW.digest <> revision.payload_digest OR NEW.outcome <> '' THEN\n                            RAISE EXCEPTION 'change % is not about to become live with this content', change.number\n                                USING ERRCODE = 'check_violation';\n                        END IF;\n                    ELSIF OLD.outcome <> '' AND NEW IS DISTINCT FROM OLD THEN\n                        RAISE EXCEPTION 'this emergency has ended' USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='e03d3fabd6649f337eaa4aee19000ab00fff7346', operation='INSERT OR UPDATE', pgid='pgtrigger_of_a_change_b9c58', table='governance_emergency', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='emergency',
            trigger=pgtrigger.compiler.Trigger(name='holds_while_live', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', declare='DECLARE live boolean;', func="\n                    SELECT EXISTS (SELECT FROM governance_policyhead WHERE change_id = NEW.change_id) INTO live;\n                    IF live <> (SELECT outcome = '' FROM governance_emergency WHERE id = NEW.id) THEN\n                        RAISE EXCEPTION 'an emergency holds as long as its change is live'\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NULL;\n                ", hash='2c1823d41391569e2c22fbd47205377a869f1d37', operation='INSERT OR UPDATE', pgid='pgtrigger_holds_while_live_8c337', table='governance_emergency', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='emergency',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT NEW.change_id::text UNION SELECT later.change_id::text FROM governance_revision own JOIN governance_revision later ON later.base_version_id = own.version_id WHERE own.change_id = NEW.change_id) AND object_type || '' = 'change') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='ea6ef113cf13cd400c5bba719812476286e8a92a', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_78c72', table='governance_emergency', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='hindsight',
            constraint=models.CheckConstraint(condition=models.Q(('opinion__in', ['right', 'wrong'])), name='hindsight_opinion_known', violation_error_message='Say whether it was right.'),
        ),
        migrations.AddConstraint(
            model_name='hindsight',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='hindsight_reason_given', violation_error_message='Say what you found.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='hindsight',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='68d73eada70ecbb2ce6e6fa91694bf91bfd73a75', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_cc17a', table='governance_hindsight', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='hindsight',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='e6c63c07f4be80929de793d440f15f20eeaba52e', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_e3755', table='governance_hindsight', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='hindsight',
            trigger=pgtrigger.compiler.Trigger(name='by_another', sql=governance.models.guards.GuardSql(declare='DECLARE emergency governance_emergency%ROWTYPE;', func="\n                    SELECT * INTO emergency FROM governance_emergency WHERE id = NEW.emergency_id FOR UPDATE;\n                    IF NEW.by_id = emergency.by_id\n                        OR NEW.by_id NOT IN (SELECT user_id FROM governance_voters(emergency.change_id))\n                    THEN\n                        RAISE EXCEPTION 'who looks back had no hand in it, and may vote there'\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='05314f11e5c05ea41bf8b89cf1e62b86d4c2e667', operation='INSERT', pgid='pgtrigger_by_another_eb3b9', table='governance_hindsight', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='hindsight',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT change_id::text FROM governance_emergency WHERE id = NEW.emergency_id) AND object_type || '' = 'change') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='ea39cbf0488200a1426f8ff2debfdf3d9d52a411', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_be90e', table='governance_hindsight', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.RunSQL(WHY_NOT, "DROP FUNCTION governance_why_no_emergency(uuid)"),
        migrations.RunSQL(REFUSE, "DROP FUNCTION governance_refuse_emergency(uuid)"),
        migrations.RunSQL(EARLIER, EARLIER_BEFORE),
        migrations.RunSQL(FACTS, FACTS_BEFORE),
    ]
