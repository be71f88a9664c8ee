"""What an observed policy would have cost: the requests of the models that were asked, beside the policy's ladder.

The method, as the page says it. For each observed request the gateway stored the ladder that the policy would have
begun on (ledger.Decision.observed_ladder). How often each rung keeps its answer is taken from the newest evaluation of
the step, replayed under the observed policy: of the samples that reached the rung, the share that it kept. The tokens
of the answer that was given are priced at each rung that is expected to be reached, at today's price of the endpoint
that is tried first. The bounds are those of the keep rates (Wilson, 95 %), all at once on their low or their high side,
which is wider than they are together. Tokens are taken as they were: another model would have used more or fewer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from governance.models import Endpoint, Environment, PolicyHead
from ledger import prices
from ledger.models import Price
from ledger.models.decisions import ASTRAY
from ledger.models.usage import AHEAD
from routing import evaluations
from routing.evaluations import Measured
from routing.intervals import wilson
from routing.models import Evaluation, EvaluationResult
from routing.replays import Replay

MILLION = Decimal(1_000_000)
AMOUNT = Decimal("1E-10")

# One row for each step, model that was asked and ladder that the policy would have begun on. A request counts where a
# model answered, all its attempts are priced in one currency and the tokens of its answer are known. Measuring models
# is no traffic of theirs. Keys carry the time, so that only the partitions of the period are read.
OBSERVED = """
WITH asked AS (
    SELECT id, step, facts->>'model' AS model, observed_ladder::text AS ladder, observed_clause IS NOT NULL AS refused,
        outcome
    FROM ledger_decision
    WHERE workflow_id = %(workflow)s AND environment_id = %(environment)s AND mode = 'observe'
        AND id >= ledger_floor(%(floor)s) AND occurred_at >= %(since)s AND id < ledger_floor(%(until)s)
        AND key_id <> ALL (ARRAY(SELECT id FROM governance_apikey WHERE purpose = 'evaluation'))
),
spent AS (
    SELECT asked.step, asked.model, asked.ladder, asked.refused, asked.outcome,
        sum(charge.amount) AS paid,
        count(*) FILTER (WHERE charge.amount IS NULL) AS unpriced,
        CASE WHEN min(charge.currency) = max(charge.currency) THEN min(charge.currency) END AS currency,
        sum(event.input_tokens + event.cache_read_tokens + event.cache_write_tokens) FILTER (WHERE event.kept) AS input,
        sum(event.output_tokens) FILTER (WHERE event.kept) AS output
    FROM asked
    LEFT JOIN ledger_usageevent event ON event.decision_id = asked.id AND event.id >= ledger_floor(%(floor)s)
    LEFT JOIN ledger_charge charge ON charge.id = event.id AND charge.id >= ledger_floor(%(floor)s)
    GROUP BY asked.id, asked.step, asked.model, asked.ladder, asked.refused, asked.outcome
),
counted AS (
    SELECT *, outcome = 'kept' AND unpriced = 0 AND currency IS NOT NULL AND input IS NOT NULL AND output IS NOT NULL
        AS whole
    FROM spent
)
SELECT step, model, ladder, refused, whole, CASE WHEN whole THEN currency END,
    count(*), coalesce(sum(paid), 0), coalesce(sum(input), 0), coalesce(sum(output), 0)
