"""Reviews: the cases machines should not decide, and their sealed contents."""

from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Count, Exists, ExpressionWrapper, F, OuterRef, Q
from django.utils import timezone

from governance.models import guards
from governance.models.accounts import SHA256, ApiKey, Grant, User, in_scope
from governance.models.gateways import Gateway
from governance.models.registry import Environment
from governance.models.workflows import Workflow
from governance.permissions import Role


class ReviewQuerySet(models.QuerySet["Review"]):
    """Reviews by state and by reader."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of workflows in whose teams the user may read reviews."""
        return in_scope(self, user, "reviews.view", "workflow__team")

    def told_to(self, gateway: Gateway) -> Self:
        """Those of its environment; to what stands for an API key its own, and its workflow's of keys revoked since."""
        here = self.filter(environment=gateway.environment_id)
        if gateway.key is None:
            return here
        of_workflow = Q(workflow=gateway.key.workflow_id)
        return here.filter(Q(key=gateway.key) | (of_workflow & Q(key__revoked_at__isnull=False)))

    def waiting(self) -> Self:
        """Those that have not ended, the most urgent first."""
        return self.filter(status__in=Review.WAITING).order_by("respond_by", "id")

    def ended_today_by(self, user: User | AnonymousUser) -> Self:
        """Those that the user decided since midnight of his own time zone, the newest first."""
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        return self.filter(ended_by_id=user.pk, ended_at__gte=midnight).order_by("-ended_at", "id")

    def in_reach_of(self, user: User | AnonymousUser) -> Self:
        """Those of a role that the user holds in the team and environment of the case, whoever has it now."""
        held = Grant.objects.allowing(user, "reviews.take").filter(
            Q(team=None) | Q(team=OuterRef("workflow__team")),
            Q(environment=None) | Q(environment=OuterRef("environment")),
            role=OuterRef("role"),
        )
        return self.filter(Exists(held))

    def unheld(self, at: datetime) -> Self:
        """Those that wait and that nobody has: never taken, put back, or not renewed in time."""
        free = Q(status=Review.Status.OPEN) | Q(status=Review.Status.CLAIMED, claimed_until__lte=at)
        return self.filter(free, expires_at__gt=at)

    def takable_by(self, user: User | AnonymousUser, at: datetime | None = None) -> Self:
        """The user's queue at a moment, now unless said: what he may take, and what he has, the most urgent first.

        Urgent is what must be answered soonest, so nothing waits for ever behind what came later.
        """
        moment = at or timezone.now()
        mine = Q(status=Review.Status.CLAIMED, claimed_by=user.pk, expires_at__gt=moment)
        return (self.unheld(moment) | self.filter(mine)).in_reach_of(user).order_by("respond_by", "id")

    def due(self, at: datetime) -> Self:
        """Those that wait although their time is over, the longest overdue first."""
        return self.filter(status__in=Review.WAITING, expires_at__lte=at).order_by("expires_at", "id")

    def kept_too_long(self, at: datetime) -> Self:
        """Ended ones whose texts their workflow keeps no longer, the longest ended first.

        Days count from the end. An answer that its application has not fetched is kept for a day at least.
        """
        days = ExpressionWrapper(F("workflow__retention_days") * timedelta(days=1), output_field=models.DurationField())
        over = self.filter(status__in=Review.ENDED, body__erased_at=None, ended_at__lte=at - days)
        fetched = Q(delivered_at__isnull=False) | Q(status=Review.Status.CANCELLED)
        return over.filter(fetched | Q(ended_at__lte=at - timedelta(days=1))).order_by("ended_at", "id")

    def how_many_wait(self, at: datetime) -> tuple[int, int]:
        """How many have not ended, and of how many of them an answer was wanted by then."""
        late = Count("pk", filter=Q(respond_by__lte=at))
        found = self.filter(status__in=Review.WAITING).aggregate(waiting=Count("pk"), late=late)
        return found["waiting"], found["late"]

    def like(self, review: "Review") -> Self:
        """Ended cases of the same step that were here for the same reason, the newest first."""
        return (
            self.filter(
                workflow=review.workflow_id, step=review.step, reason_code=review.reason_code, status__in=Review.ENDED
            )
            .exclude(pk=review.pk)
            .order_by("-ended_at", "id")
        )

    def for_list(self) -> Self:
        """With all that a list of reviews shows, in one query."""
        return self.select_related("workflow__team", "environment", "claimed_by", "ended_by")


