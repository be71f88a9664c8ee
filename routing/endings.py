"""How very many past requests would have ended under two policies: each kind walked once, all of them counted.

How a request walks up its ladder depends on its plan and on its attempts; on their numbers by comparing them alone. So
a confidence is cut where a gate of one of the plans compares it, milliseconds matter only where they may reach a
deadline, and tokens only under a cost ceiling. One request of each kind is walked by the engine (routing.comparing).
What all of them cost and how long they took is added up in columns, exactly: amounts are whole numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from ledger.packed import NO_CONFIDENCE
from routing import columns
from routing.columns import Kinds, Numbers, Planned
from routing.comparing import Asked, Comparison, Ended, Past, ended
from routing.pasts import EPOCH, Pasts
from routing.pieces import DECIMALS
from routing.tallies import MOST_CHANGED, Costs, Step, Tally, count_side, weight
from smallfirst.engine import Plan, Refusal
from smallfirst.engine.policy import Limits

Mask = NDArray[np.bool_]
A_DAY = 86_400_000_000
LIMB = 20


@dataclass(frozen=True)
class Walked:
    """The kinds of requests, which each of them is, how one of each ends under both policies, and on which attempts."""

    of: Numbers
    steps: Sequence[str]
    ends: Sequence[tuple[Ended, Ended]]

    def flags(self, values: Sequence[bool]) -> Mask:
        """What holds of kinds, by request."""
        return np.array(values, dtype=bool)[self.of]

    def taken(self, side: int, width: int) -> Mask:
        """By request, which of its attempts lead to its end."""
        found = np.zeros((len(self.ends), width), dtype=bool)
        for kind, pair in enumerate(self.ends):
            found[kind, list(pair[side].taken)] = True
        return found[self.of]


def add(tally: Tally, pasts: Pasts, compared: Comparison) -> list[UUID]:
    """Add requests to a tally, but for the most changed of them, whose ids it returns: those are told one by one."""
    walked = walk(pasts, compared)
    counts = np.bincount(walked.of, minlength=len(walked.ends)).tolist()
    for name, (before, after), n in zip(walked.steps, walked.ends, counts, strict=True):
        step = tally.steps.setdefault(name, Step())
        step.n += n
        if _unknown(before, after):
            why = before.why if before.outcome == "unknown" else after.why
            step.unknown[why] = step.unknown.get(why, 0) + n
            continue
        step.known += n
        step.changed += n * _changed(before, after)
        count_side(step.before, before, n)
        count_side(step.after, after, n)
    known = walked.flags([not _unknown(*pair) for pair in walked.ends])
    width = pasts.rest.shape[1]
    sides = walked.taken(0, width), walked.taken(1, width)
    names = sorted(set(walked.steps))
    places = np.array([names.index(name) for name in walked.steps], dtype=np.int64)[walked.of]
    differs = np.zeros(len(pasts), dtype=np.int64)
    for place, name in enumerate(names):
        rows = np.flatnonzero(known & (places == place))
        if rows.size:
            step, taken = tally.steps[name], (sides[0][rows], sides[1][rows])
            _latencies(step.before.latency, pasts.latency[rows], taken[0])
            _latencies(step.after.latency, pasts.latency[rows], taken[1])
            differs[rows] = _costs(step, pasts, rows, *taken)
            _people(step, pasts.at[rows], walked, rows)
    return _most_changed(pasts, walked, differs)


def walk(pasts: Pasts, compared: Comparison) -> Walked:
    """Return how requests end under both policies, one of each kind walked by the engine."""
    compared.know(head.policy_version for head in pasts.heads)
    labels = [compared.labels(head.policy_version, head.step) for head in pasts.heads]
    planned = [columns.planned(pasts.asked, each.snapshot, each.policy) for each in (compared.before, compared.after)]
    kinds = Kinds(len(pasts))
    for each in planned:
        which, size = _alike(each)
        kinds.add(which[each.of], size)
    steps: dict[Any, int] = {}
    told = [steps.setdefault((head.step, read), len(steps)) for head, read in zip(pasts.heads, labels, strict=True)]
    kinds.add(np.array(told, dtype=np.int64)[pasts.head], len(steps))
    plans = [plan for each in planned for plan in each.plans if isinstance(plan, Plan)]
    _add_attempts(kinds, pasts, plans)
    first, of = kinds.close()
    ends, names = [], []
    for row in first.tolist():
        head = int(pasts.head[row])
        past = Past(_asked(pasts, row), {}, labels[head])
        before, after = (each.plans[int(each.of[row])] for each in planned)
        ends.append((ended(past, before, compared.places), ended(past, after, compared.places)))
        names.append(pasts.heads[head].step)
    return Walked(of, names, ends)


def _asked(pasts: Pasts, row: int) -> Asked:
    head = pasts.heads[int(pasts.head[row])]
    return Asked(
        pk=pasts.key(row),
        step=head.step,
        occurred_at=EPOCH + timedelta(microseconds=int(pasts.at[row])),
        policy_version=head.policy_version,
        outcome="",
        kept_model=None,
        facts=head.facts,
        signals=pasts.asked.signals_of(row),
        state=pasts.asked.states[int(pasts.asked.state[row])],
        attempts=pasts.attempts(row),
    )


def _alike(planned: Planned) -> tuple[Numbers, int]:
    """Which plans are alike in how a request ends and in what kept a model out, and how many such there are."""
    found: dict[bytes, int] = {}
    which = []
    for plan in planned.plans:
        left = tuple(msgspec.structs.replace(one, text="") for one in plan.left_out)
        bare: Plan | Refusal = msgspec.structs.replace(
            plan, step="", rules=(), triage="easy", left_out=left, observed=None
        )
        if isinstance(bare, Plan):
            limits = Limits(deadline_ms=bare.limits.deadline_ms)
            bare = msgspec.structs.replace(bare, start_rule=None, review_rule=None, limits=limits)
        else:
            bare = msgspec.structs.replace(bare, text="")
        which.append(found.setdefault(msgspec.json.encode(bare), len(found)))
    return np.array(which, dtype=np.int64), len(found)


def _add_attempts(kinds: Kinds, pasts: Pasts, plans: Sequence[Plan]) -> None:
    """Tell requests apart by their attempts, as far as one of the plans looks at them."""
    cuts = np.array(sorted({rung.keep_from for plan in plans for rung in plan.rungs if rung.keep_from is not None}))
    late = np.zeros(len(pasts), dtype=bool)
    if plans:
        late = pasts.latency.sum(axis=1) >= min(plan.limits.deadline_ms for plan in plans)
    counted = any(plan.max_cost is not None for plan in plans)
    for slot in range(pasts.rest.shape[1]):
        kinds.add(pasts.rest[:, slot], len(pasts.rests) + 1)
        confidence = pasts.confidence[:, slot]
        sure = np.searchsorted(cuts, confidence, side="right") + 1
        kinds.add(np.where(confidence == NO_CONFIDENCE, 0, sure).astype(np.int64), cuts.size + 2)
        if late.any():
            milliseconds = np.where(late, pasts.latency[:, slot] + 1, 0)
            kinds.add(milliseconds, int(milliseconds.max()) + 1)
        if counted:
            tokens = pasts.tokens[:, slot] + 1
            kinds.add(tokens, int(tokens.max()) + 1)


def _unknown(before: Ended, after: Ended) -> bool:
    """Whether the past does not tell how a request ends under one of the two."""
    return "unknown" in (before.outcome, after.outcome)


def _changed(before: Ended, after: Ended) -> bool:
    return (before.outcome, before.model) != (after.outcome, after.model)


def _latencies(counts: dict[str, int], latency: Numbers, taken: Mask) -> None:
    """Count by milliseconds to two digits, of requests of which a model was asked."""
    asked = taken.any(axis=1)
    times, numbers = np.unique(two_digits((latency * taken).sum(axis=1)[asked]), return_counts=True)
    for time, n in zip(times.tolist(), numbers.tolist(), strict=True):
        counts[str(time)] = counts.get(str(time), 0) + n


def two_digits(milliseconds: Numbers) -> Numbers:
    """Whole numbers rounded to two digits, a tie to the even one."""
    unit = np.ones_like(milliseconds)
    for power in range(1, 17):
        unit[milliseconds >= 10 ** (power + 1)] = 10**power
    whole, left = np.divmod(milliseconds, unit)
    up = (2 * left > unit) | ((2 * left == unit) & (whole % 2 == 1))
    rounded: Numbers = (whole + up) * unit
    return rounded


def _costs(step: Step, pasts: Pasts, rows: Numbers, before: Mask, after: Mask) -> Numbers:
    """Add what requests cost; return by how much that differs for each, all currencies as if they were one."""
    amount, currencies = pasts.amount[rows], pasts.currency[rows]
    priced: Mask = np.logical_not(((before | after) & (amount < 0)).any(axis=1))
    step.priced += int(priced.sum())
    differs = np.zeros(rows.size, dtype=np.int64)
    for place, currency in enumerate(pasts.currencies):
        here = (currencies == place) & priced[:, None]
        if not (here & (before | after)).any():
            continue
        one = (amount * (here & before)).sum(axis=1)
        other = (amount * (here & after)).sum(axis=1)
        apart = np.abs(other - one)
        sums = _amount(total(one), 1), _amount(total(other), 1), _amount(squares(apart), 2)
        step.costs.setdefault(currency, Costs()).add(*sums)
        differs += apart
    return differs


def _amount(units: int, factors: int) -> Decimal:
    # Made of its digits: the context would round what has more than 28 of them.
    return Decimal((0, tuple(int(digit) for digit in str(units)), -DECIMALS * factors))


def total(values: Numbers) -> int:
    """The sum of numbers from 0 on, however large it becomes."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def squares(values: Numbers) -> int:
    """The sum of the squares of numbers from 0 to below 2^60, of up to a million of them, however large it becomes."""
    limbs = [(values >> (LIMB * place)) & ((1 << LIMB) - 1) for place in range(3)]
    pairs = ((low, high) for low in range(3) for high in range(3))
    return sum(int((limbs[low] * limbs[high]).sum()) << (LIMB * (low + high)) for low, high in pairs)


