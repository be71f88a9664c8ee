"""Brakes on signing in: a try of a password is counted before it is checked, and after some the next has to wait.

Counted are the tries of one account from one place, and all tries from one place. Only the place is made to wait: who
tries a stranger's account from elsewhere cannot lock him out. Tries are counted first and taken back when they were
good, so a hundred at once are no more than a hundred one after the other. Whether an account exists makes no
difference to what is read, written and told here.
"""

import ipaddress
import math
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Max
from django.utils.crypto import salted_hmac

from governance import audit
from governance.audit import Service
from governance.errors import GovernanceError
from governance.models import AuditEvent, Brake, User

# So many bad tries are free; each one more makes the next wait twice as long.
FREE: Final = 5
# From one place, whatever the accounts: behind it may be a whole office.
FREE_OF_A_PLACE: Final = 30
FIRST_WAIT: Final = timedelta(seconds=15)
LONGEST_WAIT: Final = timedelta(minutes=15)
# Where nobody knows the place, everybody shares it: nobody waits long for what a stranger did.
LONGEST_WAIT_ANYWHERE: Final = timedelta(minutes=1)
# After so long without a try all is forgotten, and the row is deleted within the hour.
FORGOTTEN_AFTER: Final = timedelta(hours=1)
SIGN_IN: Final = Service("sign-in")


class Braked(GovernanceError):
    """No password is looked at from here before `seconds` are over."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        minutes = math.ceil(seconds / 60)
        wait = f"{seconds} second{'s' * (seconds != 1)}" if seconds < 120 else f"{minutes} minutes"
        super().__init__(f"Too many tries that did not fit. Wait {wait}, then try again.")


@transaction.atomic(durable=True)
def admit(*, account: str, address: str | None, now: datetime) -> None:
    """Count a try of an account's password from an address, before the password is looked at. Raises Braked.

    A try that is turned away counts for nothing: waiting is never made longer by asking. Each is followed by `failed`
    or `succeeded`.
    """
    held = _held(account, address, now)
    waits = [math.ceil((each.until - now).total_seconds()) for each in held if each.until and each.until > now]
    if waits:
        raise Braked(max(waits))
    for each in held:
        if each.last_at <= now - FORGOTTEN_AFTER:
            each.tries, each.told = 0, False
        each.tries += 1
        each.last_at = now
        each.until = now + _wait(each) if each.tries >= _free(each) else None
        each.save()


@transaction.atomic
def failed(*, account: str, address: str | None, now: datetime) -> None:
    """Leave a trace where a bad try begins a brake: an audit entry, without what was typed."""
    person = User.objects.filter(email=_typed(account)).first()
    for each in _held(account, address, now):
        if each.tries < _free(each) or each.told:
            continue
        each.told = True
        each.save()
        whose = ("of an unknown account" if person is None else f"of {person.name}") if each.account else "of anybody"
        place = each.address or "an unknown place"
        audit.record(
            action="brakes.begin",
            actor=SIGN_IN,
            object=each if person is None or not each.account else person,
            summary=f"Signing in {whose} from {place} has to wait after {each.tries} tries",
            after={"tries": each.tries, "until": each.until},
            outcome=AuditEvent.Outcome.REFUSED,
        )


@transaction.atomic
def succeeded(*, account: str, address: str | None, now: datetime) -> None:
    """Take back a try that was good: the account's from this place are forgotten, the place's is one fewer."""
    for each in _held(account, address, now):
        each.tries = 0 if each.account else max(0, each.tries - 1)
        each.until = None
        each.told = each.told and each.tries >= _free(each)
        each.save()


def tries_of(person: User, *, now: datetime) -> list[Brake]:
    """Bad tries of a person's password that are not forgotten, by place, the newest first."""
    since = Brake.objects.since(now - FORGOTTEN_AFTER)
    return list(since.filter(account=_digest(person.email), tries__gt=0))


def braked_places(*, now: datetime) -> dict[str, datetime]:
    """From where no password is taken now, of one account or of any, and until when; the longest first."""
    held = Brake.objects.filter(until__gt=now).values_list("address").annotate(last=Max("until")).order_by("-last")
    return {address or "an unknown place": last for address, last in held}


def forget(*, now: datetime) -> int:
    """Delete what is forgotten; returns how much."""
    deleted, _each = Brake.objects.filter(last_at__lte=now - FORGOTTEN_AFTER).delete()
    return deleted


def _held(account: str, address: str | None, now: datetime) -> list[Brake]:
    """The rows that count a try, locked, made where there are none: the account's, then its place's."""
    place = _place(address)
    accounts = [_digest(account), *([""] if place else [])]
    Brake.objects.bulk_create(
        [Brake(account=each, address=place, last_at=now) for each in accounts], ignore_conflicts=True
    )
    # In one order whoever asks: the place's row is everybody's, so it comes last and is held shortest.
    return list(Brake.objects.select_for_update().filter(account__in=accounts, address=place).order_by("-account"))


def _free(brake: Brake) -> int:
    return FREE if brake.account else FREE_OF_A_PLACE


def _wait(brake: Brake) -> timedelta:
    """How long the next try waits: twice as long with each above those that are free."""
    longest = LONGEST_WAIT if brake.address else LONGEST_WAIT_ANYWHERE
    return min(longest, FIRST_WAIT * (1 << min(brake.tries - _free(brake), 10)))


def _typed(account: str) -> str:
    return account.strip().lower()[:400]


def _digest(account: str) -> str:
    return salted_hmac("governance.brakes", _typed(account), algorithm="sha256").hexdigest()


def _place(address: str | None) -> str:
    """An IPv4 address as it is, the /64 network of an IPv6 one: one subscriber has all of it. Empty if not known."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))