FROM counted
GROUP BY step, model, ladder, refused, whole, CASE WHEN whole THEN currency END
ORDER BY step, model, ladder
"""


@dataclass(frozen=True)
class Share:
    """So many of some samples; of a rung, how many of those that reached it it kept."""

    n: int
    count: int

    @property
    def share(self) -> float:
        """The share; none where there are no samples, which for a rung is the dearer guess."""
        return self.count / self.n if self.n else 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """Its bounds (Wilson, 95 %); all is possible where there are no samples."""
        return wilson(self.count, self.n) or (0.0, 1.0)


@dataclass(frozen=True)
class Rate:
    """What a million tokens take at the endpoint of a rung that is tried first."""

    currency: str
    input: Decimal
    output: Decimal


@dataclass(frozen=True)
class Would:
    """What requests on one ladder would cost: as expected, at least and at most; and what share a person would get."""

    cost: Decimal
    least: Decimal
    most: Decimal
    person: float


@dataclass(frozen=True)
class Compared:
    """The requests of one step that asked one model, beside what the policy would have cost for them.

    `person` is the share of them that the policy is expected to leave to a person, or without an answer where it asks
    nobody; `ladders` are those on which it would have begun.
    """

    step: str
    model: str
    n: int
    currency: str
    paid: Decimal
    would: Decimal
    least: Decimal
    most: Decimal
    person: float
    ladders: frozenset[tuple[str, ...]] = frozenset()

    @property
    def saved(self) -> Decimal:
        """What would have been saved; below zero where the policy would have been dearer."""
        return self.paid - self.would

    @property
    def saved_least(self) -> Decimal:
        """The same at the policy's highest cost."""
        return self.paid - self.most

    @property
    def saved_most(self) -> Decimal:
        """The same at the policy's lowest cost."""
        return self.paid - self.least


@dataclass
class Beyond:
    """Requests of one step, paid in one currency, of whose ladders one cannot say what they would have cost."""

    step: str
    currency: str
    n: int = 0
    ladders: set[tuple[str, ...]] = field(default_factory=set)


@dataclass
class Watched:
    """What came of observing a workflow since a moment.

    `basis` are the steps' evaluations with their replay under the observed policy. Requests that are not in `compared`
    are counted by why: the policy would have refused them (`refused`), no answer or cost of theirs is known (`open`),
    the step was never evaluated (`unmeasured`, by step), its first rung has no measured answers or a rung no price in
    the currency that was paid (`beyond`, by step and currency).
    """

    n: int = 0
    compared: list[Compared] = field(default_factory=list)
    basis: dict[str, tuple[Measured, Replay]] = field(default_factory=dict)
    refused: int = 0
    open: int = 0
    unmeasured: dict[str, int] = field(default_factory=dict)
    beyond: dict[tuple[str, str], Beyond] = field(default_factory=dict)

    @property
    def totals(self) -> list[Compared]:
        """The sums of what is compared, one for each currency. Bounds add up: keep rates are off in one direction."""
        currencies = dict.fromkeys(each.currency for each in self.compared)
        return [together([each for each in self.compared if each.currency == currency]) for currency in currencies]


def watched(head: PolicyHead, *, since: datetime, now: datetime) -> Watched:
    """Return what a head's observed policy would have cost since a moment, with all that it rests on.

    Of a head with its workflow, environment and version.
    """
    found = Watched()
    for each in evaluations.latest_of(head.workflow, head.environment):
        replay = evaluations.replayed(each.evaluation, head.version.document)
        found.basis[each.evaluation.step.name] = (each, replay)
    keeps = {step: keep_rates(replay) for step, (_measured, replay) in found.basis.items()}
    rates = rates_in(head.environment, now)
    groups: dict[tuple[str, str], list[Compared]] = {}
    for step, model, ladder, refused, whole, currency, n, paid, *tokens in _groups(head, since, now):
        found.n += n
        if refused:
            found.refused += n
        elif not whole:
            found.open += n
        elif step not in keeps:
            found.unmeasured[step] = found.unmeasured.get(step, 0) + n
        else:
            rungs = msgspec.json.decode(ladder, type=tuple[str, ...])
            would = expected(rungs, tokens, keeps[step], rates, currency)
            if would is None:
                beyond = found.beyond.setdefault((step, currency), Beyond(step, currency))
                beyond.n += n
                beyond.ladders.add(rungs)
                continue
            amounts = (paid, would.cost, would.least, would.most)
            part = Compared(step, model or "", n, currency, *amounts, would.person, frozenset({rungs}))
            groups.setdefault((step, part.model), []).append(part)
    for parts in groups.values():
        for currency in dict.fromkeys(each.currency for each in parts):
            found.compared.append(together([each for each in parts if each.currency == currency]))
    return found


def keep_rates(replay: Replay) -> dict[str, Share]:
    """Return for each model that a replay asked how many samples reached it and how many it kept."""
    reached: dict[str, int] = {}
    for sample in replay.samples:
        for model in sample.asked:
            reached[model] = reached.get(model, 0) + 1
    return {model: Share(n, replay.kept[model]) for model, n in reached.items()}


