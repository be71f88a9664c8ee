"""Evaluations: what each model of a ladder answered to labelled samples, what came of it, and when it happens again."""

from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Case, Count, F, FloatField, IntegerField, OuterRef, Prefetch, Q, Subquery, Value, When
from django.db.models.functions import Cast, Coalesce, NullIf

from governance.models import Environment, PolicyVersion, Step, User, guards
from governance.models.accounts import in_scope
from governance.models.ids import Identified
from routing import schedules
from routing.models.feeds import Snapshot
from routing.models.samples import Sample, SampleSet

ACTIVE = Q(state__in=["queued", "running"])


class EvaluationScheduleQuerySet(models.QuerySet["EvaluationSchedule"]):
    """Schedules by reader and by time."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of the teams whose evaluations the user may see."""
        return in_scope(self, user, "evaluations.view", "step__workflow__team")

    def in_force(self) -> Self:
        """Those that were not ended."""
        return self.filter(ended_at=None)

    def due(self, now: datetime) -> Self:
        """Those whose time has come, the longest overdue first."""
        return self.in_force().filter(next_due_at__lte=now).order_by("next_due_at", "id")

    def for_list(self) -> Self:
        """With all that a list of schedules shows."""
        return self.select_related("step__workflow", "environment", "sample_set", "created_by")


class EvaluationSchedule(Identified):
    """When a step is evaluated by itself. At its time the newest version of the set is taken.

    `cron` has five fields in the organisation's reporting zone. `trouble` says why the last turn did not begin.
    """

    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="evaluation_schedules")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    sample_set = models.ForeignKey(SampleSet, on_delete=models.PROTECT, related_name="schedules")
    cron = models.CharField(max_length=120)
    next_due_at = models.DateTimeField()
    last_due_at = models.DateTimeField("when it was last its turn", null=True, blank=True)
    trouble = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    objects = EvaluationScheduleQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["next_due_at"], condition=Q(ended_at=None), name="evaluationschedule_due")]
        constraints = [
            models.UniqueConstraint(
                fields=["step", "environment"],
                condition=Q(ended_at=None),
                name="evaluationschedule_one_per_place",
                violation_error_message="This step has a schedule in this environment already.",
            ),
            models.CheckConstraint(
                condition=Q(last_due_at=None) | Q(next_due_at__gt=F("last_due_at")),
                name="evaluationschedule_goes_on",
                violation_error_message="The next turn comes after the last one.",
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "created_at", "step_id", "environment_id", "created_by_id"]),
            guards.audited("cron", "sample_set_id", "ended_at"),
        ]

    def __str__(self) -> str:
        return f"{self.step} in {self.environment}, {self.cron}"

    @property
    def team_id(self) -> UUID:
        """The team of its workflow."""
        return self.step.workflow.team_id

    @property
    def words(self) -> str:
        """When it is due, in words."""
        return schedules.words(self.cron)


class EvaluationQuerySet(models.QuerySet["Evaluation"]):
    """Evaluations by reader, state and place."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of the teams whose evaluations the user may see."""
        return in_scope(self, user, "evaluations.view", "step__workflow__team")

    def active(self) -> Self:
        """Those that have not ended."""
        return self.filter(ACTIVE)

    def with_progress(self) -> Self:
        """With `asked`, how many answers are there; counted only while an evaluation goes on."""
        counted = EvaluationResult.objects.filter(evaluation=OuterRef("pk")).order_by().values("evaluation")
        so_far = Coalesce(Subquery(counted.annotate(n=Count("pk")).values("n")), Value(0))
        # PostgreSQL counts only in the branch that it takes.
        return self.annotate(
            asked=Case(When(ACTIVE, then=so_far), default=F("asks"), output_field=IntegerField()),
        )

    def with_policy_score(self) -> Self:
        """With `policy_right` and `policy_cost`: the policy's accuracy and its cost of a sample, to sort by."""
        score = EvaluationScore.objects.filter(evaluation=OuterRef("pk"), model=None)
        judged, priced = NullIf(F("n") - F("person"), 0), NullIf(F("n") - F("unpriced"), 0)
        right = score.annotate(share=Cast("correct", FloatField()) / judged).values("share")
        cost = score.annotate(each=F("cost") / priced).values("each")
        return self.annotate(policy_right=Subquery(right), policy_cost=Subquery(cost))

    def for_list(self) -> Self:
        """With all that a list shows, in two queries whatever the length."""
        scores = Prefetch("scores", EvaluationScore.objects.order_by("id"))
        related = ("step__workflow", "environment", "sample_set", "policy_version", "started_by", "ended_by")
        return self.select_related(*related).prefetch_related(scores)


