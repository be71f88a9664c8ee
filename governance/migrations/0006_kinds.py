"""What is governed is of a kind and about one thing; the entry of a workflow becomes such a kind."""

from importlib import import_module

import django.db.models.deletion
import governance.models.guards
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings

from django.db import migrations, models


# Where a change takes effect: in its environment; a workflow's entry wherever a policy of it is live.
ENVIRONMENTS = """
CREATE FUNCTION governance_environments(kind text, workflow uuid, environment uuid)
RETURNS TABLE (id uuid) LANGUAGE sql STABLE AS $$
    SELECT $3 WHERE $3 IS NOT NULL
    UNION
    SELECT head.environment_id FROM governance_policyhead head WHERE $1 = 'workflow' AND head.workflow_id = $2
$$;
"""

# As before, but for several environments, and with the votes that these ask for by themselves: the most of any. Approval
# rules take effect in none, and ask for one; who else must agree to them is said by governance_requirement.
FACTS = """
CREATE OR REPLACE FUNCTION governance_facts(
    kind text, workflow uuid, environment uuid, base uuid, version uuid, mode text
) RETURNS jsonb LANGUAGE sql STABLE AS $$
    WITH started AS (
        SELECT coalesce((
            SELECT broken.base_version_id
            FROM governance_emergency glass JOIN governance_revision broken ON broken.change_id = glass.change_id
            WHERE broken.version_id = $4
        ), $4) AS earlier
    ), compared AS (
        SELECT (SELECT document FROM governance_policyversion WHERE id = (SELECT earlier FROM started)) AS old,
            (SELECT document FROM governance_policyversion WHERE id = version) AS new,
            (
                SELECT revision.mode FROM governance_revision revision
                WHERE revision.version_id = (SELECT earlier FROM started)
            ) AS old_mode
    ), parts AS (
        SELECT 'mode' AS part FROM compared WHERE old_mode IS DISTINCT FROM $6 AND $1 = 'policy'
        UNION
        SELECT part FROM compared, unnest(ARRAY['pin', 'guards', 'rules']) part
        WHERE old -> part IS DISTINCT FROM new -> part
        UNION
        SELECT part FROM (SELECT jsonb_array_elements(old -> 'steps') AS step FROM compared) one
        FULL JOIN (SELECT jsonb_array_elements(new -> 'steps') AS step FROM compared) other
            ON one.step ->> 'name' = other.step ->> 'name'
        CROSS JOIN unnest(ARRAY['ladder', 'start', 'gate', 'review', 'limits']) part
        WHERE nullif(one.step -> part, 'null') IS DISTINCT FROM nullif(other.step -> part, 'null')
    ), places AS (
        SELECT place.name, place.votes_needed
        FROM governance_environment place JOIN governance_environments($1, $2, $3) there USING (id)
    )
    SELECT jsonb_build_object(
        'kind', $1,
        'environments', (SELECT coalesce(jsonb_agg(name ORDER BY name), '[]') FROM places),
        'least_votes', (SELECT coalesce(max(votes_needed), 1) FROM places),
        'risk', (SELECT risk FROM governance_workflow WHERE id = $2),
        'data_class', (SELECT data_class FROM governance_workflow WHERE id = $2),
        'parts', (SELECT coalesce(jsonb_agg(part ORDER BY part), '[]') FROM parts)
    )
$$;
"""

