"""Many requests planned at once: their numbers in columns, and the engine asked once for each kind of request.

A policy never looks at a number but to compare it. So a column of numbers is cut at every number that it is compared
with; two requests with the same facts and state, and with each number in the same interval, are planned alike. The
conditions of rules, the cuts of triage and the sizes that models take are thus held against whole columns, and what
follows from them is the engine's own plan of one request of each kind. Under a cost ceiling the input tokens are no
longer cut: each number of them is a kind of its own.

Alike but for a text that counts tokens: it counts those of the request that stands for its kind.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from smallfirst import engine
from smallfirst.engine import Facts, Plan, Policy, Refusal, Signals, Snapshot, State
from smallfirst.engine.policy import InputTokens, SignalBetween
from smallfirst.engine.triage import CUTS

Numbers = NDArray[np.int64]

SIGNALS = tuple(name for name in Signals.__struct_fields__ if name != "version")
# Up to so many possible kinds are told apart in a table of them all, more by sorting.
MOST_IN_TABLE = 1 << 22
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


def planned(asked: Columns, snapshot: Snapshot, policy: Policy) -> Planned:
    """Return the plan of each request under a snapshot in which this policy is live for all of their workflows."""
    key, kinds = asked.fact.copy(), max(len(asked.facts), 1)
    parts = [(asked.state, max(len(asked.states), 1))]
    for name, cuts in _cuts(asked, snapshot, policy).items():
        if cuts.size:
            parts.append((np.searchsorted(cuts, asked.signals[name], side="right"), cuts.size + 1))
    if _has_ceiling(snapshot):
        different, place = np.unique(asked.signals["input_tokens"], return_inverse=True)
        parts.append((place.astype(np.int64), max(different.size, 1)))
    for part, size in parts:
        if kinds > MOST_KINDS // size:
            different, key = np.unique(key, return_inverse=True)
            kinds = max(different.size, 1)
        key = key * size + part
        kinds *= size
    first, of = _kinds(key, kinds)
    plans = [
        engine.plan(
            asked.facts[int(asked.fact[row])], asked.signals_of(row), asked.states[int(asked.state[row])], snapshot
        )
        for row in first.tolist()
    ]
    return Planned(plans, of, first)


def _kinds(key: Numbers, kinds: int) -> tuple[Numbers, Numbers]:
    """One row of each kind that occurs, and for each row which of these kinds it is."""
    if kinds > MOST_IN_TABLE:
        _different, first, of = np.unique(key, return_index=True, return_inverse=True)
        return first.astype(np.int64), of.astype(np.int64)
    rows = np.full(kinds, -1, dtype=np.int64)
    rows[key] = np.arange(key.size, dtype=np.int64)
    there = np.flatnonzero(rows >= 0)
    number = np.empty(kinds, dtype=np.int64)
    number[there] = np.arange(there.size, dtype=np.int64)
    return rows[there], number[key]


def _cuts(asked: Columns, snapshot: Snapshot, policy: Policy) -> dict[str, Numbers]:
    """By signal, the whole numbers from which on something compares otherwise than below."""
    found: dict[str, set[int]] = {name: set() for name in SIGNALS}
    for cut in CUTS:
        found[cut.signal].add(cut.at_least)
    for rule in policy.rules:
        for condition in rule.when:
            match condition:
                case InputTokens(at_least=least, at_most=most):
                    found["input_tokens"].update(_sides(least, most))
                case SignalBetween(name=name, at_least=least, at_most=most):
                    found[name].update(_sides(least, most))
    found["input_tokens"].update(_sizes(asked.facts, snapshot, policy))
    return {name: np.array(sorted(cuts), dtype=np.int64) for name, cuts in found.items()}


def _sides(least: float | None, most: float | None) -> Iterator[int]:
    """Where a whole number begins to lie between two bounds, both included, and where it no longer does."""
    if least is not None and math.isfinite(least):
        yield math.ceil(least)
    if most is not None and math.isfinite(most):
        yield math.floor(most) + 1


def _sizes(facts: Iterable[Facts], snapshot: Snapshot, policy: Policy) -> Iterator[int]:
    """From how many input tokens on a request no longer fits into a model, with the output that it may ask for."""
    limits = {None, *(step.limits.max_output_tokens for step in policy.steps)}
    outputs = {_narrower(limit, fact.max_output_tokens) for limit in limits for fact in facts}
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
