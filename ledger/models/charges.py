"""What each attempt cost, written once when it is folded, and the day sums that pages read."""

from datetime import date
from functools import reduce
from operator import add
from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from governance.models import ApiKey, Endpoint, Workflow, guards
from ledger.models.prices import BUCKETS, Price
from ledger.models.usage import UsageEvent


class Charge(models.Model):
    """The cost of the attempt with the same id, by the price that held when it was made. Partitioned alike.

    Each bucket's amount is rounded to ten decimals and `amount` is their sum. Unpriced: no amount at all, and
    `unpriced` says what was missing.
    """

    class State(models.TextChoices):
        """Whether a cost is known."""

        PRICED = "priced", "Priced"
        UNPRICED = "unpriced", "Not priced"

    class Missing(models.TextChoices):
        """Why a cost is not known."""

        NO_PRICE = "no_price", "no price at that time"
        NO_RATE = "no_rate", "no rate for some of its tokens"
        NO_TOKENS = "no_tokens", "no token counts"

    id = models.UUIDField(primary_key=True, editable=False)
    recorded_at = models.DateTimeField(default=timezone.now)
    state = models.TextField(choices=State.choices)
    unpriced = models.TextField(null=True, choices=Missing.choices)
    price = models.ForeignKey(
        Price, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="+"
    )
    currency = models.TextField(null=True)
    input_amount = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    output_amount = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    cache_read_amount = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    cache_write_amount = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    amount = models.DecimalField(max_digits=20, decimal_places=10, null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="charge_priced_or_says_why",
                condition=Q(state="priced", unpriced=None, price__isnull=False, currency__isnull=False)
                & Q(**{f"{bucket}_amount__isnull": False for bucket in BUCKETS}, amount__isnull=False)
                & Q(amount=reduce(add, (F(f"{bucket}_amount") for bucket in BUCKETS)))
                | Q(state="unpriced", unpriced__isnull=False, currency=None, amount=None)
                & Q(**{f"{bucket}_amount": None for bucket in BUCKETS}),
                violation_error_message="A charge has a price and amounts that add up, or says what is missing.",
            ),
        ]
        triggers = guards.append_only()

    def __str__(self) -> str:
        return f"{self.currency} {self.amount}" if self.amount is not None else self.get_state_display()


class RollupQuerySet(models.QuerySet["Rollup"]):
    """Day sums by day."""

    def between(self, first: date, last: date) -> Self:
        """Those of these days, both included."""
        return self.filter(day__range=(first, last))


class Rollup(models.Model):
    """The sum of charged attempts of a day in the organisation's reporting zone, in one place and one currency.

    Unpriced attempts stand in rows without currency and amount. `late` counts attempts recorded more than an hour after
    their day had ended. Token sums count what is known.
    """

    day = models.DateField()
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="+", db_index=False)
    step = models.TextField()
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="+", db_index=False)
    outcome = models.TextField(choices=UsageEvent.Outcome.choices)
    currency = models.CharField(max_length=3, null=True)
    events = models.BigIntegerField()
    kept = models.BigIntegerField()
    unpriced = models.BigIntegerField()
    late = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    cache_read_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    kept_input_tokens = models.BigIntegerField("input of kept answers, cache included", default=0)
    kept_output_tokens = models.BigIntegerField("output of kept answers", default=0)
    amount = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    last_at = models.DateTimeField("time of the last attempt")

    objects = RollupQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="rollup_once",
                fields=["day", "workflow", "step", "endpoint", "key", "outcome", "currency"],
                nulls_distinct=False,
                violation_error_message="This sum exists already.",
            ),
            models.CheckConstraint(
                name="rollup_priced_or_counted",
                condition=Q(currency=None, amount=None, unpriced=F("events"))
                | Q(currency__isnull=False, amount__isnull=False, unpriced=0),
                violation_error_message="A sum has a currency and an amount, or counts as unpriced.",
            ),
            models.CheckConstraint(
                name="rollup_counts_make_sense",
                condition=Q(events__gt=0, kept__gte=0, kept__lte=F("events"), late__gte=0) & Q(late__lte=F("events")),
                violation_error_message="Kept and late attempts are part of all attempts.",
            ),
        ]
        indexes = [models.Index(fields=["workflow", "day"], name="rollup_workflow_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.workflow_id} {self.step}"
