"""A change's rule may ask for a simulation: of the present form, from what is live, not too old, and seen by who approves."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("governance.migrations.0014_requirement")
VOTES = import_module("governance.migrations.0021_delegations")

# As in 0014, and besides the checks that the rule asks for; none where nothing was live, which has no past to look at.
REQUIREMENT = """
CREATE OR REPLACE FUNCTION governance_requirement(asked uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    WITH stood AS (
        SELECT revision.rule AS rule, revision.base_version_id IS NOT NULL AS has_past,
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

# As before, and besides: without a simulation that holds, where one is asked for, nothing becomes live, and approvals of
# those who saw another one do not count. What can be mended by simulating anew is said before what takes votes.
REFUSE = (
    VOTES.REFUSE.replace("    frozen jsonb;\n", "    frozen jsonb;\n    asks_simulation boolean;\n    simulation jsonb;\n")
    .replace(
        "    requirement := governance_requirement(asked);\n",
        """    requirement := governance_requirement(asked);
    asks_simulation := requirement -> 'checks' ? 'simulation';
    simulation := governance_check_standing(asked, 'simulation');
""",
    )
    .replace("vote_of, choice, digest FROM", "vote_of, choice, digest, simulation_id FROM")
    .replace(
        "            AND newest.voter_id IN (SELECT user_id FROM governance_voters(asked));\n",
        """            AND newest.voter_id IN (SELECT user_id FROM governance_voters(asked))
            AND (NOT asks_simulation OR newest.choice <> 'approve'
                OR newest.simulation_id = (simulation ->> 'id')::uuid);
""",
    )
    .replace(
        "    IF cardinality(approvers) < (requirement",
        """    IF asks_simulation AND simulation ->> 'state' <> 'fresh' THEN
        RAISE EXCEPTION 'change % needs a simulation that holds: %', change.number, CASE simulation ->> 'state'
            WHEN 'missing' THEN 'there is none'
            WHEN 'revised' THEN 'the newest is of an earlier revision'
            WHEN 'moved' THEN 'another version is live than the newest compares with'
            WHEN 'old' THEN 'the newest is too old'
            ELSE 'the newest speaks against it'
        END USING ERRCODE = 'check_violation';
    END IF;
    IF cardinality(approvers) < (requirement""",
    )
)


class Migration(migrations.Migration):

    dependencies = [
        ("governance", "0023_webhooks"),
    ]

    operations = [
        migrations.RunSQL(REQUIREMENT, BEFORE.REQUIREMENT.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")),
        migrations.RunSQL(REFUSE, VOTES.REFUSE),
    ]
