"""Votes: where those on a change stand, who could still vote, and who may not because he had a hand in it."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.utils import timezone

from governance import approval_rules, checks
from governance.accounts import can
from governance.checks import CheckStanding
from governance.models import Change, Check, Contributor, Delegation, User, Vote

Choice = Vote.Choice
# What somebody did by a vote, after his name.
SAID = {
    Choice.APPROVE: "approved it",
    Choice.REQUEST_CHANGES: "asked for changes",
    Choice.REJECT: "rejected it",
    Choice.ABSTAIN: "abstained",
    Choice.WITHDRAW: "took the vote back",
}
# The states of a change in which people vote on it.
VOTABLE = (Change.State.IN_REVIEW, Change.State.APPROVED)

OF_THE_ORGANISATION = "Who votes for the whole organisation votes on exceptions from its standard."


@dataclass(frozen=True)
class CastVote:
    """A person's newest vote on the current revision, and why it does not count, if so."""

    vote: Vote
    why_not: str

    @property
    def counts(self) -> bool:
        """Whether it counts."""
        return not self.why_not

    @property
    def said(self) -> str:
        """What the person did, as it stands after a name."""
        return SAID[Choice(self.vote.choice)]

    @property
    def of(self) -> UUID:
        """Whose vote it is: by a delegation, that of who gave it."""
        return self.vote.delegation.by_id if self.vote.delegation else self.vote.voter_id


@dataclass(frozen=True)
class OfGroup:
    """How many approvals of a group's members count, of how many that are needed."""

    title: str
    members: frozenset[UUID]
    counted: int
    needed: int


@dataclass(frozen=True)
class Requirement:
    """What a change needs: the stricter of its rule as it stood when it was written and as it is now.

    `rules` names them; `least` is how many votes its environments ask for by themselves, `groups` are votes needed by
    group; `rests_until`, `due_at` (when votes are due) and `expires_at` are moments (UTC), None for none. `checks` must
    hold.
    """

    rules: tuple[str, ...]
    votes: int
    least: int
    groups: Mapping[str, int]
    rests_until: datetime | None
    expires_at: datetime | None
    checks: tuple[str, ...] = ()
    due_at: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True)
class Freeze:
    """A time in which nothing becomes live in an environment, which is now."""

    name: str
    until: datetime


@dataclass(frozen=True)
class Standing:
    """Where the votes on the current revision stand: approvals that count, how many it takes, and objections.

    `voters` may vote on it now, with their names: whoever holds a role for it and had no hand in it. With none it can
    pass single-handed.
    `simulation` is how its newest one stands, `revision` the number of the present one.
    """

    votes: tuple[CastVote, ...]
    voters: Mapping[UUID, str]
    counted: int
    against: int
    requirement: Requirement
    groups: tuple[OfGroup, ...]
    freeze: Freeze | None
    simulation: CheckStanding
    revision: int

    @property
    def needed(self) -> int:
        """How many approvals it takes."""
        return self.requirement.votes

    @property
    def enough(self) -> bool:
        """Whether it has the votes it needs."""
        return self.counted >= self.needed and self.against == 0 and not self.missing

    @property
    def missing(self) -> tuple[OfGroup, ...]:
        """The groups of which votes are still needed."""
        return tuple(each for each in self.groups if each.counted < each.needed)

    @property
    def said(self) -> str:
        """Where it stands, as the end of a sentence."""
        lacking = "".join(f", {each.counted} of {each.needed} from {each.title}" for each in self.missing)
        return f"{self.counted} of {self.needed} votes{lacking}" + (
            f" and {self.against} against" if self.against else ""
        )

    @property
    def lost(self) -> str:
        """Whose approval no longer counts and why, as sentences that follow; empty where every one does."""
        gone = [each for each in self.votes if each.vote.choice == Choice.APPROVE and not each.counts]
        return "".join(f" {each.vote.voter} approved it, but {each.why_not}: that counts no more." for each in gone)

    def would_do(self, user: User | AnonymousUser) -> bool:
        """Whether this person's approval would be the last one needed."""
        missing = [(each.title, each.needed - each.counted) for each in self.missing]
        helps = {each.title for each in self.groups if user.pk in each.members}
        fills = all(lacking == 1 and title in helps for title, lacking in missing)
        return self.counted + 1 >= self.needed and self.against == 0 and fills

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.requirement.expired(now)

    def why_later(self, now: datetime) -> str:
        """Say why it cannot become live at this moment, whatever its votes; empty if it can."""
        return _why_later(self.requirement, self.freeze, self.simulation, self.revision, now)


