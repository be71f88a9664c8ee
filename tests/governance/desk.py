"""A review desk: a gateway that opens cases as they come over the wire, and reviewers who take them."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import uuid_utils
from django.conf import settings
from django.forms.models import model_to_dict
from django.utils import timezone

from governance import accounts, gateways, review_records, reviews
from governance.models import ApiKey, AuditEvent, Gateway, Review, ReviewBody, Role, User
from smallfirst.records import Receipt, read_reviews, review_id
from smallfirst.seal import box_public_key, encode_base64url, read_key_file, seal_box
from tests.cast import BOOTSTRAP, Cast, make_cast, make_key, make_person

BODY = {"messages": [{"role": "user", "content": "Is this lamp any good?"}], "attempts": [], "context": [], "url": None}
_numbers = itertools.count(1)


def new_id() -> str:
    """A fresh UUIDv7."""
    return str(uuid_utils.uuid7())


def sealed(review: str, body: Mapping[str, Any] | None = None) -> str:
    """A body as a gateway seals it."""
    public = box_public_key(read_key_file(Path(settings.KEYS) / "review.key"))
    return encode_base64url(seal_box(public, json.dumps(body or BODY).encode(), UUID(review).bytes))


@dataclass(frozen=True)
class Desk:
    """The cast with a key, a gateway of production, a second reviewer of the team and one of another team."""

    cast: Cast
    key: ApiKey
    gateway: Gateway
    credential: str
    second: User
    elsewhere: User
    now: datetime = field(default_factory=timezone.now)

    @property
    def reviewer(self) -> User:
        """The reviewer of the workflow's team."""
        return self.cast.reviewer

    def record(self, **given: Any) -> dict[str, Any]:
        """A case as it comes over the wire: a label of two, to answer in 15 minutes, refused after an hour."""
        digest = given.pop("request_digest", f"{next(_numbers):064x}")
        key = given.get("key", str(self.key.pk))
        review = given.pop("id", review_id(key, bytes.fromhex(digest)))
        opened = given.pop("opened_at", self.now)
        facts: dict[str, Any] = {
            "id": review,
            "decision": new_id(),
            "workflow": str(self.cast.workflow.pk),
            "environment": str(self.cast.production.pk),
            "key": key,
            "step": "sentiment",
            "run": None,
            "request_digest": digest,
            "reason": {"code": "unsure", "text": "No model was sure enough."},
            "title": "Sentiment of a comment",
            "role": "reviewer",
            "opened_at": wire(opened),
            "respond_by": wire(opened + timedelta(minutes=15)),
            "expires_at": wire(opened + timedelta(hours=1)),
            "on_expiry": {"action": "refuse", "answer": None},
            "answer": {"type": "label", "options": ["positive", "negative"], "schema": None},
            "body": sealed(review),
        }
        return facts | given

    def send(self, *records: dict[str, Any], delivered: tuple[dict[str, Any], ...] = ()) -> Receipt:
        """What the gateway is told after sending these records."""
        opened, fetched = read_reviews(json.dumps({"reviews": records, "delivered": delivered}).encode())
        if delivered:
            return review_records.deliver_many(batch=fetched, gateway=self.gateway, now=self.now)
        return review_records.open_many(batch=opened, gateway=self.gateway, now=self.now)

    def open(self, **given: Any) -> Review:
        """An open case."""
        record = self.record(**given)
        receipt = self.send(record)
        assert receipt.refused == ()
        return found(record["id"])

    def claimed(self, by: User | None = None, **given: Any) -> Review:
        """A case that the reviewer has."""
        return reviews.claim(review=self.open(**given), by=by or self.reviewer, now=self.now)

    def answered(self, **given: Any) -> Review:
        """A case that the reviewer answered with `positive`."""
        held = self.claimed(**given)
        said = {"label": "positive"}
        return reviews.answer(review=held, token=held.claim_token, answer=said, by=self.reviewer, now=self.now)

    def expired(self, **given: Any) -> Review:
        """A case that nobody decided in time."""
        review = self.open(**given)
        assert reviews.expire_due(now=review.expires_at) == 1
        return found(review.pk)


def make_desk() -> Desk:
    """A desk on which nothing lies yet."""
    cast = make_cast()
    key, _token = make_key(cast)
    gateway, credential = gateways.register(name="Near the shop", environment=cast.production, by=BOOTSTRAP)
    return Desk(
        cast=cast,
        key=key,
        gateway=gateway,
        credential=credential,
        second=make_person("Second reviewer", Role.REVIEWER, cast.team),
        elsewhere=make_person("Reviewer elsewhere", Role.REVIEWER, cast.elsewhere),
    )


def found(key: UUID | str) -> Review:
    """A case as it stands in the database."""
    return Review.objects.for_list().select_related("body").get(pk=key)


def wire(moment: datetime) -> str:
    """A moment as it travels."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def rows() -> list[Any]:
    """Everything about reviews and the audit, to see that nothing changed."""
    return [
        [model_to_dict(review) | {"id": review.pk} for review in Review.objects.order_by("pk")],
        [
            (body.pk, bytes(body.sealed or b""), bytes(body.answer or b""), body.erased_at)
            for body in ReviewBody.objects.order_by("pk")
        ],
        list(AuditEvent.objects.order_by("pk").values_list("pk", flat=True)),
    ]


def entries(review: Review) -> list[tuple[str, str]]:
    """Action and actor of each audit entry about a case, the oldest first."""
    return list(AuditEvent.objects.about(review).order_by("at", "id").values_list("action", "actor_name"))


def take_away_role(person: User, by: User) -> None:
    """End all that a person was granted."""
    for grant in person.grants.all():
        accounts.revoke(grant=grant, by=by, reason="moved on")
