"""People, teams, grants and API keys: who may do what, and the verbs that change it."""

import hashlib
import secrets
import string
from datetime import datetime
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from governance import audit, boxes
from governance.audit import Actor, Service
from governance.errors import GovernanceError, InvalidInput, store
from governance.models import ApiKey, Environment, Grant, Team, User, Workflow, new_id
from governance.permissions import PERMISSIONS, SERVICES, VIEWS, Role, roles_with

__all__ = [
    "ORGANISATION",
    "PERMISSIONS",
    "NotPermitted",
    "can",
    "check_zone",
    "create_key",
    "create_person",
    "create_team",
    "deactivate",
    "grant",
    "own_key",
    "own_key_held",
    "reactivate",
    "recording_key",
    "rename_team",
    "require",
    "revoke",
    "revoke_key",
    "set_password",
    "signed_in",
    "token_sha256",
]

# Keys that the control plane itself uses, and the act that lets a person do what they are for.
OWN_USE = {ApiKey.Purpose.TRIAL: "trials.send", ApiKey.Purpose.EVALUATION: "evaluations.run"}
PREFIX_LETTERS = string.ascii_letters + string.digits


class NotPermitted(GovernanceError, PermissionDenied):
    """The actor may not do this; Django answers 403."""


class LastAdministrator(GovernanceError):
    """After this nobody could administer any more."""


class Scoped(Protocol):
    """What rights are held over: something of a team, or with None of the whole organisation."""

    @property
    def team_id(self) -> UUID | None:
        """The team's key."""


class _Organisation:
    """All of it: what only a grant without a team reaches."""

    team_id = None

    def __str__(self) -> str:
        return "the organisation"


ORGANISATION = _Organisation()


def can(
    user: User | AnonymousUser | Service,
    act: str,
    obj: Scoped | None = None,
    *,
    environment: Environment | None = None,
) -> bool:
    """Whether the user holds a role that carries the act, now and there; one query.

    Without an object: anywhere at all (is there a page to show?). A grant for one environment does not carry acts that
    name no environment or another one, except reading; an object that has an environment names it. There is no
    superuser. Raises KeyError for an act that no role carries.
    """
    if isinstance(user, Service):
        return act in SERVICES.get(user.name, frozenset())
    held = Grant.objects.allowing(user, act)
    if obj is None:
        return held.exists()
    held = held.filter(Q(team=None) | Q(team=obj.team_id)) if obj.team_id else held.filter(team=None)
    if act not in VIEWS:
        place = environment.pk if environment else getattr(obj, "environment_id", None)
        held = held.filter(Q(environment=None) | Q(environment=place)) if place else held.filter(environment=None)
    return held.exists()


def require(
    user: User | AnonymousUser | Service,
    act: str,
    obj: Scoped | None = None,
    *,
    environment: Environment | None = None,
) -> None:
    """Raise NotPermitted unless `can` says yes."""
    if not can(user, act, obj, environment=environment):
        where = f" for {obj}" if obj is not None else ""
        roles = " or ".join(Role(role).label.lower() for role in roles_with(act))
        raise NotPermitted(f"You may not do this{where}: it takes the role {roles}. Ask an administrator.")


def signed_in(user: User | AnonymousUser) -> User:
    """Return the person who is signed in. Raises NotPermitted for nobody."""
    if not isinstance(user, User) or not user.is_active:
        raise NotPermitted("Sign in first.")
    return user


@transaction.atomic
def create_person(*, email: str, name: str, by: Actor, time_zone: str = "UTC", password: str | None = None) -> User:
    """Add a person, who can do nothing before a grant, nor sign in before a password.

    Raises NotPermitted, and InvalidInput for an address in use, an unknown zone or a weak password.
    """
    require(by, "accounts.edit", ORGANISATION)
    check_zone(time_zone)
    person = User(email=email.strip().lower(), name=name, time_zone=time_zone)
    _put_password(person, password)
    store(person)
    audit.record(
        action="accounts.create_person",
        actor=by,
        object=person,
        summary=f"Added {person.name}",
        after={"time_zone": person.time_zone, "has_password": person.has_usable_password()},
        body={"email": person.email, "name": person.name},
    )
    return person


