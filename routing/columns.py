"""Many requests planned at once: their numbers in columns, and the engine asked once for each kind of request.

A plan depends on a request by the rules that fire, by how hard it looks, by which models it fits into, by its state and
by its facts; but on language and tags by nothing else than the conditions of rules. So conditions of facts are held
once against each of the different facts, those of numbers against whole columns, both as the engine compiles them; two
requests alike in all of this are planned alike, and what follows is the engine's own plan of one request of each kind.
Under a cost ceiling every number of input tokens is a kind of its own.

Alike but for a text that counts tokens: it counts those of the request that stands for its kind.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from smallfirst import engine
from smallfirst.engine import Facts, Plan, Policy, Refusal, Signals, Snapshot, State
from smallfirst.engine.conditions import all_hold
from smallfirst.engine.policy import (
    DATA_CLASS_RANK,
    RISK_RANK,
    Condition,
    InputTokens,
    LanguageIs,
    Rule,
    SignalBetween,
    TagIs,
)
from smallfirst.engine.triage import CUTS, HARD_FROM, MEDIUM_FROM

Numbers = NDArray[np.int64]
OF_NUMBERS = (InputTokens, SignalBetween)

SIGNALS = tuple(name for name in Signals.__struct_fields__ if name != "version")
# Up to so many possible kinds are told apart in a table of them all, more by sorting.
MOST_IN_TABLE = 1 << 20
MOST_KINDS = 1 << 62


@dataclass(frozen=True)
class Columns:
    """Requests by column. `fact` and `state` say which of the different `facts` and `states` each of them has."""

    facts: Sequence[Facts]
    states: Sequence[State]
    fact: Numbers
    state: Numbers
    signals: dict[str, Numbers]

    def __len__(self) -> int:
        """How many requests there are."""
        return len(self.fact)

    def signals_of(self, row: int) -> Signals:
        """The signals of one request."""
        numbers = {name: int(self.signals[name][row]) for name in SIGNALS}
        return msgspec.structs.replace(Signals(), **numbers)


@dataclass(frozen=True)
class Planned:
    """The different plans that requests have, and which of them each has; `first` is a request of each kind."""

    plans: Sequence[Plan | Refusal]
    of: Numbers
    first: Numbers


def columns(rows: Iterable[tuple[Facts, Signals, State]]) -> Columns:
    """Return requests as columns. What no plan depends on, a run's name and the moment, is left out."""
    facts: dict[Facts, int] = {}
    states: dict[State, int] = {}
    numbers: list[tuple[int, ...]] = []
    for fact, signals, state in rows:
        plain = msgspec.structs.replace(fact, run=None) if fact.run is not None else fact
        still = msgspec.structs.replace(state, at=0) if state.at else state
        numbers.append(
            (
                facts.setdefault(plain, len(facts)),
                states.setdefault(still, len(states)),
                signals.input_tokens,
                signals.characters,
                signals.words,
                signals.sentences,
                signals.questions,
                signals.digits,
                signals.code,
            )
        )
    table = np.array(numbers, dtype=np.int64).reshape(len(numbers), 2 + len(SIGNALS))
    by_name = {name: np.ascontiguousarray(table[:, 2 + place]) for place, name in enumerate(SIGNALS)}
    return Columns(list(facts), list(states), table[:, 0].copy(), table[:, 1].copy(), by_name)


class Kinds:
    """Tells rows apart by all that is added: two have the same number where each part has."""

    def __init__(self, rows: int) -> None:
        self.number = np.zeros(rows, dtype=np.int64)
        self.size = 1

    def add(self, part: NDArray[Any], size: int) -> None:
        """Tell rows apart by numbers from 0 up to, not with, `size` as well."""
        if size <= 1:
            return
        if self.size > MOST_IN_TABLE // size:
            self._renumber()
        if self.size > MOST_KINDS // size:
            different, part = np.unique(part, return_inverse=True)
            size = max(different.size, 1)
        # In place: new columns of a million numbers cost more than what is done to them.
        self.number *= size
        self.number += part
        self.size *= size

    def close(self) -> tuple[Numbers, Numbers]:
        """One row of each kind that occurs, and for each row which of these kinds it is."""
        self._renumber()
        first = np.empty(self.size if self.number.size else 0, dtype=np.int64)
        first[self.number] = np.arange(self.number.size, dtype=np.int64)
        return first, self.number

    def _renumber(self) -> None:
        """Number those that occur from 0 on, without gaps."""
        if self.size > MOST_IN_TABLE:
            different, number = np.unique(self.number, return_inverse=True)
            self.number, self.size = number.astype(np.int64), max(different.size, 1)
            return
        there = np.zeros(self.size, dtype=bool)
        there[self.number] = True
        np.take(np.cumsum(there) - 1, self.number, out=self.number, mode="clip")
        self.size = max(int(there.sum()), 1)


