"""What a change needs before it may become live, as functions of the database: heads ask them, and so do the pages.

One place says which rule applies and what it asks for, so that no page promises what a head's trigger then refuses.
"""

from django.db import migrations

# What rules go by, read from what is stored: of a change to a policy version its place, the workflow's classification as
# it is, and the parts in which the version differs from its base. Nobody says these of his own change.
FACTS = """
CREATE FUNCTION governance_facts(
    kind text, workflow uuid, environment uuid, base uuid, version uuid, mode text
) RETURNS jsonb LANGUAGE sql STABLE AS $$
    WITH compared AS (
        SELECT (SELECT document FROM governance_policyversion WHERE id = base) AS old,
            (SELECT document FROM governance_policyversion WHERE id = version) AS new,
            (SELECT revision.mode FROM governance_revision revision WHERE revision.version_id = base) AS old_mode
    ), parts AS (
        SELECT 'mode' AS part FROM compared WHERE old_mode IS DISTINCT FROM $6
        UNION
        SELECT part FROM compared, unnest(ARRAY['pin', 'guards', 'rules']) part
        WHERE old -> part IS DISTINCT FROM new -> part
        UNION
        SELECT part FROM (SELECT jsonb_array_elements(old -> 'steps') AS step FROM compared) one
        FULL JOIN (SELECT jsonb_array_elements(new -> 'steps') AS step FROM compared) other
            ON one.step ->> 'name' = other.step ->> 'name'
        CROSS JOIN unnest(ARRAY['ladder', 'start', 'gate', 'review', 'limits']) part
        WHERE nullif(one.step -> part, 'null') IS DISTINCT FROM nullif(other.step -> part, 'null')
    )
    SELECT jsonb_build_object(
        'kind', $1,
        'environment', (SELECT name FROM governance_environment WHERE id = $3),
        'risk', (SELECT risk FROM governance_workflow WHERE id = $2),
        'data_class', (SELECT data_class FROM governance_workflow WHERE id = $2),
        'parts', (SELECT coalesce(jsonb_agg(part ORDER BY part), '[]') FROM parts)
    )
$$;
"""

# The first rule that matches these facts, in the order of the document; an empty object where none does. In a rule an
# empty list asks nothing. Approval rules themselves stand under no rule: one that nobody can follow could not be undone.
RULE_FOR = """
CREATE FUNCTION governance_rule_for(facts jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT each.rule
        FROM governance_contenthead head
        JOIN governance_content content ON content.id = head.content_id
        CROSS JOIN jsonb_array_elements(content.document -> 'rules') WITH ORDINALITY AS each(rule, place)
        WHERE head.kind = 'approval_rules'
            AND facts ->> 'kind' <> 'approval_rules'
            AND (rule #> '{when,environments}' = '[]' OR rule #> '{when,environments}' ? (facts ->> 'environment'))
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

# Who may vote on a change: active people who hold a role for it there and now, and had no hand in any revision.
VOTERS = """
CREATE FUNCTION governance_voters(asked uuid) RETURNS TABLE (user_id uuid) LANGUAGE sql STABLE AS $$
    SELECT DISTINCT voter.id
    FROM governance_change change
    LEFT JOIN governance_workflow workflow ON workflow.id = change.workflow_id
    JOIN governance_grant held ON held.role IN ('lead', 'owner')
        AND (held.team_id IS NULL OR held.team_id = workflow.team_id)
        AND (held.environment_id IS NULL OR held.environment_id = change.environment_id)
        AND held.valid_from <= clock_timestamp()
        AND (held.valid_until IS NULL OR held.valid_until > clock_timestamp())
    JOIN governance_user voter ON voter.id = held.user_id AND voter.is_active
    WHERE change.id = asked
        AND voter.id <> change.proposed_by_id
        AND NOT EXISTS (
            SELECT FROM governance_contributor c WHERE c.change_id = change.id AND c.user_id = voter.id
        )
        AND NOT EXISTS (
            SELECT FROM governance_revision r WHERE r.change_id = change.id AND r.created_by_id = voter.id
        )