@transaction.atomic
def set_password(*, person: User, password: str, by: Actor, invited_by: str = "") -> User:
    """Give a person a new password; sessions end. `invited_by` made the link, so could have used it, and is recorded.

    Raises NotPermitted and InvalidInput (a weak one).
    """
    person = User.objects.select_for_update().get(pk=person.pk)
    if by != person:
        require(by, "accounts.edit", ORGANISATION)
    _put_password(person, password)
    store(person)
    link = f", by the link that {invited_by} made" if invited_by else ""
    summary = f"Set a new password for {person.name}{link}"
    audit.record(action="accounts.set_password", actor=by, object=person, summary=summary)
    return person


@transaction.atomic
def deactivate(*, person: User, reason: str, by: Actor) -> User:
    """Let a person no longer sign in; his votes stand but count no more.

    Raises NotPermitted, LastAdministrator and InvalidInput.
    """
    return _set_active(person, active=False, reason=reason, by=by)


@transaction.atomic
def reactivate(*, person: User, reason: str, by: Actor) -> User:
    """Let a person sign in again, with the grants that still hold. Raises NotPermitted, InvalidInput."""
    return _set_active(person, active=True, reason=reason, by=by)


@transaction.atomic
def create_team(*, name: str, slug: str, by: Actor) -> Team:
    """Add a team. Raises NotPermitted, and InvalidInput for a name or slug in use."""
    require(by, "accounts.edit", ORGANISATION)
    team = store(Team(name=name, slug=slug))
    audit.record(
        action="accounts.create_team",
        actor=by,
        object=team,
        summary=f"Added the team {team.name}",
        after={"name": team.name, "slug": team.slug},
    )
    return team


@transaction.atomic
def rename_team(*, team: Team, name: str, by: Actor) -> Team:
    """Call a team by another name; its slug stays. Raises NotPermitted, and InvalidInput for a name in use."""
    held = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    require(by, "accounts.edit", ORGANISATION)
    before, held.name = held.name, name
    if before == name:
        return held
    store(held)
    audit.record(
        action="accounts.rename_team",
        actor=by,
        object=held,
        summary=f"The team {before} is called {held.name}",
        before={"name": before},
        after={"name": held.name},
    )
    return held


