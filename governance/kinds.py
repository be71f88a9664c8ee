"""What can be changed: what the verbs on changes, and their pages, ask of each kind.

A new kind is a module with these functions, its place in governance/models (changes, contents), and a row here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from governance import admissions, approval_rules, entries, exceptions, inheritance, policies, standards
from governance.models import Change
from smallfirst.engine import describe

Document = Mapping[str, Any]
# A sentence as it was and as it will be, None where it is new or gone.
Said = tuple[str | None, str | None]


@dataclass(frozen=True)
class Governed:
    """One kind.

    `check` returns a document in full or raises InvalidDocument. `difference` says what differs from a document or from
    none. `begins` is what is live before any change, None for nothing; `apply` writes what becomes live where else it
    is read, in the transaction of the activation. `facts` is what an audit entry tells of a document besides its
    digest. `live` is how a page says that it became live, `asked` who asks for its votes where no one environment does.
    """

    check: Callable[[Change, Document], dict[str, Any]]
    difference: Callable[[Document | None, Document], list[Said]]
    live: str
    asked: str = ""
    # Raises InvalidDocument for one that must not become live yet, though it may be proposed.
    serves: Callable[[Change, Document], None] = lambda _change, _document: None
    begins: Callable[[Change], dict[str, Any] | None] = lambda _change: None
    apply: Callable[[Change], None] = lambda _change: None
    facts: Callable[[Document], dict[str, Any]] = lambda _document: {}


def _check_policy(change: Change, document: Document) -> dict[str, Any]:
    if change.workflow is None or change.environment is None:
        raise LookupError("a policy is that of a workflow in an environment")
    return policies.check(document, workflow=change.workflow, environment=change.environment)


def _policy_difference(before: Document | None, after: Document) -> list[Said]:
    old = policies.read(before) if before is not None else None
    return [(each.before, each.after) for each in describe.difference(old, policies.read(after))]


def _by_key(sentences: Callable[[Sequence[Document]], list[dict[str, str]]]) -> Callable[..., list[Said]]:
    """Compare what documents say, sentences by key; what is gone comes last."""

    def difference(before: Document | None, after: Document) -> list[Said]:
        *earlier, new = sentences([after] if before is None else [before, after])
        old = earlier[0] if earlier else {}
        changed: list[Said] = [(old.get(key), text) for key, text in new.items() if old.get(key) != text]
        return changed + [(text, None) for key, text in old.items() if key not in new]

    return difference


KINDS: dict[str, Governed] = {
    Change.Kind.POLICY: Governed(
        check=_check_policy,
        difference=_policy_difference,
        live="The new policy is live; gateways take it up within seconds.",
    ),
    Change.Kind.APPROVAL_RULES: Governed(
        check=lambda _change, document: approval_rules.check(document),
        difference=_by_key(approval_rules.sentences),
        live="The new approval rules are live.",
        asked="Asked for of all approval rules",
    ),
    Change.Kind.MODEL: Governed(
        check=admissions.check,
        difference=_by_key(admissions.sentences),
        live="It is admitted; gateways take it up within seconds.",
        apply=admissions.apply,
        facts=admissions.facts,
    ),
    Change.Kind.STANDARD: Governed(
        check=inheritance.check_standard,
        serves=inheritance.refuse_unserved,
        difference=_by_key(standards.sentences),
        live="The new standard is live; gateways take it up within seconds.",
        facts=standards.facts,
    ),
    Change.Kind.EXCEPTION: Governed(
        check=inheritance.check_exceptions,
        difference=_by_key(exceptions.sentences),
        live="The new exceptions are live; gateways take them up within seconds.",
        facts=exceptions.facts,
    ),
    Change.Kind.WORKFLOW: Governed(
        check=entries.check,
        difference=_by_key(entries.sentences),
        live="The new entry is live; gateways take it up within seconds.",
        asked="Asked for where a policy of it is live",
        begins=entries.begins,
        apply=entries.apply,
        facts=lambda document: {name: document[name] for name in ("risk", "data_class", "regions", "retention_days")},
    ),
}
