"""Changes as programs read them: the same as their pages say, with names that stay beside the sentences."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from governance import hindrances, votes
from governance.models import Appointment, Change, PolicyHead
from governance.views.standings import conditions

State = Literal["in_review", "approved", "applied", "rejected", "withdrawn", "stale", "expired"]
Mode = Literal["observe", "enforce"]
Choice = Literal["approve", "request_changes", "reject", "abstain", "withdraw"]


class ToldChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change: `url` is its page; `digest` is what votes on its present revision bind to."""

    id: UUID
    number: int
    url: str
    kind: str
    workflow: str | None
    environment: str | None
    title: str
    state: State
    proposed_by: str
    proposed_at: datetime
    revision: int
    digest: str


class ToldChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Changes, the newest first; `before` asks for the next ones, null where there are none."""

    changes: list[ToldChange]
    before: int | None


class ToldVote(msgspec.Struct, frozen=True, kw_only=True):
    """A person's newest vote on the present revision; `of` is whose vote it is, `why_not` why it does not count."""

    by: str
    of: str
    choice: Choice
    reason: str
    at: datetime
    counts: bool
    why_not: str


class ToldNeed(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a change needs, and whether it is so."""

    text: str
    met: bool


class ToldHindrance(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that keeps a change from becoming live now: `code` stays, the text may be said better one day."""

    code: str
    text: str


class ToldSimulated(msgspec.Struct, frozen=True, kw_only=True):
    """How the newest simulation stands to the change: it holds only while it is `fresh`."""

    state: Literal["missing", "revised", "moved", "old", "failed", "fresh"]
    digest: str
    valid_until: datetime | None
    why_not: str


class WholeChange(ToldChange, frozen=True, kw_only=True):
    """A change with its present revision: what would be live, who voted, what it needs and what keeps it.

    `hindrances` is empty where it can be activated now; `warnings` tell what is about to come in between.
    `due_at` is by when votes are due, `becomes_live_at` its appointment.
    """

    base_version: int | None
    version: int
    mode: Mode | None
    document: dict[str, Any]
    note: str
    written_by: str
    written_at: datetime
    votes: list[ToldVote]
    needs: list[ToldNeed]
    hindrances: list[ToldHindrance]
    warnings: list[ToldHindrance]
    simulation: ToldSimulated
    rests_until: datetime | None
    due_at: datetime | None
    expires_at: datetime | None
    becomes_live_at: datetime | None
    live_since: datetime | None


class ToldPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that is live: the document to start from, and since which change."""

    workflow: str
    environment: str
    version: int
    mode: Mode
    digest: str
    change: UUID
    document: dict[str, Any]


class ToldPolicies(msgspec.Struct, frozen=True, kw_only=True):
    """Policies that are live, by workflow and environment."""

    policies: list[ToldPolicy]


def line(change: Change) -> ToldChange:
    """Return a change as a list tells it. Needs what `for_list` selects."""
    return ToldChange(**_line(change))


def lines(found: Sequence[Change], *, limit: int) -> ToldChanges:
    """Return so many of the changes; one more than that says that there are others."""
    shown = found[:limit]
    return ToldChanges(changes=[line(each) for each in shown], before=shown[-1].number if len(found) > limit else None)


def whole(change: Change) -> WholeChange:
    """Return a change with all that its page says of it. Needs what `for_page` selects."""
    now, revision, standing = timezone.now(), change.revision, votes.standing(change)
    made, base = revision.leads_to, revision.starts_from
    simulation = standing.simulation
    waiting = Appointment.objects.waiting().filter(change=change).first()
    clash, mode = hindrances.clash(change), cast("Mode | None", revision.mode or None)
    return WholeChange(
        **_line(change),
        base_version=base.number if base else None,
        version=made.number,
        mode=mode,
        document=made.document,
        note=made.note,
        written_by=revision.created_by.name,
        written_at=revision.created_at,
        votes=[_vote(each) for each in standing.votes],
        needs=[ToldNeed(text=f"{each.text}.", met=each.met) for each in conditions(change, standing, now=now)],
        hindrances=[_hindrance(each) for each in hindrances.of(change, standing, now=now)],
        warnings=[_hindrance(clash)] if clash else [],
        simulation=ToldSimulated(
            state=simulation.state,
            digest=simulation.seen,
            valid_until=simulation.valid_until,
            why_not=simulation.why_not(revision.number),
        ),
        rests_until=standing.requirement.rests_until,
        due_at=standing.requirement.due_at,
        expires_at=standing.requirement.expires_at,
        becomes_live_at=waiting.at if waiting else None,
        live_since=change.applied_at,
    )


def policies(heads: Sequence[PolicyHead]) -> ToldPolicies:
    """Return what is live at these heads. Needs their workflow, environment and version."""
    return ToldPolicies(
        policies=[
            ToldPolicy(
                workflow=head.workflow.slug,
                environment=head.environment.name,
                version=head.version.number,
                mode=cast("Mode", head.mode),
                digest=head.version.digest,
                change=head.change_id,
                document=head.version.document,
            )
            for head in heads
        ]
    )


def _line(change: Change) -> dict[str, Any]:
    return {
        "id": change.pk,
        "number": change.number,
        "url": settings.PUBLIC_URL.rstrip("/") + reverse("change", args=[change.pk]),
        "kind": str(change.kind),
        "workflow": change.workflow.slug if change.workflow else None,
        "environment": change.environment.name if change.environment else None,
        "title": change.title,
        "state": str(change.state),
        "proposed_by": change.proposed_by.name,
        "proposed_at": change.created_at,
        "revision": change.revision.number,
        "digest": change.revision.payload_digest,
    }


def _vote(found: votes.CastVote) -> ToldVote:
    vote = found.vote
    return ToldVote(
        by=vote.voter.name,
        of=vote.delegation.by.name if vote.delegation else vote.voter.name,
        choice=cast("Choice", vote.choice),
        reason=vote.reason,
        at=vote.created_at,
        counts=found.counts,
        why_not=found.why_not,
    )


def _hindrance(found: hindrances.Hindrance) -> ToldHindrance:
    return ToldHindrance(code=found.code, text=found.text)
