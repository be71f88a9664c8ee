"""Audit samples: what an auditor draws from the log, by whose acts, over which days, and the verb that draws.

How the draws follow from population and seed stands at governance.models.AuditSample; the database itself makes them.
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from governance import audit
from governance.accounts import ORGANISATION, require
from governance.errors import InvalidInput, store
from governance.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditSample, User

_ACT = re.compile(r"[a-z_]+\.[a-z_]+")
# What PostgreSQL fills in.
_DRAWN = ("size", "root", "population", "draws")


@transaction.atomic
def draw(
    *, acts: Collection[str], since: datetime, until: datetime, n: int, seed: str, purpose: str, by: User, now: datetime
) -> AuditSample:
    """Draw `n` entries that were written from `since` on and before `until` by one of `acts`; no acts are all acts.

    From what the last checkpoint was signed over, and with this seed: who does not trust this server brings one of his
    own. Where there are no more than `n`, all are drawn; that there were none is a finding too. Raises NotPermitted.
    Raises InvalidInput before the first checkpoint, for what is no act, for a period that does not end before the last
    checkpoint, and while entries of it wait for one.
    """
    require(by, "audit_samples.draw", ORGANISATION)
    checkpoint = AuditCheckpoint.objects.order_by("-number").first()
    if checkpoint is None:
        raise InvalidInput("Nothing is sealed yet: the worker does so once it runs.")
    wanted = _acts(acts)
    _check_period(since, until, now, checkpoint)
    _check_whole(wanted, since, until, checkpoint)
    drawn = store(
        AuditSample(
            created_at=now,
            actor_id=str(by.pk),
            actor_name=audit.plain(str(by)),
            purpose=purpose,
            acts=wanted,
            since=since,
            until=until,
            seed=seed,
            n=n,
            checkpoint=checkpoint.number,
        ),
        unchecked=_DRAWN,
    )
    drawn.refresh_from_db()
    audit.record(
        action="audit_samples.draw",
        actor=by,
        object=drawn,
        summary=f"Drew {len(drawn.draws):,} of {drawn.population:,} entries of the audit log",
        after=facts(drawn),
        reason=drawn.purpose,
    )
    return drawn


def facts(sample: AuditSample) -> dict[str, object]:
    """All that the entry of a sample says of it; what its row has to be, for whoever verifies the log."""
    return {
        "created_at": sample.created_at,
        "actor_id": sample.actor_id,
        "actor_name": sample.actor_name,
        "purpose": sample.purpose,
        "acts": sample.acts,
        "since": sample.since,
        "until": sample.until,
        "seed": sample.seed,
        "n": sample.n,
        "checkpoint": sample.checkpoint,
        "size": sample.size,
        "root": sample.root,
        "population": sample.population,
        "draws": sample.draws,
    }


def population(sample: AuditSample) -> QuerySet[AuditLeaf]:
    """The leaves that a sample was drawn from."""
    within = AuditEvent.objects.filter(at__gte=sample.since, at__lt=sample.until)
    chosen = within.filter(action__in=sample.acts) if sample.acts else within
    return AuditLeaf.objects.filter(index__lt=sample.size, event_id__in=chosen.values("pk"))


def _acts(acts: Collection[str]) -> list[str]:
    wanted = sorted(set(acts))
    for act in wanted:
        if not _ACT.fullmatch(act):
            raise InvalidInput(
                f"acts: “{act}” is no act; write them as the log does, such as changes.vote", field="acts"
            )
    return wanted


def _check_period(since: datetime, until: datetime, now: datetime, checkpoint: AuditCheckpoint) -> None:
    """What is not over, or not signed, is no population yet."""
    signed = f"{checkpoint.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if since > now:
        raise InvalidInput("since: this lies in the future; nothing was written there yet", field="since")
    if until > now:
        raise InvalidInput(f"until: this lies in the future; end the period at {signed}", field="until")
    if since >= until:
        raise InvalidInput("until: the period ends before it begins; name a later moment", field="until")
    if until > checkpoint.at:
        raise InvalidInput(
            f"until: the last checkpoint was signed at {signed}; end the period there, or wait a minute for the next",
            field="until",
        )


def _check_whole(acts: list[str], since: datetime, until: datetime, checkpoint: AuditCheckpoint) -> None:
    """An entry is sealed once its transaction is over: one of the period may still wait."""
    sealed = AuditLeaf.objects.filter(event_id=OuterRef("pk"), index__lt=checkpoint.size)
    waiting = AuditEvent.objects.filter(~Exists(sealed), at__gte=since, at__lt=until)
    count = (waiting.filter(action__in=acts) if acts else waiting).count()
    if count:
        raise InvalidInput(
            f"until: {count:,} {'entry' if count == 1 else 'entries'} of this period "
            f"{'waits' if count == 1 else 'wait'} for the next checkpoint; draw again in a minute",
            field="until",
        )
