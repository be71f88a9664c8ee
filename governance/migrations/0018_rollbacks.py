"""Roll-backs: what was live before by votes may be live again at once, as the database itself finds it."""

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


# Who holds a role that decides on a change, there and now.
DECIDES = """
CREATE FUNCTION governance_decides(person uuid, asked uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM governance_change change
        LEFT JOIN governance_workflow workflow ON workflow.id = change.workflow_id
        JOIN governance_grant held ON held.user_id = person AND held.role IN ('lead', 'owner')
            AND (held.team_id IS NULL OR held.team_id = workflow.team_id)
            AND (held.environment_id IS NULL OR held.environment_id = change.environment_id)
            AND held.valid_from <= clock_timestamp()
            AND (held.valid_until IS NULL OR held.valid_until > clock_timestamp())
        JOIN governance_user one ON one.id = person AND one.is_active
        WHERE change.id = asked
    )
$$;
"""

# What was live in a place and is no longer, each content with its mode once: the newest change whose votes made it live
# there, until when it was live last, and why nobody goes back to it at once, if so. A version is made in one place, so
# what became live after it is what starts from it.
EARLIER = """
CREATE FUNCTION governance_earlier(place_workflow uuid, place_environment uuid)
RETURNS TABLE (change_id uuid, live_until timestamptz, why_not text) LANGUAGE sql STABLE AS $$
    WITH spans AS (
        SELECT made.id, made.number, made.single_handed, version.document, revision.mode,
            made.applied_at AS since, ended.applied_at AS until,
            EXISTS (SELECT FROM governance_rollback back WHERE back.change_id = made.id) AS rolled_back
        FROM governance_change made
        JOIN governance_revision revision ON revision.id = made.revision_id
        JOIN governance_policyversion version ON version.id = revision.version_id
        JOIN governance_revision later ON later.base_version_id = revision.version_id
        JOIN governance_change ended ON ended.id = later.change_id AND ended.revision_id = later.id
        WHERE made.state = 'applied' AND ended.state = 'applied'
            AND made.workflow_id = place_workflow AND made.environment_id = place_environment
    ), contents AS (
        SELECT document, mode, max(until) AS until,
            bool_or(EXISTS (
                SELECT FROM governance_stop stop
                WHERE stop.workflow_id = place_workflow AND stop.created_at BETWEEN since AND spans.until
            )) AS stopped
        FROM spans GROUP BY document, mode
    ), voted AS (
        SELECT DISTINCT ON (document, mode) id, number, single_handed, document, mode
        FROM spans WHERE NOT rolled_back ORDER BY document, mode, number DESC
    ), named AS (
        SELECT voted.id, min(model.title) FILTER (WHERE model.state = 'retired') AS retired,
            min(model.title) FILTER (WHERE EXISTS (
                SELECT FROM governance_stop stop WHERE stop.model_id = model.id AND stop.lifted_at IS NULL
            )) AS stopped
        FROM voted
        CROSS JOIN LATERAL jsonb_path_query(voted.document, '$.steps[*].ladder[*].model') AS rung(called)
        JOIN governance_model model ON model.name = rung.called #>> '{}'
        GROUP BY voted.id
    )
    SELECT voted.id, contents.until, CASE
        WHEN contents.until < clock_timestamp() - interval '90 days'
            THEN 'it was live more than 90 days ago'
        WHEN contents.stopped
            THEN 'the workflow was stopped while it was live'
        WHEN voted.single_handed AND NOT EXISTS (SELECT FROM governance_ratification r WHERE r.change_id = voted.id)
            THEN 'it became live single-handed, and nobody ratified it'
        WHEN named.retired IS NOT NULL
            THEN 'its model ' || named.retired || ' is retired'
        WHEN named.stopped IS NOT NULL
            THEN 'its model ' || named.stopped || ' is stopped'
        ELSE ''
    END
    FROM voted
    JOIN contents USING (document, mode)
    LEFT JOIN named ON named.id = voted.id
    WHERE NOT EXISTS (
        SELECT FROM governance_policyhead head
        JOIN governance_policyversion live ON live.id = head.version_id
        WHERE head.workflow_id = place_workflow AND head.environment_id = place_environment
            AND live.document = voted.document AND head.mode = voted.mode
    )
$$;
"""

