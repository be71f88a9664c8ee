"""Savings: what the tasks of a period cost, beside what a dated baseline would have taken for the same tasks.

The method, as pages say it: every kept answer's tokens at the price of the baseline model on that day, within the
bounds of tokens that the baseline states, less all that was spent, attempts that were not kept included. Requests that
people decided, and answers that were only evaluated, are no tasks; what was spent on them counts. Why: see
docs/decisions/0008-savings.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import F, Q

from governance import audit
from governance.accounts import require
from governance.audit import Actor
from governance.errors import InvalidInput, store
from governance.figures import money_digits_alike
from governance.models import ApiKey, Endpoint, Model, User, Workflow
from ledger import prices
from ledger.attempts import Attempt
from ledger.models import Baseline, Decision, Price
from ledger.models.savings import LEAST_RATIO, MOST_RATIO

MILLION = Decimal(1_000_000)

# What is compared with what, for both questions. A day's baseline is the one that holds at its noon, its price the
# one of that moment: `spans` are the days in which a workflow has one and the same of both, numbered, and its days in
# none of them bear its own number below zero. Its sums are cut by the baseline and the currency; tokens are added up
# before they are priced. Days without a baseline, or with one that has no price, come with nulls.
_COMPARED = """
WITH asked AS MATERIALIZED (
    SELECT id, row_number() OVER () AS no FROM governance_workflow
    WHERE %(workflows)s::uuid[] IS NULL OR id = ANY(%(workflows)s::uuid[])
),
calendar AS MATERIALIZED (
    -- A filter may name centuries: only days that the ledger knows.
    SELECT each::date AS day, (each + time '12:00') AT TIME ZONE %(zone)s AS noon
    FROM (SELECT min(day) AS first, max(day) AS last FROM ledger_rollup) known, generate_series(
        greatest(%(first)s::date, known.first)::timestamp,
        (CASE WHEN %(last)s::date < known.last THEN %(last)s ELSE known.last END)::timestamp,
        interval '1 day'
    ) each
),
rates AS (
    SELECT model.id AS model_id, calendar.day, p.currency, p.input, p.output
    FROM (SELECT DISTINCT model_id AS id FROM ledger_baseline JOIN asked ON asked.id = workflow_id) model
    CROSS JOIN LATERAL (
        SELECT e.id, e.upstream_model, provider.slug
        FROM governance_endpoint e
        JOIN governance_modelversion v ON v.id = e.version_id AND v.is_current
        JOIN governance_provider provider ON provider.id = e.provider_id
        WHERE v.model_id = model.id
        ORDER BY e.active DESC, e.position, e.id
        LIMIT 1
    ) place
    CROSS JOIN calendar
    CROSS JOIN LATERAL (
        SELECT currency, input, output FROM ledger_price
        WHERE (
            kind = 'own' AND endpoint_id = place.id
            OR kind = 'list' AND provider = place.slug AND model = place.upstream_model AND input_from = 0
        )
        AND valid_from <= calendar.noon AND (valid_until IS NULL OR valid_until > calendar.noon)
        ORDER BY kind = 'own' DESC
        LIMIT 1
    ) p
    -- One of both rates says nothing of what a task would have taken.
    WHERE p.input IS NOT NULL AND p.output IS NOT NULL
),
priced AS (
    SELECT model_id, currency, input, output, min(day) AS first, max(day) AS last
    FROM (
        SELECT *, day - (row_number() OVER (PARTITION BY model_id, currency, input, output ORDER BY day))::int AS since
        FROM rates
    ) rates
    GROUP BY model_id, currency, input, output, since
),
-- From the first day whose noon is not before the baseline's begin to the last one whose noon is before its end, by the
-- clock of the zone and to the microsecond.
spans AS MATERIALIZED (
    SELECT
        row_number() OVER () AS no, base.id AS baseline_id, base.workflow_id,
        priced.currency, priced.input, priced.output,
        greatest(base.first, priced.first) AS first, least(base.last, priced.last) AS last
    FROM (
        SELECT
            ledger_baseline.id, workflow_id, model_id,
            (valid_from AT TIME ZONE %(zone)s - interval '12:00:00.000001')::date + 1 AS first,
            coalesce((valid_until AT TIME ZONE %(zone)s - interval '12:00:00.000001')::date, 'infinity') AS last
        FROM ledger_baseline JOIN asked ON asked.id = workflow_id
    ) base
    JOIN priced ON priced.model_id = base.model_id AND priced.first <= base.last AND priced.last >= base.first
),
sums AS (
    SELECT
        no,
        coalesce(sum(kept) FILTER (WHERE served), 0) AS tasks,
        coalesce(sum(kept) FILTER (WHERE served AND recorded), 0) AS recorded,
        sum(unpriced) AS unpriced,
        sum(amount) FILTER (WHERE same) AS spent,
        sum(amount) FILTER (WHERE same AND NOT served) AS evaluated,
        count(*) FILTER (WHERE amount > 0 AND NOT same) AS elsewhere,
        coalesce(sum(kept_input_tokens) FILTER (WHERE served), 0) AS input,
        coalesce(sum(kept_output_tokens) FILTER (WHERE served), 0) AS output
    FROM (
        SELECT
            coalesce(spans.no, -asked.no) AS no, key.purpose <> 'evaluation' AS served, place.recorded,
            rollup.currency = spans.currency AS same,
            kept, unpriced, amount, kept_input_tokens, kept_output_tokens
        FROM ledger_rollup rollup
        JOIN asked ON asked.id = rollup.workflow_id
        JOIN governance_apikey key ON key.id = rollup.key_id
        JOIN governance_endpoint e ON e.id = rollup.endpoint_id
        JOIN governance_environment place ON place.id = e.environment_id
        LEFT JOIN spans ON spans.workflow_id = rollup.workflow_id AND rollup.day BETWEEN spans.first AND spans.last
        WHERE rollup.day BETWEEN %(first)s AND %(last)s
        -- Keeps the number a plain column: as an expression it is thought to be rare, and all rows are sorted by it.
        OFFSET 0
    ) counted
    GROUP BY no
),
compared AS (
    SELECT
        coalesce(spans.workflow_id, asked.id) AS workflow_id, spans.baseline_id, spans.currency,
        sum(tasks)::bigint AS tasks,
        coalesce(sum(spent), 0) AS spent,
        round(sum(sums.input * spans.input + sums.output * spans.output) * 0.000001, 10) AS would,
        sum(unpriced)::bigint AS unpriced,
        sum(recorded)::bigint AS recorded,
        coalesce(sum(evaluated), 0) AS evaluated,
        sum(elsewhere)::bigint AS elsewhere
    FROM sums LEFT JOIN spans ON spans.no = sums.no LEFT JOIN asked ON asked.no = -sums.no
    GROUP BY 1, 2, 3
)
"""
COMPARED = f"""{_COMPARED}
SELECT
    compared.workflow_id, compared.currency, tasks, spent, would, unpriced, recorded, evaluated, elsewhere,
    model.title, model.name, base.assumed, base.reason, base.tokens_least, base.tokens_most
