"""What PostgreSQL keeps of changes, revisions and votes: bodies of triggers, and times that its functions tell.

Whitespace of the bodies counts: migrations keep it.
"""

from django.db import models
from django.db.models.expressions import RawSQL

from governance.models.contents import same_place

# From which state to which; what stands here on the right only has ended.
TRANSITIONS = {
    "in_review": ("approved", "rejected", "withdrawn", "stale", "expired"),
    "approved": ("in_review", "applied", "rejected", "withdrawn", "stale", "expired"),
    "stale": ("in_review", "approved", "withdrawn", "expired"),
}
_OPEN = ", ".join(f"'{state}'" for state in TRANSITIONS)
_ALLOWED = " ".join(f"WHEN '{state}' THEN ARRAY{[state, *after]}" for state, after in TRANSITIONS.items())

# A change begins in review, or approved where nobody's vote is asked for, and moves as above.
STATE_MOVES = f"""
                    IF TG_OP = 'INSERT' THEN
                        IF NEW.state NOT IN ('in_review', 'approved') THEN
                            RAISE EXCEPTION 'a change begins in review'
                                USING ERRCODE = 'check_violation';
                        END IF;
                    ELSIF NEW.state <> ALL (CASE OLD.state {_ALLOWED} ELSE ARRAY[OLD.state] END)
                    THEN
                        RAISE EXCEPTION 'change % cannot go from % to %', OLD.number, OLD.state, NEW.state
                            USING ERRCODE = 'check_violation';
                    ELSIF OLD.state NOT IN ({_OPEN}) AND NEW IS DISTINCT FROM OLD THEN
                        RAISE EXCEPTION 'change % has ended', OLD.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """

# What is marked applied is live, or was until another change started from it.
APPLIED_IS_LIVE = """
                    IF NEW.state = 'applied' AND OLD.state <> 'applied' THEN
                        SELECT coalesce(version_id, content_id) INTO leads_to
                            FROM governance_revision WHERE id = NEW.revision_id;
                        IF NOT EXISTS (SELECT FROM governance_policyhead WHERE change_id = NEW.id)
                            AND NOT EXISTS (SELECT FROM governance_contenthead WHERE change_id = NEW.id)
                            AND NOT EXISTS (
                                SELECT FROM governance_change later
                                JOIN governance_revision r ON r.id = later.revision_id
                                WHERE later.state = 'applied' AND leads_to IN (r.base_version_id, r.base_content_id)
                            )
                        THEN
                            RAISE EXCEPTION 'change % is marked applied, but nothing moved', NEW.number
                                USING ERRCODE = 'check_violation';
                        END IF;
                    END IF;
                    RETURN NULL;
                """

# A revision is of an open change, and leads to content of its place.
BELONGS_TOGETHER = f"""
                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;
                    IF change.state NOT IN ('in_review', 'approved', 'stale') THEN
                        RAISE EXCEPTION 'change % has ended', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    IF EXISTS (
                        SELECT FROM governance_policyversion
                        WHERE id IN (NEW.version_id, NEW.base_version_id)
                            AND workflow_id IS DISTINCT FROM change.workflow_id
                    ) THEN
                        RAISE EXCEPTION 'change % leads to a policy of another workflow', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    IF EXISTS (
                        SELECT FROM governance_content content
                        WHERE id IN (NEW.content_id, NEW.base_content_id)
                            AND NOT {same_place("content", "change")}
                    ) THEN
                        RAISE EXCEPTION 'change % leads to content of another place', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """  # noqa: S608 - of names of columns alone

# A vote is on the newest revision in review, with its digest, by somebody who had no hand in the change.
VOTER_IS_ANOTHER = """
                    SELECT * INTO revision FROM governance_revision WHERE id = NEW.revision_id;
                    SELECT * INTO change FROM governance_change WHERE id = revision.change_id FOR UPDATE;
                    IF change.revision_id <> revision.id OR NEW.digest <> revision.payload_digest THEN
                        RAISE EXCEPTION 'change % has another content by now', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    IF change.state NOT IN ('in_review', 'approved') THEN
                        RAISE EXCEPTION 'change % is not in review', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    IF NEW.voter_id = change.proposed_by_id
                        OR EXISTS (
                            SELECT FROM governance_contributor
                            WHERE change_id = change.id AND user_id = NEW.voter_id
                        )
                        OR EXISTS (
                            SELECT FROM governance_revision
                            WHERE change_id = change.id AND created_by_id = NEW.voter_id
                        )
                    THEN
                        RAISE EXCEPTION 'nobody votes on change % who had a hand in it', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """

# A vote by delegation is by who has one that holds, and both may vote on the change and had no hand in it.
BY_DELEGATION = """
                    IF NEW.delegation_id IS NOT NULL AND NOT EXISTS (
                        SELECT FROM governance_delegation held
                        JOIN governance_revision revision ON revision.id = NEW.revision_id
                        WHERE held.id = NEW.delegation_id AND held.to_id = NEW.voter_id AND held.revoked_at IS NULL
                            AND held.starts_at <= clock_timestamp() AND held.ends_at > clock_timestamp()
                            AND held.by_id IN (SELECT user_id FROM governance_voters(revision.change_id))
                            AND held.to_id IN (SELECT user_id FROM governance_voters(revision.change_id))
                    ) THEN
                        RAISE EXCEPTION 'this delegation lets nobody vote here now' USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """

# By when votes on a change are due, and when it expires, as its rule says; null where it says nothing.
DUE = RawSQL(
    "(SELECT written.created_at"
    " + make_interval(hours => (governance_requirement(governance_change.id) ->> 'due_hours')::int)"
    " FROM governance_revision written WHERE written.id = governance_change.revision_id)",
    [],
    output_field=models.DateTimeField(),
)
ENDS = RawSQL(
    "(SELECT written.created_at"
    " + make_interval(days => (governance_requirement(governance_change.id) ->> 'expires_days')::int)"
    " FROM governance_revision written WHERE written.id = governance_change.revision_id)",
    [],
    output_field=models.DateTimeField(),
)