def standing(change: Change) -> Standing:
    """Count the votes on the current revision as they are now; six queries at most. Needs `revision`."""
    revision = change.revision
    votes = Vote.objects.filter(revision=revision).select_related("voter", "delegation__by")
    newest = list(votes.order_by("voter_id", "-number").distinct("voter_id"))
    may, now = voters(change), timezone.now()
    themselves = {each.voter_id for each in newest if each.choice != Choice.WITHDRAW}
    needed, freeze, simulation = _asked(change)
    hands = set(Contributor.objects.filter(change=change).values_list("user_id", flat=True)) | {change.proposed_by_id}

    def why_not(cast: Vote) -> str:
        if cast.choice == Choice.WITHDRAW:
            return "taken back"
        if not cast.voter.is_active:
            return "may no longer sign in"
        if cast.voter_id in hands:
            return "had a hand in it"
        if cast.voter_id not in may:
            return "may no longer vote here"
        if cast.digest != revision.payload_digest:
            return "is for other content"
        if cast.choice == Choice.APPROVE and "simulation" in needed.checks and cast.simulation_id is None:
            return "saw no simulation"
        if cast.choice == Choice.APPROVE and "simulation" in needed.checks and cast.simulation_id != simulation.id:
            return "saw an earlier simulation"
        return _why_not_for(cast.delegation, may, themselves, now) if cast.delegation else ""

    cast = tuple(CastVote(each, why_not(each)) for each in sorted(newest, key=lambda each: each.created_at))
    chosen = [each.vote.choice for each in cast if each.counts]
    approving = {each.of for each in cast if each.counts and each.vote.choice == Choice.APPROVE}
    return Standing(
        votes=cast,
        voters=may,
        counted=len(approving),
        against=chosen.count(Choice.REQUEST_CHANGES) + chosen.count(Choice.REJECT),
        requirement=needed,
        groups=_of_groups(needed, approving),
        freeze=freeze,
        simulation=simulation,
        revision=revision.number,
    )


def requirement(change: Change) -> Requirement:
    """Return what a change needs now; one query. Needs `revision`."""
    return _asked(change)[0]


def why_later(change: Change, now: datetime) -> str:
    """Say why a change cannot become live at this moment, whatever its votes; empty if it can. One query."""
    return _why_later(*_asked(change), change.revision.number, now)


def rule_for(change: Change, *, base: UUID | None, version: UUID | None, mode: str) -> tuple[dict[str, Any], int]:
    """Return the approval rule for what leads from a base to a version, empty where none matches; one query.

    And how many votes its environments ask for at least. Both are keys of policy versions that are stored already, None
    for other content.
    """
    facts = [change.kind, change.workflow_id, change.environment_id, base, version, mode]
    asked = (
        "SELECT governance_rule_for(facts), (facts ->> 'least_votes')::int"
        " FROM governance_facts(%s, %s, %s, %s, %s, %s) facts"
    )
    with connection.cursor() as cursor:
        cursor.execute(asked, facts)
        rule, least = cursor.fetchone() or ("{}", 1)
    found: dict[str, Any] = json.loads(rule)
    return found, least


def _why_not_for(delegation: Delegation, may: Collection[UUID], themselves: Collection[UUID], now: datetime) -> str:
    """Say why a vote by a delegation does not count."""
    if delegation.revoked_at is not None or not delegation.starts_at <= now < delegation.ends_at:
        return f"no longer stands in for {delegation.by}"
    if delegation.by_id in themselves:
        return f"is not needed: {delegation.by} voted"
    return f"stands in for {delegation.by}, who may not vote here" if delegation.by_id not in may else ""


