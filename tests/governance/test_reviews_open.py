"""Cases as gateways open them: once each, whatever is repeated or comes late, and never again after the end."""

import itertools
from datetime import timedelta
from typing import Any

import pytest

from governance import accounts, gateways, registry, reviews
from governance.models import AuditEvent, Gateway, Review
from tests.cast import BOOTSTRAP, make_environment, make_workflow
from tests.governance.desk import Desk, entries, found, make_desk, new_id, rows, sealed, wire

pytestmark = pytest.mark.django_db


def test_a_case_is_opened_with_all_it_says() -> None:
    desk = make_desk()
    record = desk.record(run="order-17")

    receipt = desk.send(record)

    assert (receipt.accepted, receipt.repeated, receipt.refused) == (1, 0, ())
    review = found(record["id"])
    assert (review.status, review.workflow, review.environment) == ("open", desk.cast.workflow, desk.cast.production)
    assert (review.step, review.run, review.reason_code) == ("sentiment", "order-17", "unsure")
    assert (review.respond_by, review.expires_at) == (
        desk.now + timedelta(minutes=15),
        desk.now + timedelta(hours=1),
    )
    assert review.answer == {"type": "label", "options": ["positive", "negative"], "schema": None}
    assert b"lamp" not in bytes(review.body.sealed or b"lamp")
    assert entries(review) == [("reviews.open", "gateway Near the shop")]


def test_a_case_without_a_title_is_called_by_its_place() -> None:
    desk = make_desk()
    assert desk.open(title=None).title == "Customer feedback, sentiment"
    assert desk.open(title=None, step="*").title == "Customer feedback"


def test_a_repeated_case_is_opened_once() -> None:
    desk = make_desk()
    record = desk.record()
    desk.send(record)
    before = rows()

    receipt = desk.send(record, record | {"decision": new_id()}, record)

    assert (receipt.accepted, receipt.repeated, receipt.refused) == (0, 3, ())
    assert rows() == before


def test_a_case_that_another_gateway_opened_is_the_same_case() -> None:
    desk = make_desk()
    other, _ = gateways.register(name="Another", environment=desk.cast.production, by=BOOTSTRAP)
    record = desk.record()
    desk.send(record)

    receipt = desk_of(desk, other).send(record | {"decision": new_id(), "body": sealed(record["id"])})

    assert (receipt.accepted, receipt.repeated) == (0, 1)
    assert Review.objects.count() == 1


@pytest.mark.parametrize("end", ["answered", "expired", "cancelled"])
def test_a_case_that_ended_never_opens_again(end: str) -> None:
    desk = make_desk()
    record = desk.record()
    desk.send(record)
    review = found(record["id"])
    if end == "answered":
        held = reviews.claim(review=review, by=desk.reviewer, now=desk.now)
        said = {"label": "positive"}
        reviews.answer(review=held, token=held.claim_token, answer=said, by=desk.reviewer, now=desk.now)
    elif end == "expired":
        reviews.expire_due(now=review.expires_at)
    else:
        reviews.cancel(review=review, reason="asked twice", by=desk.cast.lead, now=desk.now)
    before = rows()

    receipt = desk.send(record | {"opened_at": wire(desk.now + timedelta(minutes=1))})

    assert (receipt.accepted, receipt.repeated) == (0, 1)
    assert rows() == before
    assert found(record["id"]).status == end


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_arrival_does_not_matter(order: tuple[int, ...]) -> None:
    desk = make_desk()
    records = [desk.record() for _ in range(3)]
    for place in order:
        desk.send(records[place])
        desk.send(records[order[0]])
    assert {str(review.pk) for review in Review.objects.all()} == {record["id"] for record in records}


def test_a_case_that_comes_after_its_time_is_opened_and_ends_at_the_next_turn() -> None:
    """The gateway was cut off; the application still has to be told something."""
    desk = make_desk()
    review = desk.open(opened_at=desk.now - timedelta(days=2))
    assert review.status == "open"
    assert reviews.expire_due(now=desk.now) == 1
    assert found(review.pk).status == "expired"