@transaction.atomic
def grant(
    *,
    user: User,
    role: str,
    by: Actor,
    team: Team | None = None,
    environment: Environment | None = None,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> Grant:
    """Give a person a role, in a team or (None) the organisation, in one environment or (None) all.

    Holds from now unless said, and until revoked unless said. Raises NotPermitted, also for a role for oneself,
    and InvalidInput for an unknown role, a scope held already, or dates the wrong way round.
    """
    require(by, "accounts.edit", ORGANISATION)
    if by == user:
        raise NotPermitted("Nobody grants himself a role: ask another administrator.")
    begins = valid_from or timezone.now()
    if valid_until is not None and valid_until < begins:
        # The constraint on overlaps would fail before the one that says this.
        raise InvalidInput("valid_until: a grant ends after it begins", field="valid_until")
    made = Grant(
        user=user,
        role=role,
        team=team,
        environment=environment,
        valid_from=begins,
        valid_until=valid_until,
        granted_by=by if isinstance(by, User) else None,
    )
    store(made)
    audit.record(
        action="accounts.grant",
        actor=by,
        object=made,
        summary=f"Made {user.name} {made.get_role_display().lower()} of {team or 'the organisation'}"
        + (f" in {environment}" if environment else ""),
        after=_grant_facts(made),
    )
    return made


@transaction.atomic
def revoke(*, grant: Grant, by: Actor, reason: str = "") -> Grant:
    """End a grant now; one that has not begun never begins.

    Raises NotPermitted, LastAdministrator, and InvalidInput for one that has ended.
    """
    if grant.role == Role.ADMIN:
        _lock_administrators()
    require(by, "accounts.edit", ORGANISATION)
    held = Grant.objects.select_for_update().get(pk=grant.pk)
    now = timezone.now()
    if held.valid_until is not None and held.valid_until <= now:
        raise InvalidInput("This grant has ended already.")
    before = _grant_facts(held)
    held.valid_until = max(now, held.valid_from)
    store(held)
    if held.role == Role.ADMIN:
        _check_administered()
    audit.record(
        action="accounts.revoke",
        actor=by,
        object=held,
        summary=f"{held.user.name} is no longer {held.get_role_display().lower()} of {held.team or 'the organisation'}",
        before=before,
        after=_grant_facts(held),
        reason=reason,
    )
    return held


@transaction.atomic
def create_key(
    *, workflow: Workflow, environment: Environment, name: str, by: Actor, identity: UUID | None = None
) -> tuple[ApiKey, str]:
    """Make an API key of one workflow and environment. Returns it with its token, which is never shown again.

    `identity` is the id it gets, where one form must not make two. Raises NotPermitted, and InvalidInput for a retired
    workflow, an empty name, or (field `id`) an identity in use.
    """
    require(by, "accounts.create_key", workflow, environment=environment)
    return _make_key(workflow, environment, name, ApiKey.Purpose.APPLICATION, by, identity)


def _make_key(
    workflow: Workflow,
    environment: Environment,
    name: str,
    purpose: ApiKey.Purpose,
    by: Actor,
    identity: UUID | None = None,
) -> tuple[ApiKey, str]:
    if environment.recorded:
        raise InvalidInput(
            f"environment: {environment.name} holds recordings, nothing is served there", field="environment"
        )
    if workflow.retired_at is not None:
        raise InvalidInput("workflow: this workflow is retired; choose one in use", field="workflow")
    prefix = "".join(secrets.choice(PREFIX_LETTERS) for _ in range(8))
    token = f"sf_{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey(
        id=identity or new_id(),
        name=name,
        purpose=purpose,
        workflow=workflow,
        environment=environment,
        prefix=prefix,
        sha256=token_sha256(token),
        created_by=by if isinstance(by, User) else None,
    )
    if purpose != ApiKey.Purpose.APPLICATION:
        key.sealed_token = boxes.close(token.encode(), key.pk.bytes)
    store(key)
    audit.record(
        action="accounts.create_key",
        actor=by,
        object=key,
        summary=f"Made the API key {key.name} for {workflow.name} in {environment.name}",
        after={
            "prefix": prefix,
            "purpose": str(purpose),
            "workflow": workflow.slug,
            "environment": environment.name,
        },
    )
    return key, token


@transaction.atomic
def recording_key(*, workflow: Workflow, environment: Environment, name: str, by: Actor) -> ApiKey:
    """Make the key under which a workflow's recordings are booked, in an environment that holds recordings.

    No token goes with it, so it opens nothing: its hash is of bytes that nobody ever saw. Raises NotPermitted, also for
    people, who import nothing by hand, and InvalidInput for another environment, a retired workflow or an empty name.
    """
    if not isinstance(by, Service):
        raise NotPermitted("Recordings are imported by Smallfirst’s own commands.")
    require(by, "accounts.create_key", workflow, environment=environment)
    if not environment.recorded:
        raise InvalidInput(
            f"environment: {environment.name} serves requests, so its keys have a token", field="environment"
        )
    if workflow.retired_at is not None:
        raise InvalidInput("workflow: this workflow is retired; choose one in use", field="workflow")
    prefix = "".join(secrets.choice(PREFIX_LETTERS) for _ in range(8))
    key = ApiKey(
        name=name,
        workflow=workflow,
        environment=environment,
        prefix=prefix,
        sha256=hashlib.sha256(secrets.token_bytes(32)).hexdigest(),
    )
    store(key)
    audit.record(
        action="accounts.recording_key",
        actor=by,
        object=key,
        summary=f"Made a key without a token, to book recordings of {workflow.name} under",
        after={"prefix": prefix, "workflow": workflow.slug, "environment": environment.name},
    )
    return key


@transaction.atomic
def own_key(*, workflow: Workflow, environment: Environment, purpose: ApiKey.Purpose, by: Actor) -> tuple[ApiKey, str]:
    """Return the key that the control plane itself uses for a purpose (`trial`, `evaluation`), made if there is none.

    The token comes along; it is kept sealed. Raises NotPermitted, InvalidInput for a retired workflow or an environment
    of recordings, KeyError for another purpose, and SealError where the review key is another than then.
    """
    require(by, OWN_USE[purpose], workflow, environment=environment)
    # Two who try at once would both make one.
    Workflow.objects.select_for_update(no_key=True).get(pk=workflow.pk)
    held = _own_key_held(workflow, environment, purpose)
    return _make_key(workflow, environment, purpose.label, purpose, by) if held is None else held


