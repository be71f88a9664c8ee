"""Usage events, one per attempt at a model, written once; and the queue of those that are not priced yet."""

from datetime import date, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from django.db import models
from django.db.models import Count, Exists, F, Min, OuterRef, Q
from django.utils import timezone

from governance.models import ApiKey, Endpoint, Environment, Gateway, Workflow, guards

MOST_TOKENS = 1_000_000_000
# Outside of these a gateway's clock is wrong, not its delivery late: it may have been cut off for a year.
AHEAD = timedelta(minutes=5)
BEHIND = timedelta(days=400)


class Clock(models.TextChoices):
    """How the time that was reported stood to the time of its arrival."""

    OK = "ok", "Right"
    AHEAD = "ahead", "Ahead"
    BEHIND = "behind", "Behind"


def booked(occurred_at: datetime, *, now: datetime) -> tuple[datetime, Clock]:
    """Return the time by which what was reported is dated, and how the gateway's clock stands.

    That is when it occurred, unless the clock cannot be right; then it is when it arrived: nothing is lost to a day
    that nobody looks at.
    """
    if occurred_at > now + AHEAD:
        return now, Clock.AHEAD
    if occurred_at < now - BEHIND:
        return now, Clock.BEHIND
    return occurred_at, Clock.OK


class UsageEventQuerySet(models.QuerySet["UsageEvent"]):
    """Attempts by day of money, and by what they went to."""

    def booked_between(self, first: date, last: date, *, zone: ZoneInfo) -> Self:
        """Those booked on these days of a zone, both included."""
        start = datetime.combine(first, datetime.min.time(), tzinfo=zone)
        # Midnight of the day after, in the zone: a day of a clock change has 23 or 25 hours.
        end = datetime.combine(date.fromordinal(last.toordinal() + 1), datetime.min.time(), tzinfo=zone)
        return self.filter(booked_at__gte=start, booked_at__lt=end)

    def folded(self) -> Self:
        """Those that the rollup counts already: no longer in the queue."""
        return self.exclude(Exists(UsageQueue.objects.filter(event_id=OuterRef("id"))))

    def newest_first(self) -> Self:
        """In the order of a list, with all that it shows."""
        return self.select_related("workflow", "key", "endpoint__version__model").order_by("-booked_at", "-id")


class UsageEvent(models.Model):
    """One attempt as a gateway reported it, whatever came of it.

    Partitioned by range of the id, a UUIDv7 that the gateway made. Token buckets are disjoint: `input_tokens` excludes
    both cache buckets; None is not known, which is not zero. `booked_at` dates the money: it is `occurred_at` unless
    the gateway's clock cannot have been right (`clock`), then `recorded_at`.
    """

    class Outcome(models.TextChoices):
        """What came of the attempt."""

        OK = "ok", "Answered"
        ERROR = "error", "Error"
        TIMEOUT = "timeout", "Timeout"
        ABORTED = "aborted", "Aborted"
        REFUSED = "refused", "Refused by the model"

    class Quality(models.TextChoices):
        """Where the token counts come from."""

        EXACT = "exact", "Exact"
        PARTIAL = "partial", "Partial"
        ESTIMATED = "estimated", "Estimated"
        MISSING = "missing", "Missing"

    id = models.UUIDField(primary_key=True, editable=False)
    decision_id = models.UUIDField()
    attempt = models.SmallIntegerField()
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)
    booked_at = models.DateTimeField()
    clock = models.TextField(choices=Clock.choices)
    gateway = models.ForeignKey(
        Gateway, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    workflow = models.ForeignKey(
        Workflow, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    environment = models.ForeignKey(
        Environment, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    key = models.ForeignKey(ApiKey, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    step = models.TextField()
    run = models.TextField(null=True)
    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    model = models.TextField()
    tier = models.TextField()
    model_requested = models.TextField()
    model_served = models.TextField(null=True)
    outcome = models.TextField(choices=Outcome.choices)
    kept = models.BooleanField()
    http_status = models.SmallIntegerField(null=True)
    error = models.TextField(null=True)
    input_tokens = models.IntegerField(null=True)
    cache_read_tokens = models.IntegerField()
    cache_write_tokens = models.IntegerField()
    output_tokens = models.IntegerField(null=True)
    usage_quality = models.TextField(choices=Quality.choices)
    latency_ms = models.IntegerField()
    first_byte_ms = models.IntegerField(null=True)
    provider_request_id = models.TextField(null=True)
    tags = models.JSONField()

    objects = UsageEventQuerySet.as_manager()

    class Meta:
        constraints = [
            # Bounds that keep every amount inside numeric(20,10), so that one absurd row cannot stop the fold.
            models.CheckConstraint(
                name="usageevent_tokens_bounded",
                condition=Q(input_tokens__range=(0, MOST_TOKENS))
                & Q(cache_read_tokens__range=(0, MOST_TOKENS))
                & Q(cache_write_tokens__range=(0, MOST_TOKENS))
                & Q(output_tokens__range=(0, MOST_TOKENS)),
                violation_error_message="An attempt has between none and 1,000,000,000 tokens of a kind.",
            ),
            models.CheckConstraint(
                name="usageevent_outcome_known",
                condition=Q(outcome__in=["ok", "error", "timeout", "aborted", "refused"]),
                violation_error_message="Choose ok, error, timeout, aborted or refused.",
            ),
            models.CheckConstraint(
                name="usageevent_clock_marked",
                condition=Q(clock="ok", booked_at=F("occurred_at"))
                | Q(clock__in=["ahead", "behind"], booked_at=F("recorded_at")),
                violation_error_message="A time that cannot be right is marked, and the money dated by its arrival.",
            ),
        ]
        indexes = [
            models.Index(fields=["decision_id"], name="usageevent_decision"),
            models.Index(fields=["workflow", "booked_at"], name="usageevent_workflow_booked"),
            # The newest of all, where a reader sees so many that finding and sorting them takes longer than all else.
            models.Index(fields=["-booked_at", "-id"], name="usageevent_newest"),
        ]
        triggers = guards.append_only()

    def __str__(self) -> str:
        return f"Attempt {self.attempt} of {self.decision_id}"


class UsageQueueQuerySet(models.QuerySet["UsageQueue"]):
    """What the fold has still to do."""

    def backlog(self, most: int) -> tuple[int, datetime | None]:
        """How many events wait and when the oldest of them arrived, of the `most` that are folded next."""
        found = self.order_by("event_id")[:most].aggregate(count=Count("event_id"), oldest=Min("recorded_at"))
        return found["count"], found["oldest"]


class UsageQueue(models.Model):
    """An event that was stored and is not yet priced and counted. The fold drains these rows."""

    event_id = models.UUIDField(primary_key=True, editable=False)
    recorded_at = models.DateTimeField(default=timezone.now)

    objects = UsageQueueQuerySet.as_manager()

    def __str__(self) -> str:
        return str(self.event_id)