def test_a_revoked_key_still_counts_for_what_was_asked_before() -> None:
    desk = make_desk()
    accounts.revoke_key(key=desk.key, by=desk.cast.integrator)
    assert desk.send(desk.record()).accepted == 1


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("environment", {"environment": new_id()}),
        ("key", {"key": new_id()}),
        ("workflow", {"workflow": new_id()}),
        ("id", {"id": new_id()}),
        ("role", {"role": "emperor"}),
        ("body", {"body": "A"}),
        ("reason.text", {"reason": {"code": "unsure", "text": ""}}),
        ("answer.type", {"answer": {"type": "song"}}),
        ("surprise", {"surprise": 1}),
        ("expires_at", {"expires_at": "2026-01-01T00:00:00Z", "respond_by": "2026-01-02T00:00:00Z"}),
    ],
)
def test_a_faulty_case_is_named_and_the_others_are_opened(field: str, given: dict[str, Any]) -> None:
    desk = make_desk()
    faulty = desk.record(**({"opened_at": desk.now} | given))

    receipt = desk.send(desk.record(), faulty, desk.record())

    assert receipt.accepted == 2
    (refused,) = receipt.refused
    assert refused.id == faulty["id"]
    assert refused.field in (field, "respond_by")
    assert Review.objects.count() == 2


def test_another_environments_key_opens_nothing_here() -> None:
    desk = make_desk()
    staging = make_environment("staging")
    key, _ = accounts.create_key(workflow=desk.cast.workflow, environment=staging, name="Trial", by=BOOTSTRAP)
    receipt = desk.send(desk.record(key=str(key.pk)))
    assert [refused.field for refused in receipt.refused] == ["key"]
    assert not Review.objects.exists()


def test_a_key_speaks_for_its_own_workflow_only() -> None:
    desk = make_desk()
    other = make_workflow(desk.cast.team, desk.cast.owner, slug="other")
    receipt = desk.send(desk.record(workflow=str(other.pk)))
    assert [refused.field for refused in receipt.refused] == ["workflow"]
    assert not Review.objects.exists()


def test_text_that_no_table_takes_is_refused_and_blocks_nothing() -> None:
    desk = make_desk()
    faulty = desk.record(answer={"type": "fields", "schema": {"title": "a\x00b"}})

    receipt = desk.send(faulty, desk.record())

    assert (receipt.accepted, [refused.id for refused in receipt.refused]) == (1, [faulty["id"]])
    assert Review.objects.count() == AuditEvent.objects.filter(action="reviews.open").count() == 1


def test_a_delivered_outcome_is_noted_once() -> None:
    desk = make_desk()
    review = desk.answered()
    fetched = {"review": str(review.pk), "at": wire(desk.now + timedelta(seconds=3))}
    desk_later = Desk(**(vars(desk) | {"now": desk.now + timedelta(seconds=5)}))

    first = desk_later.send(delivered=(fetched,))
    again = desk_later.send(delivered=(fetched,))

    assert (first.accepted, first.repeated, first.refused) == (1, 0, ())
    assert (again.accepted, again.repeated, again.refused) == (0, 1, ())
    assert found(review.pk).delivered_at == desk.now + timedelta(seconds=3)
    assert entries(review).count(("reviews.deliver", "gateway Near the shop")) == 1


def test_a_gateways_wrong_clock_does_not_deliver_before_the_end() -> None:
    desk = make_desk()
    review = desk.answered()
    for at in (desk.now - timedelta(days=3), desk.now + timedelta(days=3)):
        desk.send(delivered=({"review": str(review.pk), "at": wire(at)},))
    assert found(review.pk).delivered_at == desk.now


def test_only_ended_cases_of_the_environment_are_delivered() -> None:
    desk = make_desk()
    waiting = desk.open()
    unknown = new_id()
    before = rows()

    receipt = desk.send(
        delivered=(
            {"review": str(waiting.pk), "at": wire(desk.now)},
            {"review": unknown, "at": wire(desk.now)},
        )
    )

    assert [(refused.id, refused.field) for refused in receipt.refused] == [
        (str(waiting.pk), "review"),
        (unknown, "review"),
    ]
    assert rows() == before


def test_another_environments_gateway_delivers_nothing_here() -> None:
    desk = make_desk()
    review = desk.answered()
    staging = registry.add_environment(name="staging", votes_needed=1, position=900, by=BOOTSTRAP)
    other, _ = gateways.register(name="Staging", environment=staging, by=BOOTSTRAP)
    receipt = desk_of(desk, other).send(delivered=({"review": str(review.pk), "at": wire(desk.now)},))
    assert [refused.field for refused in receipt.refused] == ["review"]
    assert found(review.pk).delivered_at is None


def desk_of(desk: Desk, gateway: Gateway) -> Desk:
    """The same desk, told by another gateway."""
    return Desk(**(vars(desk) | {"gateway": gateway}))
