"""Exceptions: from which parts of the standards a workflow is excepted in an environment, why, who answers, until when.

They are one document of a workflow in an environment and change by a change. One whose last day is over holds no more,
without anybody's act.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.utils import timezone
from msgspec import Meta

from governance import canonical, standards
from governance.errors import InvalidDocument, InvalidInput, clean
from governance.models import Change, Content, ContentHead, ContentKind, Environment, User, Workflow
from smallfirst.engine import Problem
from smallfirst.engine.policy import Clause
from smallfirst.engine.reading import shape_problem

# An exception that nobody looks at again for longer is a rule of its own.
MOST_DAYS = 366
LEVELS = {"organisation": "the organisation’s standard", "team": "the team’s standard"}
Part = Annotated[str, Meta(min_length=1, max_length=220)]


class Deviation(Clause, frozen=True, kw_only=True):
    """One exception: the parts of the organisation's or the team's standard, who answers for it, why, its last day."""

    standard: Literal["organisation", "team"]
    parts: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=60)]
    owner: UUID
    reason: Annotated[str, Meta(max_length=2_000)]
    until: date


class Exceptions(Clause, frozen=True, kw_only=True):
    """The whole document; without any it excepts from nothing."""

    format: Literal[1] = 1
    exceptions: Annotated[tuple[Deviation, ...], Meta(max_length=20)] = ()


class InvalidExceptions(InvalidDocument):
    """The document is none of exceptions, or one that makes no sense."""


@dataclass(frozen=True)
class Excepted:
    """An exception that stands in what is live; `change` made it so. It holds up to and with its last day."""

    workflow: Workflow
    environment: Environment
    deviation: Deviation
    owner: User | None
    change: Change | None

    @property
    def said(self) -> str:
        """From what, as a sentence."""
        return f"Excepted from {standards.parts_said(self.deviation.parts)} of {LEVELS[self.deviation.standard]}."


def day_of(moment: datetime) -> date:
    """Return the day by which exceptions end, in UTC: the same for whoever asks, and as gateways are sent it."""
    return moment.astimezone(UTC).date()


def live(environment: Environment | None = None, workflow: Workflow | None = None) -> list[Excepted]:
    """Return what stands as live, also what is over, the first to end first; two queries."""
    heads = ContentHead.objects.filter(
        kind=ContentKind.EXCEPTION, content__isnull=False, workflow__retired_at=None
    ).select_related("content", "change", "workflow__team", "environment")
    heads = heads.filter(environment=environment) if environment is not None else heads
    heads = heads.filter(workflow=workflow) if workflow is not None else heads
    told = [(head, each) for head in heads if head.content for each in read(head.content.document).exceptions]
    owners = User.objects.in_bulk({each.owner for _head, each in told})
    found = [
        Excepted(head.workflow, head.environment, each, owners.get(each.owner), head.change)
        for head, each in told
        if head.workflow is not None and head.environment is not None
    ]
    return sorted(found, key=lambda each: (each.deviation.until, each.workflow.name))


def in_force(environment: Environment, today: date) -> dict[UUID, dict[str, set[str]]]:
    """Return from which parts workflows are excepted in an environment, by key and level; one query."""
    heads = ContentHead.objects.filter(kind=ContentKind.EXCEPTION, environment=environment, content__isnull=False)
    found: dict[UUID, dict[str, set[str]]] = {}
    for head in heads.select_related("content"):
        if head.workflow_id is not None and head.content is not None:
            found[head.workflow_id] = by_level(read(head.content.document), today)
    return found


def by_level(document: Exceptions, today: date) -> dict[str, set[str]]:
    """Return which parts a document excepts from on a day, by level."""
    parts: dict[str, set[str]] = defaultdict(set)
    for each in document.exceptions:
        if each.until >= today:
            parts[each.standard].update(each.parts)
    return parts


def of_place(workflow: Workflow, environment: Environment) -> dict[str, Any]:
    """Return what exceptions are about, as their changes, contents and head say it."""
    place = {"workflow": workflow, "model_version": None, "for_team": None}
    return {"kind": ContentKind.EXCEPTION, "environment": environment, **place}


def content_of(workflow: Workflow, environment: Environment) -> Content | None:
    """Return what is live, None where nothing is; one query."""
    head = ContentHead.objects.filter(**of_place(workflow, environment)).select_related("content").first()
    return head.content if head else None


def read(document: Mapping[str, Any]) -> Exceptions:
    """Return the exceptions a document holds. Raises InvalidExceptions for one of the wrong shape."""
    try:
        return msgspec.convert(document, Exceptions)
    except msgspec.ValidationError as error:
        raise InvalidExceptions([shape_problem("", error)]) from error


def checked(change: Change, document: Mapping[str, Any]) -> Exceptions:
    """Return the exceptions, their reasons without what no page shows. Raises InvalidExceptions for every fault.

    What stands already may name an owner who left, or a part that is no more, until it is proposed anew: both hold of
    every document that is proposed or becomes live.
    """
    if change.workflow is None or change.environment is None:
        raise LookupError("exceptions are those of a workflow in an environment")
    try:
        canonical.encode(document)
    except (ValueError, RecursionError) as error:
        raise InvalidExceptions([Problem("", f"it has no exact JSON form ({error})", "correct it")]) from error
    found = read(document)
    known = standards.parts_known(change.workflow, change.environment)
    named = User.objects.filter(pk__in={each.owner for each in found.exceptions}, is_active=True)
    owners = set(named.values_list("pk", flat=True))
    problems: list[Problem] = []
    kept = []
    seen: set[tuple[str, str]] = set()
    for index, each in enumerate(found.exceptions):
        path = f"exceptions[{index}]"
        problems += _problems(path, each, known[each.standard], each.owner in owners, seen)
        try:
            kept.append(msgspec.structs.replace(each, reason=clean("reason", each.reason)))
        except InvalidInput as error:
            problems.append(Problem(f"{path}.reason", str(error), "correct it"))
    if problems:
        raise InvalidExceptions(problems)
    return msgspec.structs.replace(found, exceptions=tuple(kept))


def full(found: Exceptions) -> dict[str, Any]:
    """Return exceptions as a document with every default written out."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return document