# Asked by the trigger of a policy head, while the head still says what was live: no rest and no freeze holds a roll-back.
REFUSE = """
CREATE FUNCTION governance_refuse_rollback(asked uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    change governance_change%ROWTYPE;
    back governance_rollback%ROWTYPE;
    why text;
BEGIN
    SELECT * INTO change FROM governance_change WHERE id = asked FOR UPDATE;
    SELECT * INTO back FROM governance_rollback WHERE change_id = asked;
    IF change.applied_by_id <> back.by_id OR NOT governance_decides(back.by_id, asked) THEN
        RAISE EXCEPTION 'change % is made live by somebody who may not go back there', change.number
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (
        SELECT FROM governance_revision made
        JOIN governance_policyversion version ON version.id = made.version_id
        JOIN governance_change aim ON aim.id = back.to_id
        JOIN governance_revision aimed ON aimed.id = aim.revision_id
        JOIN governance_policyversion before ON before.id = aimed.version_id
        WHERE made.id = change.revision_id AND made.mode = aimed.mode AND version.document = before.document
            AND version.digest = before.digest
    ) THEN
        RAISE EXCEPTION 'change % does not lead to what it goes back to', change.number
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT why_not INTO why FROM governance_earlier(change.workflow_id, change.environment_id)
        WHERE change_id = back.to_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'change % goes back to what was not live there by votes', change.number
            USING ERRCODE = 'check_violation';
    ELSIF why <> '' THEN
        RAISE EXCEPTION 'change % cannot go back: %', change.number, why USING ERRCODE = 'check_violation';
    END IF;
END
$$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0017_audited_rows'),
    ]

    operations = [
        migrations.CreateModel(
            name='Rollback',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('reason', models.TextField(max_length=2000)),
                ('confirmed_at', models.DateTimeField()),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='policyhead',
            name='moves_by_votes',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policyhead',
            trigger=pgtrigger.compiler.Trigger(name='moves_by_votes', sql=governance.models.guards.GuardSql(declare='DECLARE live uuid; change governance_change%ROWTYPE; revision governance_revision%ROWTYPE;', func="\n    IF TG_OP = 'UPDATE' THEN\n        IF (NEW.id, NEW.workflow_id, NEW.environment_id) IS DISTINCT FROM (OLD.id, OLD.workflow_id, OLD.environment_id)\n        THEN\n            RAISE EXCEPTION 'a policy head stays with its workflow and environment'\n                USING ERRCODE = 'check_violation';\n        END IF;\n        live := OLD.version_id;\n    END IF;\n    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n    IF NOT FOUND OR change.state <> 'applied' THEN\n        RAISE EXCEPTION 'a policy head moves only to the version of an applied change'\n            USING ERRCODE = 'check_violation';\n    END IF;\n    IF (change.workflow_id, change.environment_id) IS DISTINCT FROM (NEW.workflow_id, NEW.environment_id) THEN\n        RAISE EXCEPTION 'change % belongs to another workflow or environment', change.number\n            USING ERRCODE = 'check_violation';\n    END IF;\n    SELECT * INTO revision FROM governance_revision WHERE change_id = change.id ORDER BY number DESC LIMIT 1;\n    IF NOT FOUND OR revision.id <> change.revision_id OR revision.version_id <> NEW.version_id\n        OR revision.mode <> NEW.mode\n    THEN\n        RAISE EXCEPTION 'change % does not lead to this version and mode', change.number\n            USING ERRCODE = 'check_violation';\n    END IF;\n    IF revision.base_version_id IS DISTINCT FROM live THEN\n        RAISE EXCEPTION 'change % starts from another version than the live one', change.number\n            USING ERRCODE = 'check_violation';\n    END IF;\n    IF EXISTS (SELECT FROM governance_rollback WHERE change_id = change.id) THEN\n        PERFORM governance_refuse_rollback(change.id);\n    ELSE\n        PERFORM governance_refuse_unapproved(change.id);\n    END IF;\n    RETURN NEW;\n", hash='2bc0398af626a208ad67700cfdd3dbcd41cbc61a', operation='INSERT OR UPDATE', pgid='pgtrigger_moves_by_votes_1bfbe', table='governance_policyhead', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='rollback',
            name='by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='rollback',
            name='change',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='rollback', to='governance.change'),
        ),
        migrations.AddField(
            model_name='rollback',
            name='to',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.change'),
        ),
        migrations.AddConstraint(
            model_name='rollback',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='rollback_reason_given', violation_error_message='Say why you go back.'),
        ),
        migrations.AddConstraint(
            model_name='rollback',
            constraint=models.CheckConstraint(condition=models.Q(('confirmed_at__gte', django.db.models.expressions.CombinedExpression(models.F('created_at'), '-', models.Value(datetime.timedelta(seconds=300)))), ('confirmed_at__lte', models.F('created_at'))), name='rollback_confirmed', violation_error_message='Give your password again: five minutes at most before you go back.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='rollback',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='b01aa29570ec365f5d47829badea95291e3c8ced', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_0fa85', table='governance_rollback', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='rollback',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='4fe053c61875e044a18d819458d95fd01cda3d94', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_de15a', table='governance_rollback', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='rollback',
            trigger=pgtrigger.compiler.Trigger(name='of_a_new_change', sql=governance.models.guards.GuardSql(declare='DECLARE change governance_change%ROWTYPE;', func="\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF change.state <> 'approved' OR change.proposed_by_id <> NEW.by_id\n                        OR EXISTS (\n                            SELECT FROM governance_vote vote\n                            JOIN governance_revision revision ON revision.id = vote.revision_id\n                            WHERE revision.change_id = change.id\n                        )\n                    THEN\n                        RAISE EXCEPTION 'change % is no new one of who goes back', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='040536c76833017d3477facb2bc3681c744e1382', operation='INSERT', pgid='pgtrigger_of_a_new_change_0b661', table='governance_rollback', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='rollback',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.change_id::text) AND object_type || '' = 'change') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='c2f8ffc4c6265278ffd83b303f9cef2422d7f8dc', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_8ce96', table='governance_rollback', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.RunSQL(DECIDES, "DROP FUNCTION governance_decides(uuid, uuid)"),
        migrations.RunSQL(EARLIER, "DROP FUNCTION governance_earlier(uuid, uuid)"),
        migrations.RunSQL(REFUSE, "DROP FUNCTION governance_refuse_rollback(uuid)"),
    ]