def planned(asked: Columns, snapshot: Snapshot, policy: Policy) -> Planned:
    """Return the plan of each request under a snapshot in which this policy is live for all of their workflows."""
    kinds = Kinds(len(asked))
    which, facts = _alike(asked.facts, _rules(snapshot, policy))
    fact = which[asked.fact]
    apart: dict[Any, int] = {}
    numbers: list[tuple[NDArray[np.bool_], Sequence[Condition]]] = []
    # By different facts, which of the rules that look at no number fire.
    fired: list[list[bool]] = [[] for _ in facts]
    for rule in _rules(snapshot, policy):
        of_numbers = [each for each in rule.when if isinstance(each, OF_NUMBERS)]
        holds = _hold([each for each in rule.when if not isinstance(each, OF_NUMBERS)], facts, snapshot)
        if of_numbers and any(holds):
            numbers.append((np.array(holds, dtype=bool), of_numbers))
        elif any(holds):
            for place, held in enumerate(holds):
                fired[place].append(held)
    bare = [msgspec.structs.replace(each, language=None, tags=()) for each in facts]
    told = [apart.setdefault((each, tuple(by)), len(apart)) for each, by in zip(bare, fired, strict=True)]
    kinds.add(np.array(told, dtype=np.int64)[fact], len(apart))
    kinds.add(asked.state, len(asked.states))
    kinds.add(_difficulty(asked), 3)
    for held_by, conditions in numbers:
        kinds.add(held_by[fact] & _between(conditions, asked), 2)
    _add_tokens(kinds, asked, snapshot, policy)
    first, of = kinds.close()
    plans = [
        engine.plan(
            asked.facts[int(asked.fact[row])], asked.signals_of(row), asked.states[int(asked.state[row])], snapshot
        )
        for row in first.tolist()
    ]
    return Planned(plans, of, first)


def _rules(snapshot: Snapshot, policy: Policy) -> list[Rule]:
    """All rules that can fire: the policy's, and those of the standards that hold for its workflows, each once."""
    held = [each for workflow in snapshot.workflows.values() for each in workflow.standards]
    standing = {(each.name, rule.name): rule for each in held for rule in each.rules}
    return [*standing.values(), *policy.rules]


def _alike(facts: Sequence[Facts], rules: Sequence[Rule]) -> tuple[Numbers, list[Facts]]:
    """The different facts but for languages and tags that no rule names, and which of them each is."""
    languages: set[str] = set()
    tags: set[tuple[str, str]] = set()
    for rule in rules:
        for condition in rule.when:
            match condition:
                case LanguageIs(is_=names):
                    languages.update(names)
                case TagIs(name=name, is_=values):
                    tags.update((name, value) for value in values)
    found: dict[Facts, int] = {}
    which = []
    for each in facts:
        named = tuple(tag for tag in each.tags if tag in tags)
        language = each.language if each.language in languages else None
        plain = msgspec.structs.replace(each, language=language, tags=named)
        which.append(found.setdefault(plain, len(found)))
    return np.array(which, dtype=np.int64), list(found)


def _hold(conditions: Sequence[Condition], facts: Sequence[Facts], snapshot: Snapshot) -> list[bool]:
    """Whether all of these conditions, none of them of numbers, hold of each of these facts, as the engine asks it."""
    holds, none = all_hold(conditions), Signals()
    found = []
    for each in facts:
        workflow = snapshot.workflows.get(each.workflow)
        data_class, risk = DATA_CLASS_RANK[each.data_class], RISK_RANK[each.risk]
        if workflow is not None:
            data_class, risk = max(data_class, workflow.data_class), max(risk, workflow.risk)
        found.append(holds(each, none, data_class, risk))
    return found


def _between(conditions: Sequence[Condition], asked: Columns) -> NDArray[np.bool_]:
    """Which requests have all their numbers within the bounds of conditions, both included."""
    found = np.ones(len(asked), dtype=bool)
    for each in conditions:
        match each:
            case InputTokens(at_least=least, at_most=most):
                column = asked.signals["input_tokens"]
            case SignalBetween(name=name, at_least=least, at_most=most):
                column = asked.signals[name]
            case _:
                raise AssertionError("a condition of numbers")
        if least is not None:
            found &= column >= least
        if most is not None:
            found &= column <= most
    return found


def _difficulty(asked: Columns) -> NDArray[np.int8]:
    """How hard each request looks: 0 easy, 1 medium, 2 hard, by the cuts of the engine's triage."""
    points = np.zeros(len(asked), dtype=np.int8)
    for cut in CUTS:
        points += asked.signals[cut.signal] >= cut.at_least
    return (points >= MEDIUM_FROM).astype(np.int8) + (points >= HARD_FROM)


def _add_tokens(kinds: Kinds, asked: Columns, snapshot: Snapshot, policy: Policy) -> None:
    """Tell requests apart by which models take so many tokens, and by each number of them under a cost ceiling."""
    tokens = asked.signals["input_tokens"]
    if _has_ceiling(snapshot):
        different, place = np.unique(tokens, return_inverse=True)
        kinds.add(place.astype(np.int64), different.size)
        return
    cuts = np.array(sorted(set(_sizes(asked.facts, snapshot, policy))), dtype=np.int64)
    kinds.add(np.searchsorted(cuts, tokens, side="right").astype(np.int64), cuts.size + 1)


def _sizes(facts: Iterable[Facts], snapshot: Snapshot, policy: Policy) -> Iterator[int]:
    """From how many input tokens on a request no longer fits into a model, with the output that it may ask for."""
    limits = {None, *(step.limits.max_output_tokens for step in policy.steps)}
    asked = {fact.max_output_tokens for fact in facts}
    outputs = {_narrower(limit, each) for limit in limits for each in asked}
    for model in snapshot.models.values():
        if model.context_tokens is not None:
            yield from (model.context_tokens - output + 1 for output in outputs)


def _narrower(one: int | None, other: int | None) -> int:
    """The smaller bound of output tokens; 0, as the engine counts it, where there is none."""
    return min((each for each in (one, other) if each is not None), default=0)


def _has_ceiling(snapshot: Snapshot) -> bool:
    """Whether anything holds costs against a ceiling, where every token counts."""
    for workflow in snapshot.workflows.values():
        rules: list[Any] = [rule for step in workflow.steps.values() for rule in step.rules]
        guarded = any(rule.source is not None and rule.source.guards.max_cost is not None for rule in rules)
        if workflow.max_cost is not None or guarded:
            return True
    return False
