"""Standards: what the organisation or a team sets for all its workflows in an environment, whatever their policies say.

A standard is changed by a change (governance.changes.propose_standard). What holds for one workflow is the
organisation's and its team's, without what it is excepted from for now (governance.exceptions).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db.models import Q

from governance import canonical
from governance.errors import InvalidDocument
from governance.models import Change, Content, ContentHead, ContentKind, Environment, Team, Workflow
from smallfirst import engine
from smallfirst.engine import Held, Problem, Standard, StandardVersion
from smallfirst.engine.words import listed

# What it restricts, where it restricts nothing.
EMPTY = Standard(format=1)


class InvalidStandard(InvalidDocument):
    """The document is no standard, or one under which a live policy could not serve."""


@dataclass(frozen=True)
class Live:
    """A standard that is live; `team` None is the organisation's. `change` made it so, where it was asked for."""

    team: Team | None
    content: Content
    standard: Standard
    change: Change | None = None

    @property
    def name(self) -> str:
        """Whose it is, as part of a sentence."""
        return named(self.team)

    @property
    def said(self) -> list[str]:
        """What it says, in sentences."""
        return [text for _key, text in engine.standard_sentences(self.standard)]

    @property
    def version(self) -> StandardVersion:
        """It, as the engine reads it."""
        key, number = str(self.content.pk), self.content.number
        return StandardVersion(id=key, number=number, name=self.name, standard=self.standard)


def named(team: Team | None) -> str:
    """Say whose standard it is, as part of a sentence."""
    return f"the standard of {team.name}" if team else "the organisation’s standard"


def live_in(environment: Environment, *, with_change: bool = False) -> list[Live]:
    """Return the standards that are live in an environment, the organisation's first; one query."""
    heads = ContentHead.objects.filter(kind=ContentKind.STANDARD, environment=environment, content__isnull=False)
    related = ("content", "for_team", *(("change",) if with_change else ()))
    found = [
        Live(head.for_team, head.content, read(head.content.document), head.change if with_change else None)
        for head in heads.select_related(*related)
        if head.content is not None
    ]
    return sorted(found, key=_place)


def instead(lives: Iterable[Live], change: Change, document: Mapping[str, Any]) -> list[Live]:
    """Return the standards as they would be with this document live at the place of a change."""
    others = [each for each in lives if (each.team.pk if each.team else None) != change.for_team_id]
    content = Content(kind=ContentKind.STANDARD, number=1, document=dict(document), for_team=change.for_team)
    return sorted([*others, Live(change.for_team, content, read(document))], key=_place)


def holding(workflow: Workflow, lives: Iterable[Live], without: Mapping[str, Collection[str]]) -> tuple[Held, ...]:
    """Return which standards hold for a workflow, `without` the parts that it is excepted from by level."""
    return tuple(
        Held(standard=str(each.content.pk), without=tuple(sorted(without.get(level(each.team), ()))))
        for each in lives
        if each.team is None or each.team.pk == workflow.team_id
    )


def level(team: Team | None) -> str:
    """Return how an exception names the standard of a team, or of the organisation."""
    return "team" if team else "organisation"


def parts_known(workflow: Workflow, environment: Environment) -> dict[str, tuple[str, ...]]:
    """Return the parts that standards of a workflow have by level, live or in an open change; two queries."""
    known: dict[str, dict[str, None]] = {"organisation": {}, "team": {}}
    for each in live_in(environment):
        if each.team is None or each.team.pk == workflow.team_id:
            known[level(each.team)].update(dict.fromkeys(each.standard.part_keys()))
    ours = Q(for_team=None) | Q(for_team=workflow.team_id)
    proposed = Change.objects.open().filter(ours, kind=Change.Kind.STANDARD, environment=environment)
    for change in proposed.select_related("revision__content", "for_team"):
        document = change.revision.leads_to.document
        known[level(change.for_team)].update(dict.fromkeys(read(document).part_keys()))
    return {name: tuple(parts) for name, parts in known.items()}


def read(document: Mapping[str, Any]) -> Standard:
    """Return the standard a document holds. Raises InvalidStandard for one of the wrong shape."""
    try:
        return engine.read_standard(document)
    except engine.PolicyError as error:
        raise InvalidStandard(error.problems) from error


def checked(document: Mapping[str, Any], registry: engine.Registry, *, ends: bool) -> Standard:
    """Return a standard that makes sense by itself. Raises InvalidStandard, naming every place at fault.

    `ends`: one that restricts nothing takes the place of one that does, and so ends it.
    """
    try:
        canonical.encode(document)
    except (ValueError, RecursionError) as error:
        raise InvalidStandard([Problem("", f"it has no exact JSON form ({error})", "correct it")]) from error
    standard = read(document)
    problems = [] if ends and standard == EMPTY else engine.validate_standard(standard, registry)
    if problems:
        raise InvalidStandard(problems)
    return standard


def full(standard: Standard) -> dict[str, Any]:
    """Return a standard as a document with every default written out."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(standard))
    return document


def sentences(documents: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return what each of some documents says, sentences by part."""
    return [dict(engine.standard_sentences(read(each))) or {"": "It restricts nothing."} for each in documents]


def facts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an audit entry tells of a standard."""
    return {"parts": list(read(document).part_keys())}


def parts_said(parts: Iterable[str]) -> str:
    """Say which parts, in a sentence."""
    return listed([engine.part_named(key) for key in parts])


def _place(live: Live) -> tuple[bool, str]:
    return (live.team is not None, live.team.name if live.team else "")