# As before, and by kind. Rules that were written before there were kinds name none, which asks nothing.
RULE_FOR = """
CREATE OR REPLACE FUNCTION governance_rule_for(facts jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT each.rule
        FROM governance_contenthead head
        JOIN governance_content content ON content.id = head.content_id
        CROSS JOIN jsonb_array_elements(content.document -> 'rules') WITH ORDINALITY AS each(rule, place)
        WHERE head.kind = 'approval_rules'
            AND facts ->> 'kind' <> 'approval_rules'
            AND (
                coalesce(rule #> '{when,kinds}', '[]') = '[]' OR rule #> '{when,kinds}' ? (facts ->> 'kind')
            )
            AND (
                rule #> '{when,environments}' = '[]'
                OR rule #> '{when,environments}' ?| ARRAY(SELECT jsonb_array_elements_text(facts -> 'environments'))
            )
            AND (rule #> '{when,risks}' = '[]' OR rule #> '{when,risks}' ? (facts ->> 'risk'))
            AND (rule #> '{when,data_classes}' = '[]' OR rule #> '{when,data_classes}' ? (facts ->> 'data_class'))
            AND (
                rule #> '{when,parts}' = '[]'
                OR rule #> '{when,parts}' ?| ARRAY(SELECT jsonb_array_elements_text(facts -> 'parts'))
            )
        ORDER BY place
        LIMIT 1
    ), '{}'::jsonb)
$$;
"""

# As before, but for several environments.
REQUIREMENT = """
CREATE OR REPLACE FUNCTION governance_requirement(asked uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    WITH told AS (
        SELECT change.kind, revision.rule, revision.base_version_id IS NOT NULL AS has_past,
            governance_facts(
                change.kind, change.workflow_id, change.environment_id,
                revision.base_version_id, revision.version_id, revision.mode
            ) AS facts
        FROM governance_change change
        JOIN governance_revision revision ON revision.id = change.revision_id
        WHERE change.id = asked
    ), stood AS (
        SELECT rule, has_past, governance_rule_for(facts) AS now,
            CASE WHEN kind = 'approval_rules'
                THEN greatest(1, least(2, (SELECT count(*) FROM governance_voters(asked))))
                ELSE (facts ->> 'least_votes')::int
            END AS least_votes
        FROM told
    )
    SELECT jsonb_build_object(
        'names', ARRAY(
            SELECT DISTINCT name FROM unnest(ARRAY[rule ->> 'name', now ->> 'name']) name WHERE name <> '' ORDER BY name
        ),
        'least_votes', least_votes,
        'votes_needed', greatest(least_votes, (rule ->> 'votes_needed')::int, (now ->> 'votes')::int),
        'groups', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('group', asked_of, 'votes', votes) ORDER BY asked_of), '[]')
            FROM (
                SELECT each ->> 'group' AS asked_of, max((each ->> 'votes')::int) AS votes
                FROM jsonb_array_elements(
                    coalesce(rule -> 'groups', '[]'::jsonb) || coalesce(now -> 'groups', '[]'::jsonb)
                ) each
                GROUP BY 1
            ) every
        ),
        'cool_off_minutes', greatest((rule ->> 'cool_off_minutes')::int, (now ->> 'cool_off_minutes')::int, 0),
        'due_hours', least((rule ->> 'due_hours')::int, (now ->> 'due_hours')::int),
        'expires_days', least((rule ->> 'expires_days')::int, (now ->> 'expires_days')::int),
        'checks', (
            SELECT coalesce(jsonb_agg(DISTINCT kind ORDER BY kind), '[]')
            FROM jsonb_array_elements_text(
                coalesce(rule -> 'checks', '[]'::jsonb) || coalesce(now -> 'checks', '[]'::jsonb)
            ) kind
            WHERE has_past
        )
    )
    FROM stood
$$;
"""

# As before, but for several environments: a freeze in any of them holds.
FREEZE = """
CREATE OR REPLACE FUNCTION governance_freeze(asked uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT frozen
    FROM governance_change change
    CROSS JOIN LATERAL governance_environments(change.kind, change.workflow_id, change.environment_id) there
    JOIN governance_environment environment ON environment.id = there.id
    JOIN governance_contenthead head ON head.kind = 'approval_rules'
    JOIN governance_content content ON content.id = head.content_id
    CROSS JOIN jsonb_array_elements(content.document -> 'freezes') frozen
    WHERE change.id = asked
        AND (frozen -> 'environments' = '[]' OR frozen -> 'environments' ? environment.name)
        AND (frozen ->> 'start')::timestamptz <= clock_timestamp()
        AND (frozen ->> 'end')::timestamptz > clock_timestamp()
    ORDER BY (frozen ->> 'end')::timestamptz DESC
    LIMIT 1
$$;
"""

