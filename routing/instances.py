"""Instances: what each process that asks for bundles says of itself, kept for a while and for no longer.

What an instance says is its own word: a fleet's owner reads it, nothing is decided by it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from governance.models import Gateway, Workflow
from routing.models import Instance
from smallfirst.instances import BUNDLE, HOST, INSTANCE, MOST_HOST, NAME, PROOF, REFUSED

# Often enough to tell that one is alive, seldom enough to cost nothing.
SEEN_EVERY = timedelta(seconds=30)
# An instance asks every second or two.
SILENT_AFTER = timedelta(minutes=2)
FORGOTTEN_AFTER = timedelta(days=1)
# Those that decide in an application come and go with it.
FORGOTTEN_IN_APPLICATION = timedelta(minutes=15)
# Of one credential: who holds it could make up any number.
MOST = 200

_PROGRAM = re.compile(r"\A([\w.-]{1,60})/([\w.+-]{1,40})")
_WORD = re.compile(r"\A[a-z0-9_]{1,40}\Z")
_SERIAL = re.compile(r"\A[0-9]{1,18}\Z")
_POLICIES = """
    SELECT b.id, w -> 'policy_version' ->> 'number'
    FROM routing_bundle b JOIN routing_snapshot s ON s.digest = b.snapshot_id,
         jsonb_array_elements(s.text::jsonb -> 'workflows') w
    WHERE b.id = ANY(%s) AND w ->> 'id' = %s
"""


@dataclass(frozen=True)
class Said:
    """What an instance says of itself; what cannot be read is empty."""

    name: str
    host: str
    program: str
    version: str
    held: int | None
    proof: str
    refused: str


def read(headers: Mapping[str, str], *, held: int | None = None) -> Said:
    """Read the headers of a poll; `held` is the serial that its ETag names, for callers that say none."""
    name, serial = headers.get(INSTANCE, ""), headers.get(BUNDLE, "")
    program = _PROGRAM.match(headers.get("User-Agent", ""))
    return Said(
        name=name if NAME.match(name) else "",
        host="".join(filter(str.isprintable, headers.get(HOST, "")))[:MOST_HOST],
        program=program[1] if program else "",
        version=program[2] if program else "",
        held=int(serial) if _SERIAL.match(serial) else held,
        proof=_word(headers.get(PROOF, "")),
        refused=_word(headers.get(REFUSED, "")),
    )


def _word(text: str) -> str:
    return text if _WORD.match(text) else ""


def note(*, gateway: Gateway, said: Said, now: datetime) -> None:
    """Keep what an instance says. One query while it says the same as within the last half minute."""
    own = Instance.objects.filter(gateway=gateway)
    known = own.filter(name=said.name).first()
    if known is None:
        # The one unheard for longest makes room.
        own.filter(pk__in=own.order_by("-last_seen_at", "-pk").values("pk")[MOST - 1 :]).delete()
        Instance.objects.bulk_create(
            [Instance(gateway=gateway, last_seen_at=now, **asdict(said))], ignore_conflicts=True
        )
    elif known.last_seen_at < now - SEEN_EVERY or any(getattr(known, name) != it for name, it in asdict(said).items()):
        own.filter(pk=known.pk).update(last_seen_at=now, **asdict(said))


def forget(*, now: datetime) -> int:
    """Delete the instances that were not heard for long; returns how many."""
    silent = Instance.objects.filter(last_seen_at__lt=now - FORGOTTEN_AFTER)
    ended = Instance.objects.filter(gateway__key__isnull=False, last_seen_at__lt=now - FORGOTTEN_IN_APPLICATION)
    return silent.delete()[0] + ended.delete()[0]


def policies(*, workflow: Workflow, bundles: Iterable[UUID]) -> dict[UUID, int]:
    """Return the version of a workflow's policy in each of these bundles that holds one. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_POLICIES, [list(bundles), str(workflow.pk)])
        return {bundle: int(number) for bundle, number in cursor.fetchall()}
