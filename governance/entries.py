"""Entries of workflows: what the register says that others rest on, governed once a policy of the workflow is live.

Before that its owner writes it. Afterwards a change changes it, and the database compares the row with what
became live (governance_refuse_other_entry).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from governance import canonical, policies, serving
from governance.errors import InvalidDocument, InvalidInput, clean
from governance.models import Change, DataClass, PolicyHead, Risk, Workflow
from governance.models.workflows import ENTRY
from smallfirst.engine import Problem
from smallfirst.engine import policy as engine_policy
from smallfirst.engine.policy import Clause
from smallfirst.engine.reading import shape_problem
from smallfirst.engine.words import listed

# How each part is called in a sentence.
WORDS = {
    "risk": "risk",
    "data_class": "data class",
    "rationale": "why it has that risk and class",
    "people_affected": "whom its answers concern",
    "regions": "regions",
    "retention_days": "how long texts are kept",
}
Region = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"\A\S+\Z")]
Text = Annotated[str, Meta(max_length=2_000)]


class Entry(Clause, frozen=True, kw_only=True):
    """The document of a workflow's entry; `regions` empty narrows nothing, `retention_days` 0 keeps no text."""

    format: Literal[1] = 1
    risk: Literal["minimal", "limited", "high"]
    data_class: engine_policy.DataClass
    rationale: Text = ""
    people_affected: Text = ""
    regions: Annotated[tuple[Region, ...], Meta(max_length=50)] = ()
    retention_days: Annotated[int, Meta(ge=0, le=3_650)]


class InvalidEntry(InvalidDocument):
    """The document is no entry, or one under which a live policy could not serve."""


def governed(workflow: Workflow) -> bool:
    """Whether its entry changes only by a change: a policy of it is live somewhere; one query."""
    return PolicyHead.objects.filter(workflow=workflow).exists()


def of(workflow: Workflow) -> dict[str, Any]:
    """Return what the register says of a workflow now, as a document."""
    said = {name: getattr(workflow, name) for name in ENTRY}
    return {"format": 1, **said, "risk": str(workflow.risk), "data_class": str(workflow.data_class)}


def begins(change: Change) -> dict[str, Any]:
    """Return what was live before any change of an entry: what its owner wrote."""
    return of(_workflow(change))


def check(change: Change, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document in full. Raises InvalidEntry, naming every place at fault.

    A live policy of the workflow that could serve under the present entry has to be able to under this one.
    """
    entry = _read(document)
    problems = [*_missing(entry), *_policy_problems(_workflow(change), entry)]
    if problems:
        raise InvalidEntry(problems)
    full: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(entry))
    return full


def sentences(documents: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return what each of some documents says, sentences by key."""
    return [dict(_sentences(msgspec.convert(document, Entry))) for document in documents]


def apply(change: Change) -> None:
    """Write what a change of an entry leads to into the workflow's row, which its transaction has locked."""
    workflow = _workflow(change)
    for name in ENTRY:
        setattr(workflow, name, change.revision.leads_to.document[name])
    workflow.save(update_fields=ENTRY)


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say in which parts two documents differ."""
    return listed([word for name, word in WORDS.items() if before[name] != after[name]])


def _workflow(change: Change) -> Workflow:
    if change.workflow is None:
        raise LookupError("an entry is that of a workflow")
    return change.workflow


def _read(document: Mapping[str, Any]) -> Entry:
    try:
        canonical.encode(document)
        entry = msgspec.convert(document, Entry)
        texts = {name: clean(name, getattr(entry, name)) for name in ("rationale", "people_affected")}
    except msgspec.ValidationError as error:
        raise InvalidEntry([shape_problem("", error)]) from error
    except InvalidInput as error:
        raise InvalidEntry([Problem(error.field or "", str(error), "correct it")]) from error
    except (ValueError, RecursionError) as error:
        raise InvalidEntry([Problem("", f"it has no exact JSON form ({error})", "correct it")]) from error
    return msgspec.structs.replace(entry, **texts, regions=tuple(sorted(set(entry.regions))))


def _missing(entry: Entry) -> Iterator[Problem]:
    if not entry.rationale:
        yield Problem("rationale", "nothing says why it has this risk and data class", "say why; voters read it first")


def _policy_problems(workflow: Workflow, entry: Entry) -> Iterator[Problem]:
    """What would keep a live policy of the workflow from serving that does not keep it now."""
    heads = PolicyHead.objects.filter(workflow=workflow).select_related("version", "environment")
    for head in heads.order_by("environment__position"):
        policy, registry = policies.read(head.version.document), policies.registry(head.environment)
        inherited = serving.inherited(head.environment)
        said = msgspec.structs.asdict(entry)
        now, then = (inherited.above(workflow, each).problems(policy, registry) for each in (None, said))
        for each in serving.newly(now, then):
            message = f"the policy that is live in {head.environment.name} could not serve: {each.message}"
            yield Problem("", message, f"change that policy first ({each.path}: {each.fix})")


def _sentences(entry: Entry) -> Iterator[tuple[str, str]]:
    yield "risk", f"A wrong answer is of {Risk(entry.risk).label.lower()} risk."
    yield "data_class", f"Its data is {DataClass(entry.data_class).label.lower()}."
    yield "rationale", f"Why: {entry.rationale}" if entry.rationale else "Nothing says why."
    if entry.people_affected:
        yield "people_affected", f"Whom its answers concern: {entry.people_affected}"
    else:
        yield "people_affected", "Whom its answers concern is not said."
    yield "regions", f"Its requests go to {listed(entry.regions, 'or')} only." if entry.regions else "They go anywhere."
    kept = f"{entry.retention_days} day{'' if entry.retention_days == 1 else 's'}"
    yield "retention_days", f"Texts of reviews are kept for {kept}." if entry.retention_days else "No text is kept."
