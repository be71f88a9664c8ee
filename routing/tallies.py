"""What a simulation adds up to, step by step, and what it found as one document; nothing here asks the database.

Tallies of some requests are added to those of others, so that a simulation can be told in pieces: the same requests in
other pieces add up to the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal
from typing import Any, Literal

import msgspec

from governance import canonical
from routing.comparing import Compared, Ended

MOST_CHANGED = 20
# A request that is answered under one policy alone weighs more than one with a person more or less, and that more than
# one with another model.
WEIGHTS = {"failed": 3, "refused": 3, "person": 2, "kept": 1}
# Sums are exact, so that the same requests in other pieces add up to the same: the square of an amount has up to 40
# digits, more than the usual context keeps.
EXACT = Context(prec=200)


class Costs(msgspec.Struct):
    """What priced requests cost before and after, in one currency; `squares` sums the squares of the differences."""

    before: Decimal = Decimal(0)
    after: Decimal = Decimal(0)
    squares: Decimal = Decimal(0)

    def add(self, before: Decimal, after: Decimal, squares: Decimal) -> None:
        """Add what other requests cost, to the last digit."""
        self.before = EXACT.add(self.before, before)
        self.after = EXACT.add(self.after, after)
        self.squares = EXACT.add(self.squares, squares)


class Side(msgspec.Struct):
    """Known requests under one policy.

    `ends` counts by who ends them: tier, `person`, `no answer`. `climbed` asked more than one model; `escalated` did
    or went to a person. `refused` counts by clause, `kept_out` by "model: clause" where a guard or a rule kept a model
    of the ladder out. `latency` counts by milliseconds of two digits ("1200"), people's time not counted.
    """

    ends: dict[str, int] = {}
    escalated: int = 0
    refused: dict[str, int] = {}
    kept_out: dict[str, int] = {}
    latency: dict[str, int] = {}

    def percentile(self, share: float) -> int | None:
        """Within how many milliseconds, to two digits, so many were answered by models; None where none was asked."""
        total = sum(self.latency.values())
        if not total:
            return None
        wanted, counted = share * total, 0
        for milliseconds in sorted(self.latency, key=int):
            counted += self.latency[milliseconds]
            if counted >= wanted:
                return int(milliseconds)
        return None


class Step(msgspec.Struct):
    """The requests of one step: `n` in all, `known` those whose end the past tells under both policies.

    `unknown` counts the others by why. `changed` of the known ones end otherwise; `priced` have a cost under both.
    `people` counts those that go to a person before and after, by day (UTC).
    """

    n: int = 0
    known: int = 0
    changed: int = 0
    priced: int = 0
    unknown: dict[str, int] = {}
    before: Side = msgspec.field(default_factory=Side)
    after: Side = msgspec.field(default_factory=Side)
    costs: dict[str, Costs] = {}
    people: dict[str, tuple[int, int]] = {}


class Changed(msgspec.Struct, frozen=True):
    """One request that ends otherwise, with both reasons. `weight` and `amount` say how much; the larger, the more."""

    request: str
    step: str
    at: str
    weight: int
    amount: Decimal
    before: str
    after: str


class Tally(msgspec.Struct):
    """What some requests add up to, by step, and the most changed of them."""

    steps: dict[str, Step] = {}
    changed: list[Changed] = []

    @property
    def n(self) -> int:
        """How many requests there are."""
        return sum(step.n for step in self.steps.values())


class Policy(msgspec.Struct, frozen=True):
    """One of the two policies: `version` and `number` are those of a stored version, None of a draft."""

    digest: str
    mode: str
    version: str | None = None
    number: int | None = None


class Right(msgspec.Struct, frozen=True):
    """How many samples a policy's models have right, of those that are right or wrong; bounds as in routing.intervals.

    `person` go to a person instead, `unmeasured` ask a model that the evaluation did not.
    """

    correct: int
    judged: int
    low: float | None
    high: float | None
    person: int
    unmeasured: int


class Quality(msgspec.Struct, frozen=True):
    """How right a step's newest evaluation lets expect both policies to be; None under both where none exists.

    `gained` samples only the later one has right, `lost` only the first; `p_value` is McNemar's exact test of the two.
    """

    step: str
    evaluation: str
    ended_at: str
    n: int
    before: Right
    after: Right
    gained: int
    lost: int
    p_value: float


class Result(msgspec.Struct, frozen=True):
    """What a simulation found: of what, against what, when, over which register, and the figures."""

    workflow: str
    environment: str
    revision: str | None
    payload_digest: str | None
    base: Policy
    candidate: Policy
    days: int
    since: str
    until: str
    snapshot: str
    requests: int
    steps: dict[str, Step]
    changed: list[Changed]
    quality: list[Quality]
    format: Literal[1] = 1

    def text(self) -> str:
        """The one canonical form of it (RFC 8785), whose SHA-256 is its digest. Money stands as text."""
        return canonical.encode(msgspec.to_builtins(self)).decode()


def read(text: str) -> Result:
    """Return what a stored result says."""
    return msgspec.json.decode(text, type=Result)


def dump(tally: Tally) -> str:
    """Return a tally as text, to go on from."""
    return msgspec.json.encode(tally).decode()


def load(text: str) -> Tally:
    """Return the tally of such a text; of an empty one, an empty tally."""
    return msgspec.json.decode(text, type=Tally) if text else Tally()


def add(tally: Tally, compared: Sequence[Compared]) -> None:
    """Add requests to a tally."""
    for each in compared:
        step = tally.steps.setdefault(each.request.step, Step())
        step.n += 1
        if not each.known:
            _count(step.unknown, each.why_unknown)
            continue
        step.known += 1
        step.changed += each.changed
        count_side(step.before, each.before, 1)
        count_side(step.after, each.after, 1)
        for side, ended in ((step.before, each.before), (step.after, each.after)):
            if ended.latency_ms is not None:
                _count(side.latency, two_digits(ended.latency_ms))
        _people(step, each)
        _costs(step, each)
    note(tally, compared)


def note(tally: Tally, compared: Iterable[Compared]) -> None:
    """Remember the most changed of some requests, which are added otherwise."""
    changed = [*tally.changed, *(_changed(each) for each in compared if each.known and each.changed)]
    tally.changed = sorted(changed, key=lambda one: (one.weight, one.amount, one.request), reverse=True)[:MOST_CHANGED]


def weight(before: Ended, after: Ended) -> int:
    """How much it says that a request ends otherwise."""
    return max(WEIGHTS[before.outcome], WEIGHTS[after.outcome])


def count_side(side: Side, ended: Ended, n: int) -> None:
    """Count so many requests that end alike, but for how long that took."""
    _count(side.ends, ended.who, n)
    side.escalated += n * (ended.climbed or ended.outcome == "person")
    if ended.outcome == "refused":
        _count(side.refused, ended.clause, n)
    for model, clause in ended.kept_out:
        _count(side.kept_out, f"{model}: {clause}", n)


def whole(steps: Mapping[str, Step]) -> Step:
    """Return all steps of a workflow as one."""
    total = Step()
    for step in steps.values():
        total.n, total.known = total.n + step.n, total.known + step.known
        total.changed, total.priced = total.changed + step.changed, total.priced + step.priced
        _merge(total.unknown, step.unknown)
        for side, other in ((total.before, step.before), (total.after, step.after)):
            side.escalated += other.escalated
            for name in ("ends", "refused", "kept_out", "latency"):
                _merge(getattr(side, name), getattr(other, name))
        for currency, costs in step.costs.items():
            total.costs.setdefault(currency, Costs()).add(costs.before, costs.after, costs.squares)
        for day, (before, after) in step.people.items():
            was, becomes = total.people.get(day, (0, 0))
            total.people[day] = (was + before, becomes + after)
    return total


def _people(step: Step, each: Compared) -> None:
    asks = (each.before.outcome == "person", each.after.outcome == "person")
    if any(asks):
        day = each.request.occurred_at.date().isoformat()
        before, after = step.people.get(day, (0, 0))
        step.people[day] = (before + asks[0], after + asks[1])


def _costs(step: Step, each: Compared) -> None:
    """Add what a request cost."""
    before, after = each.before.cost, each.after.cost
    if before is None or after is None:
        return
    step.priced += 1
    for currency in {*before, *after}:
        one, other = before.get(currency, Decimal(0)), after.get(currency, Decimal(0))
        apart = EXACT.subtract(other, one)
        step.costs.setdefault(currency, Costs()).add(one, other, EXACT.multiply(apart, apart))


def _differs(each: Compared) -> Decimal:
    """By how much its cost differs, over all currencies as if they were one; nothing where a price is missing."""
    before, after = each.before.cost, each.after.cost
    if before is None or after is None:
        return Decimal(0)
    apart = (abs(after.get(one, Decimal(0)) - before.get(one, Decimal(0))) for one in {*before, *after})
    return sum(apart, Decimal(0))


def _changed(each: Compared) -> Changed:
    return Changed(
        request=str(each.request.pk),
        step=each.request.step,
        at=canonical.moment(each.request.occurred_at),
        weight=weight(each.before, each.after),
        amount=_differs(each),
        before=each.before.why,
        after=each.after.why,
    )


def two_digits(milliseconds: int) -> str:
    """Milliseconds to two digits."""
    return str(int(float(f"{milliseconds:.1e}")))


def _count(counts: dict[str, Any], name: str, n: int = 1) -> None:
    counts[name] = counts.get(name, 0) + n


def _merge(counts: dict[str, int], more: Mapping[str, int]) -> None:
    for name, n in more.items():
        counts[name] = counts.get(name, 0) + n