FROM compared
LEFT JOIN ledger_baseline base ON base.id = compared.baseline_id
LEFT JOIN governance_model model ON model.id = base.model_id
ORDER BY compared.workflow_id, compared.baseline_id, compared.currency
"""  # noqa: S608
# The days whose tasks stand in a saving. What was spent in two currencies at once stands in none.
STRETCHES = f"""{_COMPARED}
SELECT spans.workflow_id, greatest(spans.first, %(first)s::date), least(spans.last, %(last)s::date)
FROM spans JOIN compared USING (workflow_id, baseline_id, currency)
WHERE elsewhere = 0
ORDER BY 1, 2
"""  # noqa: S608


class Stretch(NamedTuple):
    """Days, both included, on which a workflow's tasks stand in a saving."""

    workflow: UUID
    first: date
    last: date


class Basis(NamedTuple):
    """The baseline that a saving is counted against: the model's title and name, and all that was said of it."""

    model: str
    name: str
    assumed: bool
    reason: str
    tokens_least: Decimal
    tokens_most: Decimal


@dataclass(frozen=True)
class Saving:
    """What some tasks cost and what their baseline would have taken, in one currency; never a number without its basis.

    `would` takes the baseline's tokens to be those of the answers; `least` and `most` are the saving at the bounds that
    the baselines state. `recorded` are the tasks among them that were measured elsewhere and imported. `evaluated` is
    the part of `spent` that measured models and answered no task.
    """

    currency: str
    tasks: int
    spent: Decimal
    would: Decimal
    would_least: Decimal
    would_most: Decimal
    unpriced: int
    baselines: tuple[Basis, ...]
    recorded: int = 0
    evaluated: Decimal = Decimal(0)

    @property
    def saved(self) -> Decimal:
        """The saving; below zero where more was spent."""
        return self.would - self.spent

    @property
    def least(self) -> Decimal:
        """The saving if the baseline had used the fewest tokens it is said to."""
        return self.would_least - self.spent

    @property
    def most(self) -> Decimal:
        """The saving if the baseline had used the most tokens."""
        return self.would_most - self.spent

    @property
    def apart(self) -> Decimal:
        """How much less, or where it is below zero how much more, was spent: for words that say which."""
        return abs(self.saved)

    @property
    def apart_bounds(self) -> tuple[Decimal, Decimal]:
        """The same at both bounds, the smaller first; one lies below zero where they do not agree on which."""
        return (self.least, self.most) if self.saved >= 0 else (-self.most, -self.least)

    @property
    def alone(self) -> "Saving":
        """The same of its tasks alone: without what evaluations took, which answered none of them."""
        return replace(self, spent=self.spent - self.evaluated, evaluated=Decimal(0))

    @property
    def turned(self) -> bool:
        """Whether only what evaluations took makes it dearer than its baselines."""
        return self.saved < 0 <= self.alone.saved

    @property
    def digits(self) -> int:
        """Decimals in which the saving and its bounds are written."""
        return money_digits_alike((self.saved, self.least, self.most))

    @property
    def would_digits(self) -> int:
        """Decimals in which what the baseline would have taken and its bounds are written."""
        return money_digits_alike((self.would, self.would_least, self.would_most))

    @property
    def share(self) -> Decimal | None:
        """The saving as a share of what the baseline would have taken; None of nothing."""
        return self.saved / self.would if self.would else None

    @property
    def all_recorded(self) -> bool:
        """Whether none of its tasks was served here."""
        return 0 < self.tasks == self.recorded

    @property
    def assumed(self) -> bool:
        """Whether any of its baselines is assumed."""
        return any(each.assumed for each in self.baselines)


