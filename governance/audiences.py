"""Audiences: who is told of what, as keys of people who may sign in and may open the page that a message leads to."""

from uuid import UUID

from django.db.models import Q

from governance import votes
from governance.models import Change, Environment, Grant, Model, ModelVersion, PolicyHead, Stop, User, Vote, Workflow
from governance.permissions import roles_with

People = frozenset[UUID]


def holders(act: str, *, team: UUID | None, role: str | None = None, environment: UUID | None = None) -> People:
    """Those who hold an act now: in a team or everywhere, with None only everywhere; one query.

    With an environment the grant holds there too; `role` narrows it to one of the roles that carry the act.
    """
    held = Grant.objects.in_force().filter(role__in=[role] if role else roles_with(act), user__is_active=True)
    held = held.filter(Q(team=None) | Q(team=team)) if team else held.filter(team=None)
    if environment:
        held = held.filter(Q(environment=None) | Q(environment=environment))
    return frozenset(held.values_list("user", flat=True))


def asked_to_vote(change: Change) -> People:
    """Those who may vote on a change and have not yet voted on its present form."""
    cast = Vote.objects.filter(revision=change.revision_id).values_list("voter", flat=True)
    return votes.may_vote(change) - frozenset(cast)


def authors(change: Change) -> People:
    """Those who had a hand in a change, as far as they may still read it."""
    hands = {change.proposed_by_id, *change.contributors.values_list("user", flat=True)}
    return holders("changes.view", team=change.team_id) & hands


def of_comment(change: Change) -> People:
    """Who is told of a comment: the authors of what it is about, and whoever commented on it before and may read it."""
    spoke = frozenset(change.comments.values_list("by", flat=True))
    return authors(change) | (holders("changes.view", team=change.team_id) & spoke)


def concerned(change: Change) -> People:
    """Those who are told that a change is live: its authors, and who answers for a workflow that it holds for."""
    told = authors(change) | (answering(change.workflow) if change.workflow else frozenset())
    return told | _held_to(change) if change.kind == Change.Kind.STANDARD else told


def _held_to(change: Change) -> People:
    """Who answers for the workflows that are held to a standard by a live policy."""
    heads = PolicyHead.objects.of_workflows_in_use().filter(environment=change.environment_id)
    heads = heads.filter(workflow__team=change.for_team_id) if change.for_team_id else heads
    held = Workflow.objects.filter(pk__in=heads.values("workflow"))
    named = User.objects.filter(Q(pk__in=held.values("owner")) | Q(pk__in=held.values("deputy")), is_active=True)
    return frozenset(named.values_list("pk", flat=True))


def of_rollback(change: Change) -> People:
    """Who wrote, could approve or answers for what a roll-back took out of use."""
    left = Change.objects.filter(revision__version=change.revision.base_version_id).first()
    wrote = authors(left) if left else frozenset()
    return concerned(change) | wrote | holders("changes.vote", team=change.team_id, environment=change.environment_id)


def answering(held: Workflow | Model) -> People:
    """Owner and deputy of a workflow, or the owner of a model, as far as they may sign in."""
    deputy = held.deputy_id if isinstance(held, Workflow) else None
    named = User.objects.filter(pk__in=[key for key in (held.owner_id, deputy) if key], is_active=True)
    return frozenset(named.values_list("pk", flat=True))


def of_suspension(version: ModelVersion, environment: Environment) -> People:
    """Who answers for a model or for a workflow whose live policy names it there, and who may admit it anew."""
    heads = PolicyHead.objects.naming(version.model.name).of_workflows_in_use().filter(environment=environment)
    used = Workflow.objects.filter(pk__in=heads.values("workflow"))
    named = User.objects.filter(Q(pk__in=used.values("owner")) | Q(pk__in=used.values("deputy")), is_active=True)
    voting = holders("changes.vote", team=version.team_id, environment=environment.pk)
    return voting | answering(version.model) | frozenset(named.values_list("pk", flat=True))


def of_stop(stop: Stop) -> People:
    """Who answers for what is stopped and who may lift it; of everything, whoever answers for a workflow in use."""
    lifting = holders("stops.lift", team=stop.team_id)
    if held := stop.workflow or stop.model:
        return lifting | answering(held)
    used = Workflow.objects.in_use()
    named = User.objects.filter(Q(pk__in=used.values("owner")) | Q(pk__in=used.values("deputy")), is_active=True)
    return lifting | frozenset(named.values_list("pk", flat=True))
