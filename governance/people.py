"""People's own entries: what is written of a person, sessions, and the link by which a password is chosen."""

from uuid import UUID

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction

from governance import accounts, audit
from governance.accounts import ORGANISATION, require
from governance.audit import Actor
from governance.errors import InvalidInput, store
from governance.models import AuditEvent, User

DAYS = settings.PASSWORD_RESET_TIMEOUT // 86_400


@transaction.atomic
def edit(*, person: User, name: str, time_zone: str, by: Actor) -> User:
    """Change a person's name and the zone of times on his pages. The same again writes nothing.

    The name stands beside votes and answers, so nobody gives himself another. Raises NotPermitted and InvalidInput.
    """
    held = _lock(person.pk)
    if by != held or name != held.name:
        require(by, "accounts.edit", ORGANISATION)
    accounts.check_zone(time_zone)
    before = (held.name, held.time_zone)
    held.name, held.time_zone = name, time_zone
    if (name, time_zone) == before:
        return held
    store(held)
    audit.record(
        action="people.edit",
        actor=by,
        object=held,
        summary=f"Changed the entry of {held.name}",
        before={"time_zone": before[1]},
        after={"time_zone": held.time_zone},
        body={"before": before[0], "after": held.name},
    )
    return held


@transaction.atomic
def end_sessions(*, person: User, by: Actor) -> User:
    """Sign a person out everywhere; the password stays. Returns the row with which one session may go on.

    Raises NotPermitted.
    """
    held = _lock(person.pk)
    if by != held:
        require(by, "accounts.edit", ORGANISATION)
    held.session_round += 1
    store(held)
    audit.record(action="people.end_sessions", actor=by, object=held, summary=f"Ended the sessions of {held.name}")
    return held


@transaction.atomic
def invite(*, person: User, by: Actor) -> str:
    """Return a token with which a person chooses a password, once, within `DAYS` days: so nobody else ever knows it.

    It is kept nowhere, and ends when the password changes or the person signs in. Raises NotPermitted, and InvalidInput
    for someone who may not sign in.
    """
    held = _lock(person.pk)
    require(by, "accounts.edit", ORGANISATION)
    if not held.is_active:
        raise InvalidInput(f"{held.name} may not sign in: reactivate the account first.")
    audit.record(
        action="people.invite",
        actor=by,
        object=held,
        summary=f"Made a link by which {held.name} chooses a password",
    )
    return default_token_generator.make_token(held)


def invited(pk: UUID, token: str) -> User | None:
    """Return whom a token invites; None where it is not, or no longer, an invitation."""
    person = User.objects.filter(pk=pk, is_active=True).first()
    return person if person is not None and default_token_generator.check_token(person, token) else None


@transaction.atomic
def accept(*, pk: UUID, token: str, password: str) -> User:
    """Let an invited person choose a password; the invitation ends. Raises InvalidInput, also for one that ended."""
    # Of two who come at once with one token, the second finds another password than the token was made for.
    User.objects.select_for_update(no_key=True).filter(pk=pk).first()
    person = invited(pk, token)
    if person is None:
        raise InvalidInput("This link has ended. Ask an administrator for another.")
    made = AuditEvent.objects.about(person).filter(action="people.invite").newest_first().first()
    return accounts.set_password(
        person=person, password=password, by=person, invited_by=made.actor_name if made else ""
    )


def _lock(pk: UUID) -> User:
    return User.objects.select_for_update(no_key=True).get(pk=pk)