def own_key_held(
    *, workflow: Workflow, environment: Environment, purpose: ApiKey.Purpose, by: Actor
) -> tuple[ApiKey, str] | None:
    """Return the key that `own_key` made, None where there is none now; writes nothing. Raises as `own_key` does."""
    require(by, OWN_USE[purpose], workflow, environment=environment)
    return _own_key_held(workflow, environment, purpose)


def _own_key_held(workflow: Workflow, environment: Environment, purpose: ApiKey.Purpose) -> tuple[ApiKey, str] | None:
    held = ApiKey.objects.usable().filter(workflow=workflow, environment=environment, purpose=purpose).first()
    if held is None or held.sealed_token is None:
        return None
    return held, boxes.open(held.sealed_token, held.pk.bytes).decode()


@transaction.atomic
def revoke_key(*, key: ApiKey, by: Actor, reason: str = "") -> ApiKey:
    """End an API key; gateways learn of it within seconds. Raises NotPermitted, InvalidInput if ended."""
    held = ApiKey.objects.select_for_update(of=("self",)).select_related("workflow", "environment").get(pk=key.pk)
    require(by, "accounts.revoke_key", held)
    if held.revoked_at is not None:
        raise InvalidInput("This key is revoked already.")
    held.revoked_at = timezone.now()
    held.revoked_by = by if isinstance(by, User) else None
    store(held)
    audit.record(
        action="accounts.revoke_key",
        actor=by,
        object=held,
        summary=f"Revoked the API key {held.name} of {held.workflow.name} in {held.environment.name}",
        before={"revoked_at": None},
        after={"revoked_at": held.revoked_at},
        reason=reason,
    )
    return held


def token_sha256(token: str) -> str:
    """What is kept of a token: its SHA-256, as 64 hexadecimal digits. Tokens are random, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def check_zone(time_zone: str) -> None:
    """Raise InvalidInput unless it is a zone of the IANA database."""
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInput("time_zone: write a zone such as Europe/Berlin", field="time_zone") from error


def _put_password(person: User, password: str | None) -> None:
    if password is None:
        person.set_unusable_password()
        return
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise InvalidInput(f"password: {' '.join(error.messages)}", field="password") from error
    person.set_password(password)


def _lock_administrators() -> None:
    """Two administrators who would end each other come one after the other; taken before any other lock."""
    list(Grant.objects.select_for_update(no_key=True).filter(role=Role.ADMIN).order_by("pk").values_list("pk"))


def _check_administered() -> None:
    if not Grant.objects.in_force().filter(role=Role.ADMIN, user__is_active=True).exists():
        raise LastAdministrator("Nobody could administer any more: make another person administrator first.")


def _set_active(person: User, *, active: bool, reason: str, by: Actor) -> User:
    if not active:
        _lock_administrators()
    require(by, "accounts.edit", ORGANISATION)
    held = User.objects.select_for_update().get(pk=person.pk)
    if by == held:
        raise NotPermitted("Nobody does this to his own account: ask another administrator.")
    if held.is_active is active:
        raise InvalidInput(f"{held.name} {'may sign in' if active else 'may not sign in'} already.")
    held.is_active = active
    store(held)
    if not active and held.grants.in_force().filter(role=Role.ADMIN).exists():
        _check_administered()
    audit.record(
        action="accounts.reactivate" if active else "accounts.deactivate",
        actor=by,
        object=held,
        summary=f"{held.name} {'may sign in again' if active else 'may no longer sign in'}",
        before={"is_active": not active},
        after={"is_active": active},
        reason=reason,
    )
    return held


def _grant_facts(held: Grant) -> dict[str, object]:
    return {
        "user": held.user_id,
        "role": held.role,
        "team": held.team.slug if held.team else None,
        "environment": held.environment.name if held.environment else None,
        "valid_from": held.valid_from,
        "valid_until": held.valid_until,
    }