def may_vote(change: Change) -> frozenset[UUID]:
    """Return who may vote on a change now: active people with a role for it, who had no hand in it; one query."""
    return frozenset(voters(change))


def voters(change: Change) -> dict[UUID, str]:
    """Return who may vote on a change now, each with his name; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT may.user_id, person.name FROM governance_voters(%s) AS may"
            " JOIN governance_user AS person ON person.id = may.user_id",
            [change.pk],
        )
        return dict(cursor.fetchall())


def _why_later(
    needed: Requirement, freeze: Freeze | None, simulation: CheckStanding, revision: int, now: datetime
) -> str:
    if "simulation" in needed.checks and simulation.state != "fresh":
        return f"its rule asks for a simulation that holds. {simulation.why_not(revision).removesuffix('.')}"
    if needed.rests_until is not None and needed.rests_until > now:
        return f"it rests until {needed.rests_until:%-d %B %Y %H:%M} UTC, so that everybody can look at it"
    if freeze is not None:
        return f"{freeze.name} lets nothing become live until {freeze.until:%-d %B %Y %H:%M} UTC"
    return ""


def _asked(change: Change) -> tuple[Requirement, Freeze | None, CheckStanding]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT governance_requirement(%s), governance_freeze(%s), governance_check_standing(%s, %s)",
            [change.pk, change.pk, change.pk, Check.Kind.SIMULATION],
        )
        found = cursor.fetchone() or ("{}", None, "{}")
    said: dict[str, Any] = json.loads(found[0])
    freeze: dict[str, Any] | None = json.loads(found[1]) if found[1] else None
    written, rest, days = change.revision.created_at, said["cool_off_minutes"], said["expires_days"]
    needed = Requirement(
        rules=tuple(said["names"]),
        votes=said["votes_needed"],
        least=said["least_votes"],
        groups={each["group"]: each["votes"] for each in said["groups"]},
        rests_until=written + timedelta(minutes=rest) if rest else None,
        expires_at=written + timedelta(days=days) if days else None,
        checks=tuple(said["checks"]),
        due_at=written + timedelta(hours=said["due_hours"]) if said["due_hours"] else None,
    )
    frozen = Freeze(freeze["name"], datetime.fromisoformat(freeze["end"]).astimezone(UTC)) if freeze else None
    return needed, frozen, checks.read(found[2])


def _of_groups(needed: Requirement, approving: set[UUID]) -> tuple[OfGroup, ...]:
    """Count approvals by group, by the membership in force. A group that is gone has no members left."""
    if not needed.groups:
        return ()
    known = {group.name: group for group in approval_rules.live().groups}
    found = []
    for name, votes in needed.groups.items():
        group = known.get(name)
        members = frozenset(group.members if group else ())
        found.append(OfGroup(group.title if group else name, members, len(approving & members), votes))
    return tuple(found)


def why_not_vote(change: Change, user: User | AnonymousUser) -> str:
    """Say why this person cannot vote on a change, empty if he can."""
    if not isinstance(user, User) or not can(user, "changes.vote", change):
        return "Your roles here do not let you vote."
    if change.workflow is not None and change.workflow.retired_at is not None:
        return f"{change.workflow.name} is retired, so nobody votes on its changes."
    if change.state == Change.State.STALE:
        return "Another change became live: this one has to be revised first."
    if change.state not in VOTABLE:
        return f"This change is {change.get_state_display().lower()}."
    if had_hand(change, user):
        return "You had a hand in this change, so others vote on it."
    if change.kind == Change.Kind.EXCEPTION and user.pk not in may_vote(change):
        return OF_THE_ORGANISATION
    return ""


def had_hand(change: Change, user: User) -> bool:
    """Whether a person proposed a change or wrote any of its revisions."""
    return change.proposed_by_id == user.pk or change.contributors.filter(user=user).exists()