@dataclass(frozen=True)
class Compared:
    """The savings of a period by currency, and the tasks that have no baseline or whose baseline has no price."""

    savings: tuple[Saving, ...]
    without: int

    @property
    def tasks(self) -> int:
        """All tasks, compared or not."""
        return self.without + sum(saving.tasks for saving in self.savings)


def by_workflow(workflows: Iterable[UUID] | None, first: date, last: date, *, zone: ZoneInfo) -> dict[UUID, Compared]:
    """Return for each workflow what its tasks of these days of a zone cost, both included, beside its baseline.

    One query; None is all workflows, and one without tasks is absent. Which of them a person may ask for is for the
    caller to say.
    """
    found = _asked(COMPARED, workflows, first, last, zone)
    compared: dict[UUID, list[Compared]] = {}
    for workflow, currency, tasks, spent, would, unpriced, recorded, evaluated, elsewhere, *said in found:
        if would is None or elsewhere:
            part = Compared((), tasks)
        else:
            base = Basis(*said)
            bounds = (would * base.tokens_least, would * base.tokens_most)
            part = Compared(
                (Saving(currency, tasks, spent, would, *bounds, unpriced, (base,), recorded, evaluated),), 0
            )
        compared.setdefault(workflow, []).append(part)
    return {workflow: parts[0] if len(parts) == 1 else together(parts) for workflow, parts in compared.items()}


def stretches(workflows: Iterable[UUID] | None, first: date, last: date, *, zone: ZoneInfo) -> list[Stretch]:
    """Return the days of a period on which the tasks of workflows stand in the savings that `by_workflow` tells.

    One query; None is all workflows.
    """
    return [Stretch(*found) for found in _asked(STRETCHES, workflows, first, last, zone)]


def of_request(decision: Decision, attempts: Iterable[Attempt], *, zone: ZoneInfo) -> Saving | None:
    """Return what a request cost beside what its baseline would have taken for it, by the rule that sums go by.

    None where nothing can be said: no model's answer was kept, or only evaluated, or its tokens are not known; not all
    attempts are charged, or one in another currency; at noon of that day the workflow had no baseline with a price.
    """
    made = list(attempts)
    kept = next((each.event for each in made if each.event.kept), None)
    if kept is None or kept.input_tokens is None or kept.output_tokens is None:
        return None
    if decision.key.purpose == ApiKey.Purpose.EVALUATION or not all(each.charged for each in made):
        return None
    noon = datetime.combine(kept.booked_at.astimezone(zone), time(12), tzinfo=zone)
    base = baseline_of(decision.workflow, noon)
    price = _price_of(base.model, noon) if base else None
    if base is None or price is None or any(each.currency not in (None, price.currency) for each in made):
        return None
    tokens = kept.input_tokens + kept.cache_read_tokens + kept.cache_write_tokens
    would = tokens * (price.input or Decimal(0)) + kept.output_tokens * (price.output or Decimal(0))
    would = round(would / MILLION, 10)
    return Saving(
        currency=price.currency,
        tasks=1,
        spent=sum((each.amount for each in made if each.amount is not None), Decimal(0)),
        would=would,
        would_least=would * base.tokens_least,
        would_most=would * base.tokens_most,
        unpriced=sum(1 for each in made if each.amount is None),
        baselines=(
            Basis(base.model.title, base.model.name, base.assumed, base.reason, base.tokens_least, base.tokens_most),
        ),
    )