# What the register says of a workflow is what became live by a change of its entry; before the first it moves no more
# once a policy of the workflow is live. Asked when a transaction commits that wrote either.
REFUSE_OTHER_ENTRY = """
CREATE FUNCTION governance_refuse_other_entry(asked uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held governance_workflow%ROWTYPE;
    live jsonb;
BEGIN
    SELECT * INTO held FROM governance_workflow WHERE id = asked;
    SELECT content.document INTO live
        FROM governance_contenthead head JOIN governance_content content ON content.id = head.content_id
        WHERE head.kind = 'workflow' AND head.workflow_id = asked;
    IF live IS NULL THEN
        IF EXISTS (SELECT FROM governance_policyhead WHERE workflow_id = asked) THEN
            RAISE EXCEPTION 'a policy of % is live: its entry changes by a change', held.slug
                USING ERRCODE = 'check_violation';
        END IF;
    ELSIF live <> jsonb_build_object(
        'format', 1, 'risk', held.risk, 'data_class', held.data_class, 'rationale', held.rationale,
        'people_affected', held.people_affected, 'regions', held.regions, 'retention_days', held.retention_days
    ) THEN
        RAISE EXCEPTION 'the entry of % says otherwise than what is live by its changes', held.slug
            USING ERRCODE = 'check_violation';
    END IF;
END
$$;
"""

_before = import_module("governance.migrations.0002_functions")


def _again(sql: str) -> str:
    return sql.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


# Only policies are changed in an emergency: of nothing else it is known what it would go back to.
WHY_NOT_BEFORE = _again(_before.WHY_NO_EMERGENCY)
WHY_NOT = WHY_NOT_BEFORE.replace("approval rules wait for votes", "only a policy becomes live by one")