def _people(step: Step, at: Numbers, walked: Walked, rows: Numbers) -> None:
    """Count by day those that go to a person, before and after."""
    asks = [np.array([pair[side].outcome == "person" for pair in walked.ends])[walked.of[rows]] for side in (0, 1)]
    some = asks[0] | asks[1]
    days, which = np.unique(at[some] // A_DAY, return_inverse=True)
    before, after = (np.bincount(which, weights=each[some], minlength=days.size).astype(np.int64) for each in asks)
    for day, one, other in zip(days.tolist(), before.tolist(), after.tolist(), strict=True):
        name = (EPOCH + timedelta(days=day)).date().isoformat()
        was, becomes = step.people.get(name, (0, 0))
        step.people[name] = (was + one, becomes + other)


def _most_changed(pasts: Pasts, walked: Walked, differs: Numbers) -> list[UUID]:
    weights = [0 if _unknown(*pair) or not _changed(*pair) else weight(*pair) for pair in walked.ends]
    heavy = np.array(weights, dtype=np.int64)[walked.of]
    rows = np.flatnonzero(heavy)
    # Ids rise with the rows.
    most = rows[np.lexsort((rows, differs[rows], heavy[rows]))[-MOST_CHANGED:]]
    return [pasts.key(row) for row in most.tolist()]