def sentences(documents: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return what each of some documents says, sentences by exception; one query."""
    read_all = [read(document) for document in documents]
    people = User.objects.in_bulk({each.owner for found in read_all for each in found.exceptions})
    return [dict(_sentences(found, people)) or {"": "It is excepted from nothing."} for found in read_all]


def facts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an audit entry tells of exceptions."""
    found = read(document).exceptions
    return {
        "exceptions": [
            {"standard": each.standard, "parts": list(each.parts), "owner": str(each.owner), "until": str(each.until)}
            for each in found
        ]
    }


def _problems(
    path: str, each: Deviation, known: Iterable[str], owned: bool, seen: set[tuple[str, str]]
) -> Iterator[Problem]:
    today = day_of(timezone.now())
    for number, part in enumerate(each.parts):
        if part not in known:
            message = f"{LEVELS[each.standard]} has no part “{part}” here, live or proposed"
            fix = f"name {standards.parts_said(known)} ({', '.join(known)})" if known else "there is nothing to name"
            yield Problem(f"{path}.parts[{number}]", message, fix)
        if (each.standard, part) in seen:
            yield Problem(f"{path}.parts[{number}]", "another exception names this part", "name each part once")
        seen.add((each.standard, part))
    if not owned:
        yield Problem(f"{path}.owner", "nobody who may sign in answers for it", "name a person who may")
    if not each.reason.strip():
        yield Problem(f"{path}.reason", "nothing says why", "say why; voters read it first")
    if each.until < today:
        yield Problem(f"{path}.until", "that day is over", "name a later one, or remove it")
    if each.until > today + timedelta(days=MOST_DAYS):
        yield Problem(f"{path}.until", f"that is more than {MOST_DAYS} days ahead", "let it end sooner and renew it")


def _sentences(found: Exceptions, people: Mapping[UUID, User]) -> Iterator[tuple[str, str]]:
    for each in found.exceptions:
        owner = people[each.owner].name if each.owner in people else "nobody any more"
        parts = standards.parts_said(each.parts)
        text = (
            f"Until {each.until:%-d %B %Y} it is excepted from {parts} of {LEVELS[each.standard]}; "
            f"{owner} answers for that. Why: {each.reason}"
        )
        yield f"{each.standard} {' '.join(sorted(each.parts))}", text
