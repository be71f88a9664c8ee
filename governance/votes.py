"""Votes: where those on a change stand, who could still vote, and who may not because he had a hand in it."""

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from governance.accounts import can
from governance.models import Change, Contributor, Grant, User, Vote
from governance.permissions import roles_with

Choice = Vote.Choice
# The states of a change in which people vote on it.
VOTABLE = (Change.State.IN_REVIEW, Change.State.APPROVED)


@dataclass(frozen=True)
class CastVote:
    """A person's newest vote on the current revision, and why it does not count, if so."""

    vote: Vote
    why_not: str

    @property
    def counts(self) -> bool:
        """Whether it counts."""
        return not self.why_not


@dataclass(frozen=True)
class Standing:
    """Where the votes on the current revision stand: approvals that count, how many it takes, and objections."""

    votes: tuple[CastVote, ...]
    counted: int
    needed: int
    against: int

    @property
    def enough(self) -> bool:
        """Whether it may become live."""
        return self.counted >= self.needed and self.against == 0


def standing(change: Change) -> Standing:
    """Count the votes on the current revision as they are now; three queries. Needs `revision` and `environment`."""
    revision = change.revision
    votes = Vote.objects.filter(revision=revision).select_related("voter").order_by("voter_id", "-number")
    newest = list(votes.distinct("voter_id"))
    may = set(
        Grant.objects.in_force()
        .filter(user__in=[each.voter_id for each in newest], role__in=roles_with("changes.vote"))
        .filter(Q(team=None) | Q(team=change.team_id), Q(environment=None) | Q(environment=change.environment_id))
        .values_list("user_id", flat=True)
    )
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
        return "is for other content" if cast.digest != revision.payload_digest else ""

    cast = tuple(CastVote(each, why_not(each)) for each in sorted(newest, key=lambda each: each.created_at))
    chosen = [each.vote.choice for each in cast if each.counts]
    return Standing(
        votes=cast,
        counted=chosen.count(Choice.APPROVE),
        needed=max(change.environment.votes_needed, revision.rule["votes_needed"]),
        against=chosen.count(Choice.REQUEST_CHANGES) + chosen.count(Choice.REJECT),
    )


def others_may_vote(change: Change) -> bool:
    """Whether anybody may vote on a change who had no hand in it; one query. Then it cannot pass single-handed."""
    hands = Contributor.objects.filter(change=change).values("user")
    return (
        Grant.objects.in_force()
        .filter(role__in=roles_with("changes.vote"), user__is_active=True)
        .filter(Q(team=None) | Q(team=change.team_id), Q(environment=None) | Q(environment=change.environment_id))
        .exclude(user__in=hands)
        .exclude(user=change.proposed_by_id)
        .exists()
    )


def why_not_vote(change: Change, user: User | AnonymousUser) -> str:
    """Say why this person cannot vote on a change, empty if he can."""
    if not isinstance(user, User) or not can(user, "changes.vote", change):
        return "Your roles here do not let you vote."
    if change.state == Change.State.STALE:
        return "Another change became live: this one has to be revised first."
    if change.state not in VOTABLE:
        return f"This change is {change.get_state_display().lower()}."
    if had_hand(change, user):
        return "You had a hand in this change, so others vote on it."
    return ""


def had_hand(change: Change, user: User) -> bool:
    """Whether a person proposed a change or wrote any of its revisions."""
    return change.proposed_by_id == user.pk or change.contributors.filter(user=user).exists()
