"""What an evaluation says, in sentences: how right the policy is, beside the best model alone and real traffic."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from governance import figures
from governance.figures import NBSP
from ledger.recent import Recent
from routing import replays
from routing.evaluations import Measured
from routing.intervals import wilson
from routing.models import EvaluationScore
from routing.replays import Replay

# Two answerers whose difference chance alone makes this often are not told apart.
CHANCE = 0.05


@dataclass(frozen=True)
class Beside:
    """A figure of the evaluation, the same of real traffic, and the difference in words.

    `model` is whose answers it counts, `money` says that it is what requests cost.
    """

    label: str
    measured: str
    live: str
    difference: str
    model: str = ""
    money: bool = False


def headline(found: Measured) -> str:
    """The sentence that matters: what the policy answers, how much of it is right, and how one model alone does."""
    policy, rival = found.policy, best_alone(found)
    if policy.accuracy is None or policy.low is None or policy.high is None:
        return f"The policy sends every one of {figures.group_thousands(policy.n)} samples to a person"
    bounds = f"{figures.percent_words(policy.accuracy)} right ({figures.range_words(policy.low, policy.high)})"
    said = f"The policy answers {bounds}"
    if policy.person:
        itself = figures.percent_words(policy.judged / policy.n)
        said = f"The policy answers {itself} of the samples itself, {bounds.replace(' right', ' of them right', 1)}"
    return f"{said}, {_against(policy, rival)}{_at_cost(policy, rival)}"


def none_done(listed: int, going: int) -> str:
    """The same where no evaluation of a list went through."""
    if going:
        return f"{going} evaluation{' goes' if going == 1 else 's go'} on, none has gone through yet"
    return "No evaluation here went through" if listed else "Nothing has been evaluated here yet"


def best_alone(found: Measured) -> EvaluationScore:
    """The model that is most often right alone; of equals the cheaper one, then the lower rung."""

    def order(score: EvaluationScore) -> tuple[int, Decimal]:
        cost = score.cost_per_task
        return (-score.correct, Decimal("Infinity") if cost is None else cost)

    return min(found.models.values(), key=order)


def _against(policy: EvaluationScore, rival: EvaluationScore) -> str:
    """How the policy stands to a model on the samples that the policy answers."""
    where = " there" if policy.person else ""
    if rival.p_value is None or rival.p_value >= CHANCE:
        tell = "1 sample tells" if policy.kept == 1 else f"{figures.group_thousands(policy.kept)} samples tell"
        return f"as good as {rival.model} alone{where} as far as {tell}"
    return f"{'better' if rival.gained > rival.lost else 'worse'} than {rival.model} alone{where}"


def _at_cost(policy: EvaluationScore, rival: EvaluationScore) -> str:
    """How the policy's cost stands to a model's; nothing where that cannot be said."""
    mine, other = policy.cost_per_task, rival.cost_per_task
    if mine is None or not other or policy.currency != rival.currency or policy.unpriced or rival.unpriced:
        return ""
    ratio = mine / other
    if ratio < Decimal("0.995"):
        return f", at {figures.percent_words(ratio)} of its cost"
    if ratio < Decimal("1.005"):
        return ", at the same cost"
    return f", at {ratio:.1f} times its cost"


def pair_words(score: EvaluationScore) -> str:
    """How a model alone stands to the policy where the policy answers, with the counts behind it."""
    both = f"{figures.group_thousands(score.gained)} only the policy, {figures.group_thousands(score.lost)} only it"
    if not score.gained and not score.lost:
        return "right where the policy is"
    if score.p_value is None or score.p_value >= CHANCE:
        return f"no difference shown: {both}"
    return f"the policy is {'more' if score.gained > score.lost else 'less'} often right: {both}"


def beside(found: Measured, live: Recent) -> list[Beside]:
    """The evaluation's figures beside those of real requests, rung by rung; empty where there were none."""
    if not live.n:
        return []
    rows = [
        _shares(f"answered by {model}", score.kept_share, live.share(live.kept[model]), model)
        for model, score in found.models.items()
    ]
    rows.append(_shares("sent to a person", found.policy.person_share, live.share(live.person)))
    if live.failed:
        rows.append(_shares("without an answer", found.policy.errors / found.n, live.share(live.failed)))
    rows.append(_costs(found.policy, live))
    rows += [
        _times("half are answered within", found.policy.latency_p50_ms, live.latency_p50_ms),
        _times("95 % are answered within", found.policy.latency_p95_ms, live.latency_p95_ms),
    ]
    return rows


@dataclass(frozen=True)
class Foretold:
    """A figure under the live policy and under the proposed one, of the same samples; `before` is empty without."""

    label: str
    before: str
    after: str
    difference: str


def foretold(ladder: Sequence[str], before: Replay | None, after: Replay) -> list[Foretold]:
    """What two policies would have made of the same samples, figure by figure, who answers first."""
    models = dict.fromkeys([*ladder, *(before.kept if before else ()), *after.kept])
    rows = [
        _counts(f"answered by {model}", before.kept[model] if before else None, after.kept[model], after.n)
        for model in models
    ]
    for label, outcomes, always in (
        ("sent to a person", ("person",), True),
        ("without an answer", ("failed", "refused"), False),
        ("not known: a model that was not measured", ("unmeasured",), False),
    ):
        was = sum(before.outcomes[name] for name in outcomes) if before else None
        becomes = sum(after.outcomes[name] for name in outcomes)
        if was or becomes or always:
            rows.append(_counts(label, was, becomes, after.n))
    return [*rows, _right(before, after), *_taken_over(before, after), _cost_of_samples(before, after)]