def right_beside(evaluation: Evaluation, replay: Replay, model: str) -> Share | None:
    """Return how many samples a model alone has right of those that the policy answers itself; None of none."""
    answered = [sample.sample for sample in replay.samples if sample.outcome == "kept"]
    results = EvaluationResult.objects.filter(evaluation=evaluation, model=model, correct=True)
    right = set(results.values_list("sample", flat=True))
    return Share(len(answered), sum(1 for sample in answered if sample in right)) if answered else None


def expected(
    ladder: Sequence[str],
    tokens: Sequence[int],
    keeps: Mapping[str, Share],
    rates: Mapping[str, Rate],
    currency: str,
) -> Would | None:
    """Return what some tokens (input, output) are expected to cost on a ladder; None where that cannot be said.

    It takes measured answers of the first rung, and a price in this currency of every rung.
    """
    if not ladder or ladder[0] not in keeps:
        return None
    if any(model not in rates or rates[model].currency != currency for model in ladder):
        return None
    input_tokens, output_tokens = tokens
    each = [(input_tokens * rates[model].input + output_tokens * rates[model].output) / MILLION for model in ladder]
    rungs = [keeps.get(model, Share(0, 0)) for model in ladder]
    likely = _reached([rung.share for rung in rungs])
    least = _reached([rung.bounds[1] for rung in rungs])
    most = _reached([rung.bounds[0] for rung in rungs])
    return Would(_weighed(each, likely), _weighed(each, least), _weighed(each, most), likely[-1])


def together(parts: Sequence[Compared]) -> Compared:
    """Return the sum of comparisons in one currency; step and model stay where they are the same in all."""
    n = sum(each.n for each in parts)
    steps, models = {each.step for each in parts}, {each.model for each in parts}
    return Compared(
        step=steps.pop() if len(steps) == 1 else "",
        model=models.pop() if len(models) == 1 else "",
        n=n,
        currency=parts[0].currency,
        paid=sum((each.paid for each in parts), Decimal(0)),
        would=sum((each.would for each in parts), Decimal(0)),
        least=sum((each.least for each in parts), Decimal(0)),
        most=sum((each.most for each in parts), Decimal(0)),
        person=sum(each.person * each.n for each in parts) / n,
        ladders=frozenset().union(*(each.ladders for each in parts)),
    )


def rates_in(environment: Environment, now: datetime) -> dict[str, Rate]:
    """Return today's rates of each model served in an environment, those of the endpoint that is tried first."""
    endpoints = list(Endpoint.objects.served_in(environment))
    current = prices.current(endpoints, now)
    first: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        first.setdefault(endpoint.version.model.name, endpoint)
    return dict(_priced(first, current))


def _priced(first: Mapping[str, Endpoint], current: Mapping[UUID, Price]) -> Iterable[tuple[str, Rate]]:
    for model, endpoint in first.items():
        price = current.get(endpoint.pk)
        if price is not None and price.input is not None and price.output is not None:
            yield model, Rate(price.currency, price.input, price.output)


def _groups(head: PolicyHead, since: datetime, now: datetime) -> list[tuple[Any, ...]]:
    # The same requests as those of a list of these days: made since then, and not dated after now.
    times = {"since": since, "floor": since - ASTRAY, "until": now + AHEAD}
    asked: dict[str, Any] = {"workflow": head.workflow_id, "environment": head.environment_id} | times
    with connection.cursor() as cursor:
        cursor.execute(OBSERVED, asked)
        return list(cursor.fetchall())


def _reached(keeps: Sequence[float]) -> list[float]:
    """The chance that a request reaches each rung, and last the chance that none keeps its answer."""
    chances = [1.0]
    for keep in keeps:
        chances.append(chances[-1] * (1 - keep))
    return chances


def _weighed(costs: Sequence[Decimal], chances: Sequence[float]) -> Decimal:
    weighed = (cost * Decimal(str(chance)) for cost, chance in zip(costs, chances, strict=False))
    return sum(weighed, Decimal(0)).quantize(AMOUNT)