def together(parts: Iterable[Compared]) -> Compared:
    """Return the sum of comparisons, by currency. Bounds add up: baselines are off in the same direction."""
    every = list(parts)
    currencies = dict.fromkeys(saving.currency for part in every for saving in part.savings)
    sums = tuple(
        _sum([saving for part in every for saving in part.savings if saving.currency == currency])
        for currency in currencies
    )
    return Compared(sums, sum(part.without for part in every))


@transaction.atomic
def set_baseline(
    *,
    workflow: Workflow,
    model: Model,
    assumed: bool,
    reason: str,
    valid_from: datetime,
    by: Actor,
    tokens_least: Decimal = LEAST_RATIO,
    tokens_most: Decimal = MOST_RATIO,
) -> Baseline:
    """Say with which model a workflow's tasks are compared from a moment on; the baseline before ends there.

    `assumed` where nobody measured that it would have been used; the tokens it would have used are bounded relative to
    those of the model that answered. Raises NotPermitted, and InvalidInput, also for a moment before an earlier one.
    """
    # Whoever sets a baseline of this workflow waits here.
    workflow = Workflow.objects.select_for_update(no_key=True).get(pk=workflow.pk)
    require(by, "savings.edit", workflow)
    held = Baseline.objects.filter(workflow=workflow, valid_until=None).select_related("model").first()
    if held is not None:
        if held.valid_from >= valid_from:
            raise InvalidInput("valid_from: another baseline begins then or later", field="valid_from")
        held.valid_until = valid_from
        held.save(update_fields=["valid_until"])
    made = store(
        Baseline(
            workflow=workflow,
            model=model,
            assumed=assumed,
            reason=reason,
            tokens_least=tokens_least,
            tokens_most=tokens_most,
            valid_from=valid_from,
            created_by=by if isinstance(by, User) else None,
        )
    )
    audit.record(
        action="savings.set_baseline",
        actor=by,
        object=made,
        summary=f"The tasks of {workflow.name} are compared with {model.title}" + (", assumed" if assumed else ""),
        before=_facts(held) if held else None,
        after=_facts(made),
        reason=reason,
    )
    return made


def baseline_of(workflow: Workflow, at: datetime) -> Baseline | None:
    """Return the baseline of a workflow at a moment, with its model."""
    holds = Q(valid_until=None) | Q(valid_until__gt=at)
    found = Baseline.objects.filter(holds, workflow=workflow, valid_from__lte=at).exclude(valid_until=F("valid_from"))
    return found.select_related("model").first()


def _price_of(model: Model, at: datetime) -> Price | None:
    """The price of a model at a moment, of input and of output, where it is served first; as COMPARED finds it."""
    places = Endpoint.objects.filter(version__model=model, version__is_current=True).select_related("provider")
    first = places.order_by("-active", "position", "id")[:1]
    found = next(iter(prices.current(first, at).values()), None)
    return None if found is None or found.input is None or found.output is None else found


def _asked(
    query: str, workflows: Iterable[UUID] | None, first: date, last: date, zone: ZoneInfo
) -> list[tuple[Any, ...]]:
    asked: dict[str, Any] = {"first": first, "last": last, "zone": zone.key}
    asked["workflows"] = None if workflows is None else list(workflows)
    with connection.cursor() as cursor:
        cursor.execute(query, asked)
        return list(cursor.fetchall())


def _sum(parts: list[Saving]) -> Saving:
    return Saving(
        currency=parts[0].currency,
        tasks=sum(each.tasks for each in parts),
        spent=sum((each.spent for each in parts), Decimal(0)),
        would=sum((each.would for each in parts), Decimal(0)),
        would_least=sum((each.would_least for each in parts), Decimal(0)),
        would_most=sum((each.would_most for each in parts), Decimal(0)),
        unpriced=sum(each.unpriced for each in parts),
        baselines=tuple(base for each in parts for base in each.baselines),
        recorded=sum(each.recorded for each in parts),
        evaluated=sum((each.evaluated for each in parts), Decimal(0)),
    )


def _facts(baseline: Baseline) -> dict[str, object]:
    return {
        "model": baseline.model.name,
        "assumed": baseline.assumed,
        "tokens_least": baseline.tokens_least,
        "tokens_most": baseline.tokens_most,
        "valid_from": baseline.valid_from,
        "valid_until": baseline.valid_until,
    }