def moved(before: Replay, after: Replay) -> str:
    """Which samples a policy moves between people and models, and how right the models are there, in a sentence."""
    pairs = list(zip(before.samples, after.samples, strict=True))
    taken = [now.correct for was, now in pairs if was.outcome == "person" and now.correct is not None]
    given = [was.correct for was, now in pairs if was.correct is not None and now.outcome == "person"]
    told = []
    if taken:
        told.append(f"models would answer {_samples(taken)} where a person decides now, {_right_of(taken)} right")
    if given:
        told.append(f"a person would decide {_samples(given)} where models answer now, {_right_of(given)} right")
    return "; ".join(told) or "as many samples as now would go to a person"


def _samples(judged: Sequence[bool]) -> str:
    return f"{figures.group_thousands(len(judged))} sample{'' if len(judged) == 1 else 's'}"


def _right_of(judged: Sequence[bool]) -> str:
    return _share_words(sum(judged), len(judged))


def _counts(label: str, before: int | None, after: int, n: int) -> Foretold:
    share = after / n
    if before is None:
        return Foretold(label, "", figures.percent_words(share), "")
    told = _shares(label, before / n, share)
    return Foretold(label, told.measured, told.live, told.difference)


def _right(before: Replay | None, after: Replay) -> Foretold:
    """How many of a policy's own answers are right; told apart where both answer the same sample."""
    label, difference = "right, of what models answer", ""
    if before is not None:
        pair = replays.paired(before, after)
        counts = f"+{figures.group_thousands(pair.gained)} {figures.MINUS}{figures.group_thousands(pair.lost)}"
        of = f"of {figures.group_thousands(pair.n)} that both answer"
        if not pair.gained and not pair.lost:
            difference = f"the same {of}"
        elif pair.p_value >= CHANCE:
            difference = f"no difference shown, {counts} {of}"
        else:
            difference = f"{'better' if pair.gained > pair.lost else 'worse'}, {counts} {of}"
    return Foretold(label, _right_words(before) if before else "", _right_words(after), difference)


def _taken_over(before: Replay | None, after: Replay) -> Iterator[Foretold]:
    """How right models are where a person decides now; nothing where they take no such sample over."""
    if before is None:
        return
    pairs = zip(before.samples, after.samples, strict=True)
    taken = [now.correct for was, now in pairs if was.outcome == "person" and now.correct is not None]
    if taken:
        yield Foretold(
            "right, where a person decides now",
            "a person",
            _share_words(sum(taken), len(taken)),
            f"{figures.group_thousands(len(taken))} samples that models take over",
        )


def _right_words(replay: Replay) -> str:
    return _share_words(replay.correct, replay.judged)


def _share_words(right: int, n: int) -> str:
    bounds = wilson(right, n)
    if bounds is None:
        return "no model answers"
    return f"{figures.percent_words(right / n)} ({figures.range_words(*bounds)})"


def _cost_of_samples(before: Replay | None, after: Replay) -> Foretold:
    there = _money(after.cost_per_task, after.currency)
    if before is None:
        return Foretold("cost of a sample", "", there, "")
    difference = "cannot be compared"
    mine, theirs = before.cost_per_task, after.cost_per_task
    if mine is not None and theirs is not None and before.currency == after.currency:
        # Samples of which some cost is not known are other ones under each policy.
        whole = not before.unpriced and not after.unpriced
        difference = _ratio(mine, theirs, "dearer", "cheaper") if whole else difference
    return Foretold("cost of a sample", _money(mine, before.currency), there, difference)


def _shares(label: str, measured: float, live: float, model: str = "") -> Beside:
    points = round((live - measured) * 100)
    difference = f"{abs(points)} point{'' if abs(points) == 1 else 's'} {'more' if points > 0 else 'less'}"
    return Beside(
        label,
        figures.percent_words(measured),
        figures.percent_words(live),
        difference if points else "the same",
        model,
    )


def _costs(policy: EvaluationScore, live: Recent) -> Beside:
    mine, theirs = policy.cost_per_task, live.cost_per_request
    difference = "cannot be compared"
    if mine is not None and theirs is not None and policy.currency == live.currency:
        difference = _ratio(mine, theirs, "dearer", "cheaper")
    here, there = _money(mine, policy.currency), _money(theirs, live.currency)
    return Beside("cost of a request", here, there, difference, money=True)


def _money(amount: Decimal | None, currency: str | None) -> str:
    return "not priced" if amount is None else f"{currency}{NBSP}{figures.money_words(amount)}"


def _times(label: str, measured: int, live: int) -> Beside:
    here, there = (f"{figures.group_thousands(each)}{NBSP}ms" for each in (measured, live))
    return Beside(label, here, there, _ratio(Decimal(measured), Decimal(live), "slower", "faster"))


def _ratio(measured: Decimal, live: Decimal, more: str, less: str) -> str:
    """How a live amount stands to the measured one."""
    if not measured:
        return "the same" if not live else more
    ratio = live / measured
    if Decimal("0.95") < ratio < Decimal("1.05"):
        return "the same within 5 %"
    if ratio >= 2:
        return f"{ratio:.1f} times, {more}"
    return f"{figures.percent_words(abs(ratio - 1))} {more if ratio > 1 else less}"
