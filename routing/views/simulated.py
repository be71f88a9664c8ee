"""What a simulation found, in words and figures, before beside after."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from governance import figures
from governance.figures import NBSP
from routing import tallies
from routing.intervals import paired_mean, wilson
from routing.tallies import Changed, Costs, Quality, Result, Right, Side, Step
from smallfirst.engine.words import listed, plural

ENDS = {
    "small": "answered by small models",
    "mid": "answered by mid models",
    "frontier": "answered by frontier models",
    "person": "sent to a person",
    "no answer": "without an answer",
}
# McNemar's test shows no difference from here on.
CHANCE = 0.05


@dataclass(frozen=True)
class Figure:
    """A figure under the policy before and the one after, and how they differ."""

    label: str
    before: str
    after: str
    difference: str = ""


@dataclass(frozen=True)
class Told:
    """What was found of one step, or of all of them together: who ends its requests, in counts and in figures.

    `guards` says which models guards and rules keep out and what they refuse; `quality` is the evaluation behind the
    last figure.
    """

    name: str
    n: int
    known: int
    before: dict[str, int]
    after: dict[str, int]
    figures: list[Figure]
    guards: list[str]
    quality: Quality | None

    @property
    def parts(self) -> list[tuple[str, int, int]]:
        """Who ends the known requests, with the count before and after."""
        return [(name, self.before.get(name, 0), self.after.get(name, 0)) for name in {**self.before, **self.after}]


@dataclass(frozen=True)
class Row:
    """One of the most changed requests."""

    request: UUID
    step: str
    at: datetime
    before: str
    after: str


def headline(result: Result) -> str:
    """What it would have done, in the sentence that matters most; empty where the past tells nothing."""
    total = tallies.whole(result.steps)
    if not total.known:
        return ""
    said = []
    if total.changed:
        said.append(f"{figures.group_thousands(total.changed)} would have ended otherwise")
    fewer = total.before.ends.get("person", 0) - total.after.ends.get("person", 0)
    if fewer:
        said.append(f"{figures.group_thousands(abs(fewer))} {'fewer' if fewer > 0 else 'more'} with a person")
    for currency, costs in sorted(total.costs.items()):
        if costs.before != costs.after:
            amount = f"{currency}{NBSP}{figures.money_words(abs(costs.after - costs.before))}"
            said.append(f"models would have cost {amount} {'more' if costs.after > costs.before else 'less'}")
    told = listed(said) or "none would have ended otherwise"
    return f"Of {plural(total.known, 'request')} whose end the past tells, {told}."


def told(result: Result) -> list[Told]:
    """What was found of each step, those with most requests first."""
    quality = {each.step: each for each in result.quality}
    steps = sorted(result.steps.items(), key=lambda each: (-each[1].n, each[0]))
    return [_told(name, step, result.days, quality.get(name)) for name, step in steps]


def whole(result: Result) -> Told:
    """What was found of all steps together."""
    return _told("All steps", tallies.whole(result.steps), result.days, None)


def unknown(result: Result) -> list[tuple[str, int]]:
    """Why the past cannot tell how requests would end, and of how many; the most frequent first."""
    counts = tallies.whole(result.steps).unknown
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def changed(result: Result) -> list[Row]:
    """The most changed requests, those that changed most first."""
    return [_row(each) for each in result.changed]


def _row(each: Changed) -> Row:
    return Row(UUID(each.request), each.step, datetime.fromisoformat(each.at), each.before, each.after)


def _told(name: str, step: Step, days: int, quality: Quality | None) -> Told:
    before, after = (_ordered(side) for side in (step.before, step.after))
    found = list(_figures(step, days, quality)) if step.known else []
    return Told(name, step.n, step.known, before, after, found, list(_guards(step)), quality)


def _figures(step: Step, days: int, quality: Quality | None) -> Iterator[Figure]:
    for who, label in ENDS.items():
        one, other = step.before.ends.get(who, 0), step.after.ends.get(who, 0)
        if one or other:
            yield _shares(label, one, other, step.known)
    yield _shares("asked more than one model, or a person", step.before.escalated, step.after.escalated, step.known)
    yield _reviews(step, days)
    for currency, costs in sorted(step.costs.items()):
        yield _costs(currency, costs, step.priced)
    for share, label in ((0.5, "half are answered within"), (0.95, "95 % are answered within")):
        times = step.before.percentile(share), step.after.percentile(share)
        if any(each is not None for each in times):
            yield Figure(label, _duration(times[0]), _duration(times[1]), _sooner(*times))
    if quality is not None:
        yield _right(quality)


def _shares(label: str, one: int, other: int, n: int) -> Figure:
    points = round((other - one) / n * 100)
    words = f"{abs(points)} point{'' if abs(points) == 1 else 's'} {'more' if points > 0 else 'less'}"
    same = "the same" if one == other else f"under 1 point {'more' if other > one else 'less'}"
    return Figure(label, _share(one, n), _share(other, n), words if points else same)


def _share(some: int, n: int) -> str:
    low, high = wilson(some, n) or (0.0, 1.0)
    return f"{figures.percent_words(some / n)} ({figures.range_words(low, high)})"


def _reviews(step: Step, days: int) -> Figure:
    people = step.before.ends.get("person", 0), step.after.ends.get("person", 0)
    busiest = [max((counts[side] for counts in step.people.values()), default=0) for side in (0, 1)]
    one, other = (f"{count / days:,.1f}" for count in people)
    difference = f"on the busiest day {busiest[0]:,}, then {busiest[1]:,}"
    if people[0] == people[1] and busiest[0] == busiest[1]:
        difference = f"the same, {busiest[0]:,} on the busiest day" if any(people) else "the same"
    return Figure("reviews a day", one, other, difference)


def _costs(currency: str, costs: Costs, n: int) -> Figure:
    one, other = (f"{currency}{NBSP}{figures.money_words(each / n)}" for each in (costs.before, costs.after))
    return Figure("models, for a request", one, other, _difference(currency, costs, n))


def _difference(currency: str, costs: Costs, n: int) -> str:
    """By how much a request costs less or more, with the interval of the paired differences."""
    total = costs.after - costs.before
    if not costs.squares:
        return "the same"
    mean, bounds = total / n, paired_mean(total, costs.squares, n)
    if bounds is None:
        return f"{currency}{NBSP}{figures.money_words(abs(mean))} {_way(mean)} (too few for an interval)"
    digits = figures.money_digits_alike([mean, *bounds])
    said = f"{currency}{NBSP}{_amount(mean, digits)} {_way(mean)}"
    low, high = sorted(bounds, key=abs)
    if _way(low) == _way(high):
        return f"{said} ({_amount(low, digits)} to {_amount(high, digits)})"
    return f"{said} (from {_amount(low, digits)} {_way(low)} to {_amount(high, digits)} {_way(high)})"


def _amount(amount: Decimal, digits: int) -> str:
    return figures.money_words(abs(amount), digits=digits)


def _way(amount: Decimal) -> str:
    return "less" if amount < 0 else "more"


def _right(quality: Quality) -> Figure:
    differ = f"+{quality.gained:,} {figures.MINUS}{quality.lost:,} of the samples that both answer"
    if not quality.gained and not quality.lost:
        differ = "the same where both answer"
    elif quality.p_value >= CHANCE:
        differ = f"no difference shown, {differ}"
    label = "right, of evaluated samples that models answer"
    return Figure(label, _right_words(quality.before), _right_words(quality.after), differ)


def _right_words(right: Right) -> str:
    if right.low is None or right.high is None:
        return "no model answers"
    return f"{figures.percent_words(right.correct / right.judged)} ({figures.range_words(right.low, right.high)})"


def _guards(step: Step) -> Iterator[str]:
    """What guards and rules do to the known requests, before and after."""
    for refused in sorted({*step.before.refused, *step.after.refused}):
        counts = _counts(step.before.refused.get(refused, 0), step.after.refused.get(refused, 0))
        yield f"{counts} refused by {refused.replace('_', ' ')}"
    for out in sorted({*step.before.kept_out, *step.after.kept_out}):
        model, _, clause = out.rpartition(": ")
        counts = _counts(step.before.kept_out.get(out, 0), step.after.kept_out.get(out, 0))
        yield f"{counts} without {model}, kept out by {clause.replace('_', ' ')}"


def _counts(one: int, other: int) -> str:
    words = plural(one, "request")
    return words if one == other else f"{words} before and {other:,} after"


def _duration(milliseconds: int | None) -> str:
    return "no model is asked" if milliseconds is None else figures.duration_words(milliseconds)


def _sooner(one: int | None, other: int | None) -> str:
    """By how much sooner or later; nothing where no model is asked under one of them."""
    if one is None or other is None:
        return ""
    return f"{_duration(abs(other - one))} {'later' if other > one else 'sooner'}" if one != other else "the same"


def _ordered(side: Side) -> dict[str, int]:
    return {name: side.ends[name] for name in ENDS if side.ends.get(name)}