$$;
"""

# The stricter of the rule as it stood when the newest revision was written and the rule as it is now, for the workflow
# as it is now. Never less than the environment's own number of votes; approval rules need two people who had no hand in
# them, or the only one there is.
REQUIREMENT = """
CREATE FUNCTION governance_requirement(asked uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    WITH stood AS (
        SELECT revision.rule AS rule,
            governance_rule_for(governance_facts(
                change.kind, change.workflow_id, change.environment_id,
                revision.base_version_id, revision.version_id, revision.mode
            )) AS now,
            CASE WHEN change.kind = 'approval_rules'
                THEN greatest(1, least(2, (SELECT count(*) FROM governance_voters(asked))))
                ELSE environment.votes_needed
            END AS least_votes
        FROM governance_change change
        JOIN governance_revision revision ON revision.id = change.revision_id
        LEFT JOIN governance_environment environment ON environment.id = change.environment_id
        WHERE change.id = asked
    )
    SELECT jsonb_build_object(
        'names', ARRAY(
            SELECT DISTINCT name FROM unnest(ARRAY[rule ->> 'name', now ->> 'name']) name WHERE name <> '' ORDER BY name
        ),
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
        'expires_days', least((rule ->> 'expires_days')::int, (now ->> 'expires_days')::int)
    )
    FROM stood
$$;
"""

# The freeze that holds in an environment now and ends last, null without one. Approval rules are never frozen: whoever
# froze too much must be able to thaw it.
FREEZE = """
CREATE FUNCTION governance_freeze(asked uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT frozen
    FROM governance_change change
    JOIN governance_environment environment ON environment.id = change.environment_id
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

REFUSE = """
CREATE FUNCTION governance_refuse_unapproved(asked uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    change governance_change%ROWTYPE;
    revision governance_revision%ROWTYPE;
    requirement jsonb;
    approvers uuid[];
    blocking int;
    missing text;
    frozen jsonb;
BEGIN
    -- No rule and no freeze moves from here to the end of the transaction.
    PERFORM FROM governance_contenthead WHERE kind = 'approval_rules' FOR SHARE;
    SELECT * INTO change FROM governance_change WHERE id = asked FOR UPDATE;
    SELECT * INTO revision FROM governance_revision WHERE id = change.revision_id;
    requirement := governance_requirement(asked);
    SELECT coalesce(array_agg(newest.voter_id) FILTER (WHERE newest.choice = 'approve'), '{}'),
           count(*) FILTER (WHERE newest.choice IN ('request_changes', 'reject'))
        INTO approvers, blocking
        FROM (
            SELECT DISTINCT ON (voter_id) voter_id, choice, digest FROM governance_vote
            WHERE revision_id = revision.id ORDER BY voter_id, number DESC
        ) newest
        WHERE newest.digest = revision.payload_digest
            AND newest.voter_id IN (SELECT user_id FROM governance_voters(asked));
    IF change.single_handed THEN
        -- Only while nobody else could vote at all; who wrote it does not count, who objects does.
        IF EXISTS (SELECT FROM governance_voters(asked)) THEN
            RAISE EXCEPTION 'change % cannot pass single-handed: somebody else may vote on it', change.number
                USING ERRCODE = 'check_violation';
        END IF;
        requirement := requirement || '{"votes_needed": 0, "groups": []}';
    END IF;
    IF cardinality(approvers) < (requirement ->> 'votes_needed')::int OR blocking > 0 THEN
        RAISE EXCEPTION 'change % has % of % votes, % against',
            change.number, cardinality(approvers), requirement ->> 'votes_needed', blocking
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT string_agg(needed ->> 'group', ', ') INTO missing
        FROM jsonb_array_elements(requirement -> 'groups') needed
        WHERE (needed ->> 'votes')::int > (
            SELECT count(DISTINCT member)
            FROM governance_contenthead head
            JOIN governance_content content ON content.id = head.content_id
            CROSS JOIN jsonb_array_elements(content.document -> 'groups') every
            CROSS JOIN jsonb_array_elements_text(every -> 'members') member
            WHERE head.kind = 'approval_rules' AND every ->> 'name' = needed ->> 'group'
                AND member::uuid = ANY (approvers)
        );
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'change % lacks votes of %', change.number, missing
            USING ERRCODE = 'check_violation';
    END IF;
    IF revision.created_at + make_interval(mins => (requirement ->> 'cool_off_minutes')::int) > clock_timestamp() THEN
        RAISE EXCEPTION 'change % rests for % minutes first', change.number, requirement ->> 'cool_off_minutes'
            USING ERRCODE = 'check_violation';
    END IF;
    IF revision.created_at + make_interval(days => (requirement ->> 'expires_days')::int) <= clock_timestamp() THEN
        RAISE EXCEPTION 'change % has expired', change.number USING ERRCODE = 'check_violation';
    END IF;
    frozen := governance_freeze(asked);
    IF frozen IS NOT NULL THEN
        RAISE EXCEPTION 'nothing becomes live there until %: %', frozen ->> 'end', frozen ->> 'name'
            USING ERRCODE = 'check_violation';
    END IF;
END
$$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ("governance", "0013_approval_rules"),
    ]

    operations = [
        migrations.RunSQL(FACTS, "DROP FUNCTION governance_facts(text, uuid, uuid, uuid, uuid, text)"),
        migrations.RunSQL(RULE_FOR, "DROP FUNCTION governance_rule_for(jsonb)"),
        migrations.RunSQL(VOTERS, "DROP FUNCTION governance_voters(uuid)"),
        migrations.RunSQL(REQUIREMENT, "DROP FUNCTION governance_requirement(uuid)"),
        migrations.RunSQL(FREEZE, "DROP FUNCTION governance_freeze(uuid)"),
        migrations.RunSQL(REFUSE, "DROP FUNCTION governance_refuse_unapproved(uuid)"),
    ]
