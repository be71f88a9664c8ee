"""What a change needs before it may become live, as functions of the database: heads ask them, and so do the pages.

One place says which rule applies and what it asks for, so that no page promises what a head's trigger then refuses.
"""

from django.db import migrations

# What rules go by, read from what is stored: of a change to a policy version its place, the workflow's classification as
# it is, and the parts in which the version differs from its base. Nobody says these of his own change. What it alters is
# measured against what was live before an emergency: to let the same stay, it asks for what it would have asked for.
FACTS = """
CREATE FUNCTION governance_facts(
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

# The stricter of the rule as it stood when the newest revision was written and the rule as it is now, for the workflow
# as it is now. Never less than the environment's own number of votes; approval rules need two people who had no hand in
# them, or the only one there is. No checks are asked for where nothing was live, which has no past to look at.
REQUIREMENT = """
CREATE FUNCTION governance_requirement(asked uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
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

# The newest check of a kind of a change, and how it stands to the change now: `missing` without one, `revised` where it
# is of an earlier revision, `moved` where another version is live than the one it compares with, `old` when its time is
# over, `failed`, else `fresh`. In this order, because that is the order in which people have to act.
CHECK_STANDING = """
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

# Whose vote one is: by a delegation that of who gave it, as long as it holds, he may vote there and did not vote himself;
# null where it counts for nobody.
VOTE_OF = """
CREATE FUNCTION governance_vote_of(asked uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN vote.delegation_id IS NULL THEN vote.voter_id ELSE (
        SELECT held.by_id
        FROM governance_delegation held
        JOIN governance_revision revision ON revision.id = vote.revision_id
        WHERE held.id = vote.delegation_id AND held.to_id = vote.voter_id AND held.revoked_at IS NULL
            AND held.starts_at <= clock_timestamp() AND held.ends_at > clock_timestamp()
            AND held.by_id IN (SELECT user_id FROM governance_voters(revision.change_id))
            AND coalesce((
                SELECT own.choice FROM governance_vote own
                WHERE own.revision_id = vote.revision_id AND own.voter_id = held.by_id
                ORDER BY own.number DESC LIMIT 1
            ), 'withdraw') = 'withdraw'
    ) END
    FROM governance_vote vote WHERE vote.id = asked
$$;
"""

# Raises where a change may not become live, asked by the triggers of heads: votes that count, by those who may vote now,
# none against, each group, rest, expiry, freezes. No delegation is revoked between the count of votes and what they let
# through. Without a simulation that holds, where one is asked for, nothing becomes live, and approvals of those who saw
# another one do not count; what can be mended by simulating anew is said before what takes votes.
REFUSE_UNAPPROVED = """
CREATE FUNCTION governance_refuse_unapproved(asked uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    change governance_change%ROWTYPE;
    revision governance_revision%ROWTYPE;
    requirement jsonb;
    approvers uuid[];
    blocking int;
    missing text;
    frozen jsonb;
    asks_simulation boolean;
    simulation jsonb;
BEGIN
    -- No rule and no freeze moves from here to the end of the transaction.
    PERFORM FROM governance_contenthead WHERE kind = 'approval_rules' FOR SHARE;
    SELECT * INTO change FROM governance_change WHERE id = asked FOR UPDATE;
    SELECT * INTO revision FROM governance_revision WHERE id = change.revision_id;
    PERFORM FROM governance_delegation
        WHERE id IN (SELECT delegation_id FROM governance_vote WHERE revision_id = revision.id) FOR SHARE;
    requirement := governance_requirement(asked);
    asks_simulation := requirement -> 'checks' ? 'simulation';
    simulation := governance_check_standing(asked, 'simulation');
    SELECT coalesce(array_agg(newest.vote_of) FILTER (WHERE newest.choice = 'approve'), '{}'),
           count(*) FILTER (WHERE newest.choice IN ('request_changes', 'reject'))
        INTO approvers, blocking
        FROM (
            SELECT DISTINCT ON (voter_id)
                voter_id, governance_vote_of(id) AS vote_of, choice, digest, simulation_id
            FROM governance_vote
            WHERE revision_id = revision.id ORDER BY voter_id, number DESC
        ) newest
        WHERE newest.vote_of IS NOT NULL AND newest.digest = revision.payload_digest
            AND newest.voter_id IN (SELECT user_id FROM governance_voters(asked))
            AND (NOT asks_simulation OR newest.choice <> 'approve'
                OR newest.simulation_id = (simulation ->> 'id')::uuid);
    IF change.single_handed THEN
        -- Only while nobody else could vote at all; who wrote it does not count, who objects does.
        IF EXISTS (SELECT FROM governance_voters(asked)) THEN
            RAISE EXCEPTION 'change % cannot pass single-handed: somebody else may vote on it', change.number
                USING ERRCODE = 'check_violation';
        END IF;
        requirement := requirement || '{"votes_needed": 0, "groups": []}';
    END IF;
    IF asks_simulation AND simulation ->> 'state' <> 'fresh' THEN
        RAISE EXCEPTION 'change % needs a simulation that holds: %', change.number, CASE simulation ->> 'state'
            WHEN 'missing' THEN 'there is none'
            WHEN 'revised' THEN 'the newest is of an earlier revision'
            WHEN 'moved' THEN 'another version is live than the newest compares with'
            WHEN 'old' THEN 'the newest is too old'
            ELSE 'the newest speaks against it'
        END USING ERRCODE = 'check_violation';
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

# What was live in a place and is no longer, each content with its mode once: the newest change whose votes made it live
# there, until when it was live last, and why nobody goes back to it at once, if so. A version is made in one place, so
# what became live after it is what starts from it. Nobody goes back at once to what had no votes.
EARLIER = """
CREATE FUNCTION governance_earlier(place_workflow uuid, place_environment uuid)
RETURNS TABLE (change_id uuid, live_until timestamptz, why_not text) LANGUAGE sql STABLE AS $$
    WITH spans AS (
        SELECT made.id, made.number, made.single_handed, version.document, revision.mode,
            made.applied_at AS since, ended.applied_at AS until,
            EXISTS (SELECT FROM governance_rollback back WHERE back.change_id = made.id)
                OR EXISTS (SELECT FROM governance_emergency e WHERE made.id IN (e.change_id, e.back_id)) AS rolled_back
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
REFUSE_ROLLBACK = """
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

# Why no emergency makes a change live, as the end of a sentence; empty where one may. Asked while the head still says
# what is live. An emergency does not go through a stop, nor through an objection, nor on from another emergency.
WHY_NO_EMERGENCY = """
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
REFUSE_EMERGENCY = """
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


class Migration(migrations.Migration):

    # Installations from before these were one go on with them.
    replaces = [
        ('governance', '0001_governance'),
        ('governance', '0002_audit'),
        ('governance', '0003_audit_owner'),
        ('governance', '0004_gateways'),
        ('governance', '0005_workflow_register'),
        ('governance', '0006_probes'),
        ('governance', '0007_provider_accounts'),
        ('governance', '0008_session_rounds'),
        ('governance', '0009_reviewbody_kept'),
        ('governance', '0010_audit_log'),
        ('governance', '0011_anchors'),
        ('governance', '0012_brakes'),
        ('governance', '0013_approval_rules'),
        ('governance', '0014_requirement'),
        ('governance', '0015_stops'),
        ('governance', '0016_appointments'),
        ('governance', '0017_audited_rows'),
        ('governance', '0018_rollbacks'),
        ('governance', '0019_checks'),
        ('governance', '0020_emergencies'),
        ('governance', '0021_delegations'),
        ('governance', '0022_comments'),
        ('governance', '0023_webhooks'),
        ('governance', '0024_required_checks'),
        ('governance', '0025_audit_samples'),
        ('governance', '0026_gateways_without_bundles'),
        ('governance', '0027_erasable_bodies'),
    ]

    dependencies = [
        ('governance', '0001_tables'),
    ]

    operations = [
        migrations.RunSQL(FACTS, "DROP FUNCTION governance_facts(text, uuid, uuid, uuid, uuid, text)"),
        migrations.RunSQL(RULE_FOR, "DROP FUNCTION governance_rule_for(jsonb)"),
        migrations.RunSQL(VOTERS, "DROP FUNCTION governance_voters(uuid)"),
        migrations.RunSQL(DECIDES, "DROP FUNCTION governance_decides(uuid, uuid)"),
        migrations.RunSQL(REQUIREMENT, "DROP FUNCTION governance_requirement(uuid)"),
        migrations.RunSQL(FREEZE, "DROP FUNCTION governance_freeze(uuid)"),
        migrations.RunSQL(CHECK_STANDING, "DROP FUNCTION governance_check_standing(uuid, text)"),
        migrations.RunSQL(VOTE_OF, "DROP FUNCTION governance_vote_of(uuid)"),
        migrations.RunSQL(REFUSE_UNAPPROVED, "DROP FUNCTION governance_refuse_unapproved(uuid)"),
        migrations.RunSQL(EARLIER, "DROP FUNCTION governance_earlier(uuid, uuid)"),
        migrations.RunSQL(REFUSE_ROLLBACK, "DROP FUNCTION governance_refuse_rollback(uuid)"),
        migrations.RunSQL(WHY_NO_EMERGENCY, "DROP FUNCTION governance_why_no_emergency(uuid)"),
        migrations.RunSQL(REFUSE_EMERGENCY, "DROP FUNCTION governance_refuse_emergency(uuid)"),
    ]