class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0005_due_votes'),
    ]

    operations = [
        migrations.RunSQL(ENVIRONMENTS, "DROP FUNCTION governance_environments(text, uuid, uuid)"),
        migrations.RunSQL(FACTS, _again(_before.FACTS)),
        migrations.RunSQL(RULE_FOR, _again(_before.RULE_FOR)),
        migrations.RunSQL(REQUIREMENT, import_module("governance.migrations.0005_due_votes").REQUIREMENT),
        migrations.RunSQL(FREEZE, _again(_before.FREEZE)),
        migrations.RunSQL(WHY_NOT, WHY_NOT_BEFORE),
        migrations.RunSQL(REFUSE_OTHER_ENTRY, "DROP FUNCTION governance_refuse_other_entry(uuid)"),
        pgtrigger.migrations.RemoveTrigger(
            model_name='content',
            name='audited',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='contenthead',
            name='fixed_columns',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='contenthead',
            name='moves_by_votes',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='contenthead',
            name='audited',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='revision',
            name='belongs_together',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='workflow',
            name='fixed_columns',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='workflow',
            name='audited',
        ),
        migrations.RemoveConstraint(
            model_name='change',
            name='change_kind_known',
        ),
        migrations.RemoveConstraint(
            model_name='content',
            name='content_number_once',
        ),
        migrations.RemoveConstraint(
            model_name='content',
            name='content_kind_known',
        ),
        migrations.RemoveConstraint(
            model_name='contenthead',
            name='contenthead_moved_by_a_change',
        ),
        migrations.AddField(
            model_name='content',
            name='workflow',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='contents', to='governance.workflow'),
        ),
        migrations.AddField(
            model_name='contenthead',
            name='workflow',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='content_heads', to='governance.workflow'),
        ),
        migrations.AlterField(
            model_name='change',
            name='kind',
            field=models.CharField(choices=[('policy', 'Policy'), ('approval_rules', 'Approval rules'), ('workflow', 'Workflow entry')], default='policy', max_length=20),
        ),
        migrations.AlterField(
            model_name='content',
            name='created_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='content',
            name='kind',
            field=models.CharField(choices=[('approval_rules', 'Approval rules'), ('workflow', 'Workflow entry')], max_length=20),
        ),
        migrations.AlterField(
            model_name='contenthead',
            name='change',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='content_head', to='governance.change'),
        ),
        migrations.AlterField(
            model_name='contenthead',
            name='content',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.content'),
        ),
        migrations.AlterField(
            model_name='contenthead',
            name='kind',
            field=models.CharField(choices=[('approval_rules', 'Approval rules'), ('workflow', 'Workflow entry')], max_length=20),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='content',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT change_id::text FROM governance_revision WHERE content_id = NEW.id OR base_content_id = NEW.id) AND object_type || '' = 'change') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='2bb572ec2982e5ae7ee6765ded8be4cfe918b201', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_68b97', table='governance_content', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.kind IS DISTINCT FROM OLD.kind OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id THEN RAISE EXCEPTION '% rows keep their id, kind, workflow_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='f10a2952e8448e7fa4aa853d2daba7cc11389cd6', operation='UPDATE', pgid='pgtrigger_fixed_columns_10b99', table='governance_contenthead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='moves_by_votes', sql=governance.models.guards.GuardSql(declare='DECLARE live uuid; change governance_change%ROWTYPE; revision governance_revision%ROWTYPE;', func="\n                    IF NEW.change_id IS NULL THEN\n                        IF TG_OP = 'INSERT' AND (NEW.content_id IS NULL OR EXISTS (\n                            SELECT FROM governance_content first\n                            WHERE first.id = NEW.content_id AND first.number = 1 AND first.kind = 'workflow'\n                                AND (first.kind, first.workflow_id) IS NOT DISTINCT FROM (NEW.kind, NEW.workflow_id)\n                        )) THEN\n                            RETURN NEW;\n                        END IF;\n                        RAISE EXCEPTION 'a content head moves by a change' USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF TG_OP = 'UPDATE' THEN\n                        live := OLD.content_id;\n                    END IF;\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF NOT FOUND OR change.state <> 'applied'\n                        OR (change.kind, change.workflow_id) IS DISTINCT FROM (NEW.kind, NEW.workflow_id)\n                    THEN\n                        RAISE EXCEPTION 'a content head moves only to the content of an applied change of its place'\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    SELECT * INTO revision FROM governance_revision\n                        WHERE change_id = change.id ORDER BY number DESC LIMIT 1;\n                    IF NOT FOUND OR revision.id <> change.revision_id\n                        OR revision.content_id IS DISTINCT FROM NEW.content_id\n                    THEN\n                        RAISE EXCEPTION 'change % does not lead to this content', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF revision.base_content_id IS DISTINCT FROM live THEN\n                        RAISE EXCEPTION 'change % starts from another content than the live one', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    PERFORM governance_refuse_unapproved(change.id);\n                    RETURN NEW;\n                ", hash='33591d50a2e7acc434d187b1f18236a93bf31d2f', operation='INSERT OR UPDATE', pgid='pgtrigger_moves_by_votes_1cb2a', table='governance_contenthead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='entry_is_live', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n                    IF NEW.kind = 'workflow' THEN\n                        PERFORM governance_refuse_other_entry(NEW.workflow_id);\n                    END IF;\n                    RETURN NULL;\n                ", hash='ff3488e384919243b5c03a4d166b3a3c2fbb12a7', operation='INSERT OR UPDATE', pgid='pgtrigger_entry_is_live_b4863', table='governance_contenthead', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT id::text FROM governance_change WHERE kind = NEW.kind AND workflow_id IS NOT DISTINCT FROM NEW.workflow_id) AND object_type || '' = 'change') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='c0c1d7ece12c6bfd97f9163fc10b76bcc112a343', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_ef3a3', table='governance_contenthead', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='revision',
            trigger=pgtrigger.compiler.Trigger(name='belongs_together', sql=governance.models.guards.GuardSql(declare='DECLARE change governance_change%ROWTYPE;', func="\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF change.state NOT IN ('in_review', 'approved', 'stale') THEN\n                        RAISE EXCEPTION 'change % has ended', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF EXISTS (\n                        SELECT FROM governance_policyversion\n                        WHERE id IN (NEW.version_id, NEW.base_version_id)\n                            AND workflow_id IS DISTINCT FROM change.workflow_id\n                    ) THEN\n                        RAISE EXCEPTION 'change % leads to a policy of another workflow', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF EXISTS (\n                        SELECT FROM governance_content\n                        WHERE id IN (NEW.content_id, NEW.base_content_id)\n                            AND (kind, workflow_id) IS DISTINCT FROM (change.kind, change.workflow_id)\n                    ) THEN\n                        RAISE EXCEPTION 'change % leads to content of another place', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='9f7e2243b4ea6dc2badf126a72042826dc931a7f', operation='INSERT', pgid='pgtrigger_belongs_together_41d67', table='governance_revision', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='workflow',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.slug IS DISTINCT FROM OLD.slug OR NEW.team_id IS DISTINCT FROM OLD.team_id THEN RAISE EXCEPTION '% rows keep their id, slug, team_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='4823751f53a831ae5d71eb56a6d2b8fa42d43cf1', operation='UPDATE', pgid='pgtrigger_fixed_columns_de23f', table='governance_workflow', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='workflow',
            trigger=pgtrigger.compiler.Trigger(name='entry_is_live', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func='\n                    IF (NEW.risk, NEW.data_class, NEW.rationale, NEW.people_affected, NEW.regions, NEW.retention_days)\n                        IS DISTINCT FROM (OLD.risk, OLD.data_class, OLD.rationale, OLD.people_affected, OLD.regions, OLD.retention_days)\n                    THEN\n                        PERFORM governance_refuse_other_entry(NEW.id);\n                    END IF;\n                    RETURN NULL;\n                ', hash='282e3c7b0e1a3cfc780bf3534b013629b2c8422f', operation='UPDATE', pgid='pgtrigger_entry_is_live_6f963', table='governance_workflow', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='workflow',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT change_id::text FROM governance_contenthead WHERE kind = 'workflow' AND workflow_id = NEW.id) AND object_type || '' = 'change') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='55b444f40452914160cd0595ab417255a6cf5831', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_f5554', table='governance_workflow', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='change',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('environment__isnull', False), ('kind', 'policy'), ('workflow__isnull', False)), models.Q(('environment', None), ('kind', 'workflow'), ('workflow__isnull', False)), models.Q(('environment', None), ('kind', 'approval_rules'), ('workflow', None)), _connector='OR'), name='change_kind_known', violation_error_message='A policy has a workflow and an environment, an entry has a workflow, approval rules have neither.'),
        ),
        migrations.AddConstraint(
            model_name='content',
            constraint=models.UniqueConstraint(fields=('kind', 'workflow', 'number'), name='content_number_once', nulls_distinct=False, violation_error_message='There is a version of that number already.'),
        ),
        migrations.AddConstraint(
            model_name='content',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'approval_rules'), ('workflow', None)), models.Q(('kind', 'workflow'), ('workflow__isnull', False)), _connector='OR'), name='content_of_its_place', violation_error_message="An entry is that of a workflow, approval rules are the organisation’s."),
        ),
        migrations.AddConstraint(
            model_name='contenthead',
            constraint=models.UniqueConstraint(fields=('kind', 'workflow'), name='contenthead_one_per_place', nulls_distinct=False, violation_error_message='A place has one head.'),
        ),
        migrations.AddConstraint(
            model_name='contenthead',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'approval_rules'), ('workflow', None)), models.Q(('kind', 'workflow'), ('workflow__isnull', False)), _connector='OR'), name='contenthead_of_its_place', violation_error_message="An entry is that of a workflow, approval rules are the organisation’s."),
        ),
        migrations.AddConstraint(
            model_name='contenthead',
            constraint=models.CheckConstraint(condition=models.Q(('change', None), ('content__isnull', False), _connector='OR'), name='contenthead_moved_by_a_change', violation_error_message='A change makes something live.'),
        ),
    ]