class Evaluation(Identified):
    """Every sample of a set asked of every model of a step's ladder, each by itself.

    What the policy as a whole would have answered follows from the answers: `snapshot` is what it would have decided
    under, `policy_version` the one that was live. `ladder` are the models that are asked, lowest rung first;
    `left_out` names rungs that may not be, with the reason. `asks` is samples times models. `trouble` says what holds
    it up, or why it failed.
    """

    class State(models.TextChoices):
        """How it stands."""

        QUEUED = "queued", "Waits for its turn"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"

    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="evaluations")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    sample_set = models.ForeignKey(SampleSet, on_delete=models.PROTECT, related_name="evaluations")
    policy_version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="+")
    ladder = ArrayField(models.CharField(max_length=200))
    left_out = models.JSONField(default=dict, blank=True)
    asks = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    started_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    schedule = models.ForeignKey(
        EvaluationSchedule, on_delete=models.PROTECT, null=True, blank=True, related_name="evaluations"
    )
    started_at = models.DateTimeField("first sample taken", null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    trouble = models.TextField(blank=True, default="")
    troubled_since = models.DateTimeField(null=True, blank=True)

    objects = EvaluationQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["step", "environment", "-ended_at"], name="evaluation_newest"),
            models.Index(fields=["-created_at", "-id"], name="evaluation_listed"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["step", "environment"],
                condition=ACTIVE,
                name="evaluation_one_at_a_time",
                violation_error_message="This step is being evaluated in this environment already.",
            ),
            models.CheckConstraint(
                condition=Q(started_by=None, schedule__isnull=False) | Q(started_by__isnull=False, schedule=None),
                name="evaluation_by_someone_or_schedule",
                violation_error_message="An evaluation is started by a person or by a schedule.",
            ),
            models.CheckConstraint(
                condition=Q(state="queued", started_at=None, ended_at=None)
                | Q(state="running", started_at__isnull=False, ended_at=None)
                | Q(state="done", started_at__isnull=False, ended_at__isnull=False)
                | Q(state__in=["cancelled", "failed"], ended_at__isnull=False),
                name="evaluation_state_whole",
                violation_error_message="A state stands with its times.",
            ),
            models.CheckConstraint(
                condition=Q(ended_by=None) | Q(state="cancelled"),
                name="evaluation_ended_by_cancelling",
                violation_error_message="A person ends an evaluation only by cancelling it.",
            ),
            models.CheckConstraint(
                condition=Q(ladder__len__gt=0, asks__gt=0),
                name="evaluation_asks_something",
                violation_error_message="An evaluation asks at least one model one sample.",
            ),
            models.CheckConstraint(
                condition=Q(troubled_since=None) | ~Q(trouble=""),
                name="evaluation_trouble_told",
                violation_error_message="Trouble has a reason.",
            ),
        ]
        triggers = [
            *guards.kept(
                fixed=[
                    *("id", "created_at", "step_id", "environment_id", "sample_set_id", "policy_version_id"),
                    *("snapshot_id", "ladder", "left_out", "asks", "started_by_id", "schedule_id"),
                ]
            ),
            guards.Guard(
                name="ends_once",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func=f"""
                    IF OLD.ended_at IS NOT NULL THEN
                        RAISE EXCEPTION 'evaluation % has ended', OLD.id{guards.REFUSED}
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.audited("ended_at"),
        ]

    def __str__(self) -> str:
        return f"{self.step} in {self.environment} on {self.sample_set}"

    @property
    def team_id(self) -> UUID:
        """The team of its workflow."""
        return self.step.workflow.team_id

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.state in (self.State.QUEUED, self.State.RUNNING)


class EvaluationChunk(models.Model):
    """Some samples in a row of an evaluation: what one task works on at a time.

    `token` proves who has it until `leased_until`; without a token that is until when it rests. `tries` counts how
    often it was taken without an answer coming of it.
    """

    evaluation = models.ForeignKey(Evaluation, on_delete=models.PROTECT, related_name="chunks", db_index=False)
    number = models.PositiveIntegerField()
    first = models.PositiveIntegerField("position of its first sample")
    last = models.PositiveIntegerField("position of its last sample")
    token = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    done_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["evaluation", "number"], condition=Q(done_at=None), name="evaluationchunk_open")
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["evaluation", "number"],
                name="evaluationchunk_number_once",
                violation_error_message="This evaluation has a chunk of that number already.",
            ),
            models.CheckConstraint(
                condition=Q(first__gt=0, last__gte=F("first")),
                name="evaluationchunk_samples_in_order",
                violation_error_message="A chunk has at least one sample.",
            ),
            models.CheckConstraint(
                condition=Q(token=None) | Q(leased_until__isnull=False, done_at=None),
                name="evaluationchunk_lease_whole",
                violation_error_message="Who has a chunk has it until a moment, and while it is not done.",
            ),
        ]

    def __str__(self) -> str:
        return f"Chunk {self.number} of {self.evaluation_id}"


class EvaluationResult(models.Model):
    """What one model answered to one sample, written once. `label` is that of the set or the policy that it said.

    `confidence` is what a gate would have seen, 0 to 1; `latency_ms` what the caller waited; `cost` is null where a
    price or a count is not known. `decision` is the gateway's record of it. `error` is the gateway's code.
    """

    class Outcome(models.TextChoices):
        """What came of asking."""

        OK = "ok", "Answered"
        ERROR = "error", "Error"
        TIMEOUT = "timeout", "Timeout"

    evaluation = models.ForeignKey(Evaluation, on_delete=models.PROTECT, related_name="results", db_index=False)
    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, related_name="results", db_index=False)
    model = models.CharField(max_length=200)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    error = models.CharField(max_length=80, blank=True, default="")
    label = models.CharField(max_length=200, null=True)
    correct = models.BooleanField()
    confidence = models.FloatField(null=True)
    stop_reason = models.CharField(max_length=200, null=True)
    latency_ms = models.PositiveIntegerField()
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cost = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    currency = models.CharField(max_length=3, null=True)
    decision = models.UUIDField(null=True)
    asked_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["evaluation", "sample", "model"],
                name="evaluationresult_once",
                violation_error_message="This model was asked this sample already.",
            ),
            models.CheckConstraint(
                condition=Q(outcome="ok", error="") | Q(outcome__in=["error", "timeout"], label=None, correct=False),
                name="evaluationresult_outcome_whole",
                violation_error_message="An answer has no error, and without an answer nothing is right.",
            ),
            models.CheckConstraint(
                condition=Q(correct=False) | Q(label__isnull=False),
                name="evaluationresult_right_says_what",
                violation_error_message="A right answer is one of the labels.",
            ),
            models.CheckConstraint(
                condition=Q(confidence=None) | Q(confidence__range=(0, 1)),
                name="evaluationresult_confidence_range",
                violation_error_message="A confidence lies between 0 and 1.",
            ),
            models.CheckConstraint(
                condition=Q(cost=None, currency=None) | Q(cost__gte=0, currency__isnull=False),
                name="evaluationresult_cost_whole",
                violation_error_message="A cost is not negative and has a currency.",
            ),
        ]
        triggers = guards.append_only()

    def __str__(self) -> str:
        return f"{self.model} on {self.sample_id}"


class EvaluationScore(models.Model):
    """What an evaluation says of one model alone, or (no `model`) of the policy as a whole; written when it ends.

    Errors and timeouts stand in `n` and count as wrong; of the policy, `errors` are requests that no model answered,
    and `person` those that it sends to a person, which are neither right nor wrong. `kept` is how many samples the
    policy answers with this model. `low` and `high` bound the accuracy (Wilson, 95 %). `cost` is that of the samples
    whose cost is known, all but `unpriced`. Where the policy answers, `gained` samples are right by it and wrong by
    this model, `lost` the other way round; `p_value` is the exact McNemar test of the two.
    """

    evaluation = models.ForeignKey(Evaluation, on_delete=models.PROTECT, related_name="scores", db_index=False)
    model = models.CharField(max_length=200, null=True)
    n = models.PositiveIntegerField()
    correct = models.PositiveIntegerField()
    errors = models.PositiveIntegerField()
    timeouts = models.PositiveIntegerField()
    person = models.PositiveIntegerField()
    kept = models.PositiveIntegerField()
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    latency_p50_ms = models.PositiveIntegerField()
    latency_p95_ms = models.PositiveIntegerField()
    cost = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    currency = models.CharField(max_length=3, null=True)
    unpriced = models.PositiveIntegerField()
    gained = models.PositiveIntegerField()
    lost = models.PositiveIntegerField()
    p_value = models.FloatField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["evaluation", "model"],
                name="evaluationscore_once",
                nulls_distinct=False,
                violation_error_message="This evaluation has that score already.",
            ),
            models.CheckConstraint(
                condition=Q(n__gt=0, n__gte=F("correct") + F("errors") + F("timeouts") + F("person"))
                & Q(kept__lte=F("n"), unpriced__lte=F("n")),
                name="evaluationscore_counts_make_sense",
                violation_error_message="Right, failed and escalated samples are parts of all.",
            ),
            models.CheckConstraint(
                condition=Q(low=None, high=None) | Q(low__gte=0, low__lte=F("high"), high__lte=1),
                name="evaluationscore_interval_whole",
                violation_error_message="An interval has two bounds between 0 and 1.",
            ),
            models.CheckConstraint(
                condition=Q(cost=None, currency=None) | Q(cost__gte=0, currency__isnull=False, unpriced__lt=F("n")),
                name="evaluationscore_cost_whole",
                violation_error_message="A cost is not negative, has a currency and is that of some sample.",
            ),
        ]
        triggers = guards.append_only()

    def __str__(self) -> str:
        return f"{self.model or 'The policy'}, {self.correct} of {self.judged}"

    @property
    def judged(self) -> int:
        """How many samples are right or wrong: all but those that go to a person."""
        return self.n - self.person

    @property
    def accuracy(self) -> float | None:
        """The share of right ones among those that are judged; None of none."""
        return self.correct / self.judged if self.judged else None

    @property
    def cost_per_task(self) -> Decimal | None:
        """What one sample of known cost takes on average, people's time not counted; None where none is known."""
        return None if self.cost is None else self.cost / (self.n - self.unpriced)

    @property
    def kept_share(self) -> float:
        """The share of samples that the policy answers with this model; of the policy, with any."""
        return self.kept / self.n

    @property
    def person_share(self) -> float:
        """The share of samples that the policy sends to a person."""
        return self.person / self.n