class Review(models.Model):
    """A case a person decides. Its id is the gateway's: the same key and request always name the same review."""

    class Status(models.TextChoices):
        """Where it stands."""

        OPEN = "open", "Open"
        CLAIMED = "claimed", "Claimed"
        ANSWERED = "answered", "Answered"
        EXPIRED = "expired", "Expired"
        CANCELLED = "cancelled", "Cancelled"

    class Outcome(models.TextChoices):
        """What the application is told."""

        ANSWER = "answer", "Answered"
        REFUSE = "refuse", "Refused"

    WAITING = (Status.OPEN, Status.CLAIMED)
    ENDED = (Status.ANSWERED, Status.EXPIRED, Status.CANCELLED)

    id = models.UUIDField(primary_key=True, editable=False)
    decision = models.UUIDField("the engine’s decision that asked for it")
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="reviews")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="reviews")
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="reviews")
    step = models.CharField(max_length=200)
    run = models.CharField(max_length=200, null=True, blank=True)
    request_digest = models.CharField("sha256 of the request", max_length=64)
    reason_code = models.CharField(max_length=200)
    reason_text = models.TextField()
    title = models.CharField(max_length=200)
    role = models.CharField("who may take it", max_length=20, choices=Role.choices)
    respond_by = models.DateTimeField("answer wanted by")
    expires_at = models.DateTimeField("ends by itself at")
    on_expiry = models.JSONField("what the application is told then")
    answer = models.JSONField("what an answer looks like: type, options, schema")
    opened_at = models.DateTimeField("opened at the gateway")
    created_at = models.DateTimeField("arrived here", default=timezone.now, editable=False)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.OPEN)
    claimed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="claimed_reviews"
    )
    claim_token = models.UUIDField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    delivered_at = models.DateTimeField("fetched by the application", null=True, blank=True)

    objects = ReviewQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["respond_by", "id"], condition=Q(status__in=["open", "claimed"]), name="review_waiting"
            ),
            models.Index(fields=["expires_at"], condition=Q(status__in=["open", "claimed"]), name="review_expiring"),
            models.Index(fields=["workflow", "-opened_at"], name="review_by_workflow"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["open", "claimed", "answered", "expired", "cancelled"]),
                name="review_status_known",
                violation_error_message="A review is open, claimed, answered, expired or cancelled.",
            ),
            models.CheckConstraint(
                condition=Q(outcome=None) | Q(outcome__in=["answer", "refuse"]),
                name="review_outcome_known",
                violation_error_message="An outcome is answer or refuse.",
            ),
            models.CheckConstraint(
                condition=Q(role__in=Role.values),
                name="review_role_known",
                violation_error_message="Choose one of the roles.",
            ),
            models.CheckConstraint(
                condition=Q(request_digest__regex=SHA256),
                name="review_request_digest_form",
                violation_error_message="A digest is 64 hexadecimal digits.",
            ),
            models.CheckConstraint(
                condition=Q(respond_by__lte=F("expires_at")),
                name="review_expires_after_respond_by",
                violation_error_message="A review expires no sooner than its answer is wanted.",
            ),
            models.CheckConstraint(
                condition=Q(
                    status="claimed",
                    claimed_by__isnull=False,
                    claim_token__isnull=False,
                    claimed_until__isnull=False,
                )
                | (~Q(status="claimed") & Q(claim_token=None, claimed_until=None)),
                name="review_claim_whole",
                violation_error_message="A claim has a person, a token and an end; without it there is none of them.",
            ),
            models.CheckConstraint(
                condition=(
                    Q(status__in=["open", "claimed"], ended_at=None, ended_by=None, outcome=None, delivered_at=None)
                    | Q(status="answered", ended_at__isnull=False, ended_by__isnull=False, outcome__isnull=False)
                    | Q(status="expired", ended_at__isnull=False, ended_by=None, outcome__isnull=False)
                    | Q(status="cancelled", ended_at__isnull=False, outcome=None)
                ),
                name="review_end_whole",
                violation_error_message="An answer has a person, a time and an outcome, an expiry the last two.",
            ),
        ]
        triggers = [
            *guards.kept(
                fixed=[
                    *("id", "decision", "workflow_id", "environment_id", "key_id", "step", "run", "request_digest"),
                    *("role", "respond_by", "expires_at", "on_expiry", "answer", "opened_at", "created_at"),
                ]
            ),
            guards.Guard(
                name="ends_once",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func="""
                    IF OLD.status IN ('answered', 'expired', 'cancelled')
                        AND (NEW.status, NEW.outcome, NEW.ended_at, NEW.ended_by_id, NEW.claimed_by_id)
                            IS DISTINCT FROM
                            (OLD.status, OLD.outcome, OLD.ended_at, OLD.ended_by_id, OLD.claimed_by_id)
                    THEN
                        RAISE EXCEPTION 'review % has ended', OLD.id
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.audited("status", "outcome", "claimed_by_id"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def team_id(self) -> UUID:
        """The team of its workflow."""
        return self.workflow.team_id


class ReviewBody(models.Model):
    """What a reviewer sees and says, sealed to the review key; kept apart so that it can be erased."""

    review = models.OneToOneField(Review, on_delete=models.PROTECT, primary_key=True, related_name="body")
    sealed = models.BinaryField(null=True)
    answer = models.BinaryField(null=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["review"], condition=Q(erased_at=None), name="reviewbody_kept")]
        constraints = [
            models.CheckConstraint(
                condition=Q(erased_at=None, sealed__isnull=False)
                | Q(erased_at__isnull=False, sealed=None, answer=None),
                name="reviewbody_there_or_erased",
                violation_error_message="A body is there, or it is erased whole and says when.",
            )
        ]
        triggers = guards.kept(fixed=["review_id"])

    def __str__(self) -> str:
        return f"Contents of {self.review_id}"
