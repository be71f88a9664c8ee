"""Conditions of admissions, held against what was measured: what breaks one suspends the model there by itself.

The figures are those of pages that people open: the newest evaluation of a step, the ledger's day sums of 30 days, the
answers of the last hour. What was not measured breaks nothing: an admission says until when it holds at the latest.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

from django.db.models import Sum
from django.urls import reverse

from governance import suspensions
from governance.admissions import Admission, read
from governance.models import ContentHead, Model, Suspension
from ledger.models import Rollup, UsageEvent
from ledger.partitions import lowest_id
from routing.models import Evaluation, EvaluationScore

DAYS = 30
# So few tokens say nothing of what a million costs.
LEAST_TOKENS = 1_000
# Looked at each minute, so that a worker may be away for most of it.
HEARD = timedelta(hours=1)
Condition = Suspension.Condition


@dataclass(frozen=True)
class Broken:
    """A condition that does not hold: what was agreed, what was found, and the page that shows it."""

    condition: str
    limit: str
    figure: str
    evidence: str


def hold(*, now: datetime, today: date) -> int:
    """Suspend each admission that is in force and of which a condition broke; return how many.

    Each in a transaction of its own; killed in between, the next turn does the rest.
    """
    done = suspensions.end_due(today=today)
    for head in list(suspensions.in_force()):
        found = next(_broken(head, now, today), None)
        if found is not None:
            told = {"limit": found.limit, "figure": found.figure, "evidence": found.evidence}
            done += suspensions.suspend(head=head, condition=found.condition, **told) is not None
    return done


def _broken(head: ContentHead, now: datetime, today: date) -> Iterator[Broken]:
    """What of an admission broke, the gravest first."""
    if head.content is None:
        return
    agreed = read(head.content.document)
    for look in LOOKS:
        found = look(head, agreed, now, today)
        if found is not None:
            yield found


def _licence(head: ContentHead, agreed: Admission, _now: datetime, _today: date) -> Broken | None:
    model = _model(head)
    if model.licence == agreed.licence:
        return None
    return Broken(Condition.LICENCE, agreed.licence, model.licence, reverse("model", args=[model.name]))


def _served_as(head: ContentHead, agreed: Admission, now: datetime, _today: date) -> Broken | None:
    """What the answers of the last hour said that answered, where only some names may."""
    names = agreed.conditions.served_as
    if not names or head.content is None:
        return None
    since = lowest_id(max(head.content.created_at, now - HEARD))
    others = UsageEvent.objects.filter(
        id__gte=since, endpoint__in=[each.endpoint for each in agreed.endpoints], model_served__isnull=False
    ).exclude(model_served__in=names)
    event = others.order_by("-id").first()
    if event is None:
        return None
    page = reverse("request", args=[event.decision_id])
    return Broken(Condition.SERVED_AS, " or ".join(names), f"{event.model_served} answered", page)


def _score(head: ContentHead, agreed: Admission, _now: datetime, _today: date) -> Broken | None:
    """What the newest evaluation of the step found of the model alone."""
    asked = agreed.conditions.score
    if asked is None:
        return None
    newest = Evaluation.objects.filter(
        state=Evaluation.State.DONE,
        step__workflow__slug=asked.workflow,
        step__name=asked.step,
        environment=head.environment,
    ).order_by("-ended_at", "-id")
    score = EvaluationScore.objects.filter(evaluation=newest[:1].values("pk"), model=_model(head).name).first()
    if score is None or score.n == 0 or score.correct / score.n >= asked.at_least:
        return None
    page = reverse("evaluation", args=[score.evaluation_id])
    figure = f"{score.correct} of {score.n:,} right ({score.correct / score.n:.1%})"
    return Broken(Condition.SCORE, f"{asked.at_least:.1%} of {asked.step} right", figure, page)


def _cost(head: ContentHead, agreed: Admission, _now: datetime, today: date) -> Broken | None:
    """What a million tokens cost there in 30 days, of the attempts that are priced in USD."""
    asked = agreed.conditions.cost
    if asked is None:
        return None
    first = today - timedelta(days=DAYS - 1)
    sums = Rollup.objects.between(first, today).filter(
        endpoint__in=[each.endpoint for each in agreed.endpoints], currency="USD"
    )
    found = sums.aggregate(
        paid=Sum("amount"), read=Sum("input_tokens"), cached=Sum("cache_read_tokens"), written=Sum("output_tokens")
    )
    tokens = sum(found[name] or 0 for name in ("read", "cached", "written"))
    if tokens < LEAST_TOKENS or found["paid"] is None:
        return None
    rate = Decimal(found["paid"]) / tokens * 1_000_000
    if rate <= Decimal(asked):
        return None
    place = {"model": _model(head).name, "environment": head.environment.name if head.environment else ""}
    days = {"by": "model", "since": first.isoformat(), "until": today.isoformat()}
    page = f"{reverse('spend')}?{urlencode(place | days)}"
    figure = f"USD {rate:.4f} for a million tokens, of {tokens:,} in {DAYS} days"
    return Broken(Condition.COST, f"USD {Decimal(asked):f} for a million tokens", figure, page)


def _model(head: ContentHead) -> Model:
    if head.model_version is None:
        raise LookupError("an admission is that of a model’s version")
    return head.model_version.model


Look = Callable[[ContentHead, Admission, datetime, date], Broken | None]
LOOKS: tuple[Look, ...] = (_licence, _served_as, _score, _cost)
