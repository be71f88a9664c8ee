"""Any order of taking, losing, answering, cancelling, expiring, repeating and erasing: each case ends exactly once."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance import review_records, reviews
from governance.errors import GovernanceError
from governance.models import AuditEvent, Review, ReviewBody, User
from tests.governance.desk import Desk, found, make_desk, wire

pytestmark = pytest.mark.django_db

CASES = st.integers(0, 2)
PEOPLE = st.sampled_from(["reviewer", "second"])
END_ACTIONS = {"reviews.answer": "answered", "reviews.expire": "expired", "reviews.cancel": "cancelled"}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), PEOPLE, CASES),
        st.tuples(st.just("claim"), PEOPLE, CASES),
        st.tuples(st.just("claim_next"), PEOPLE, CASES),
        st.tuples(st.just("renew"), PEOPLE, CASES),
        st.tuples(st.just("release"), PEOPLE, CASES),
        st.tuples(st.just("answer"), PEOPLE, CASES),
        st.tuples(st.just("answer"), PEOPLE, CASES),
        st.tuples(st.just("cancel"), PEOPLE, CASES),
        st.tuples(st.just("expire"), PEOPLE, CASES),
        st.tuples(st.just("deliver"), PEOPLE, CASES),
        st.tuples(st.just("erase"), PEOPLE, CASES),
        st.tuples(st.just("wait"), PEOPLE, st.integers(1, 20)),
    ),
    min_size=15,
    max_size=40,
)


@dataclass
class World:
    """What was really done, kept apart from the rows: who last took which case, and how each one ended first."""

    desk: Desk
    now: datetime
    records: list[dict[str, Any]]
    tokens: dict[tuple[str, int], UUID | None] = field(default_factory=dict)
    holder: dict[int, str] = field(default_factory=dict)
    ended: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    erased: set[int] = field(default_factory=set)

    def person(self, name: str) -> User:
        """One of two reviewers."""
        return self.desk.reviewer if name == "reviewer" else self.desk.second

    def case(self, place: int) -> Review:
        """A case. Raises Review.DoesNotExist before it was opened."""
        return found(self.records[place]["id"])

    def open(self, _: str, place: int) -> None:
        """The gateway sends the case, again and again."""
        self.desk.send(self.records[place])

    def claim(self, name: str, place: int) -> None:
        """Take a case and keep its form open."""
        held = reviews.claim(review=self.case(place), by=self.person(name), now=self.now)
        self.tokens[name, place], self.holder[place] = held.claim_token, name

    def claim_next(self, name: str, _: int) -> None:
        """Take whichever is next."""
        held = reviews.claim_next(by=self.person(name), now=self.now)
        if held is not None:
            place = next(index for index, record in enumerate(self.records) if record["id"] == str(held.pk))
            assert place not in self.ended
            self.tokens[name, place], self.holder[place] = held.claim_token, name

    def renew(self, name: str, place: int) -> None:
        """Hold on."""
        reviews.renew(review=self.case(place), **self._form(name, place))

    def release(self, name: str, place: int) -> None:
        """Put back."""
        reviews.release(review=self.case(place), **self._form(name, place))
        assert self.holder.pop(place) == name

    def answer(self, name: str, place: int) -> None:
        """Send the form that is open, however old it is."""
        said = {"label": "positive" if name == "reviewer" else "negative"}
        reviews.answer(review=self.case(place), answer=said, **self._form(name, place))
        assert self.holder[place] == name, "someone decided a case that another had taken"
        self._end(place, "answered", said["label"])

    def cancel(self, _: str, place: int) -> None:
        """End without an answer."""
        reviews.cancel(review=self.case(place), reason="so", by=self.desk.cast.lead, now=self.now)
        self._end(place, "cancelled", None)

    def expire(self, _: str, __: int) -> None:
        """The sweeper's turn."""
        reviews.expire_due(now=self.now)
        for place in range(len(self.records)):
            review = Review.objects.filter(pk=self.records[place]["id"]).first()
            if review is not None and review.expires_at <= self.now and place not in self.ended:
                self._end(place, "expired", None, late=True)

    def deliver(self, _: str, place: int) -> None:
        """The gateway says that the application has the outcome."""
        self.desk.send(delivered=({"review": self.records[place]["id"], "at": wire(self.now)},))

    def erase(self, _: str, place: int) -> None:
        """Take the words away."""
        reviews.erase(review=self.case(place), reason="so", by=self.desk.cast.lead, now=self.now)
        assert place in self.ended
        self.erased.add(place)

    def wait(self, _: str, minutes: int) -> None:
        """Time passes."""
        self.now += timedelta(minutes=minutes)

    def check(self) -> None:
        """The rows, the audit and what the application is told agree with what was done."""
        for review in Review.objects.select_related("body"):
            place = next(index for index, record in enumerate(self.records) if record["id"] == str(review.pk))
            how, label = self.ended.get(place, (None, None))
            written = AuditEvent.objects.about(review).filter(action__in=END_ACTIONS).values_list("action", flat=True)
            assert [END_ACTIONS[action] for action in written] == ([how] if how else [])
            standing = review_records.standing(review)
            outcome = standing["outcome"]
            if how is None:
                assert (standing["status"] in ("open", "claimed"), outcome) == (True, None)
                assert (standing["status"] == "claimed") == (place in self.holder)
            elif how == "answered" and place not in self.erased:
                assert outcome["answer"] == {"label": label}
            else:
                assert (outcome and outcome["action"]) == ("refuse" if how == "expired" else None)
            body = ReviewBody.objects.get(pk=review.pk)
            assert (body.sealed is None) == (body.erased_at is not None) == (place in self.erased)

    def _form(self, name: str, place: int) -> dict[str, Any]:
        return {"token": self.tokens.get((name, place)), "by": self.person(name), "now": self.now}

    def _end(self, place: int, how: str, label: str | None, *, late: bool = False) -> None:
        assert place not in self.ended, f"case {place} ended {self.ended[place]} and {how}"
        assert late or self.now < self.case(place).expires_at, "decided after its time"
        self.ended[place] = (how, label)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(steps=STEPS)
def _play(desk: Desk, seen: list[str], steps: list[tuple[str, str, int]]) -> None:
    with transaction.atomic():
        world = World(desk, desk.now, [desk.record() for _ in range(3)])
        world.open("reviewer", 0)
        for act, name, value in steps:
            try:
                with transaction.atomic():
                    getattr(world, act)(name, value)
            except (GovernanceError, Review.DoesNotExist):
                pass
            world.check()
        world.wait("reviewer", 120)
        world.expire("reviewer", 0)
        world.check()
        assert not Review.objects.filter(status__in=Review.WAITING).exists()
        seen.extend(how for how, _label in world.ended.values())
        transaction.set_rollback(True)


def test_in_any_order_each_case_ends_exactly_once() -> None:
    seen: list[str] = []
    _play(make_desk(), seen)
    assert min(seen.count(how) for how in END_ACTIONS.values()) >= 5, f"the test saw too little: {seen}"


def test_the_check_itself_notices_a_wrong_outcome() -> None:
    desk = make_desk()
    world = World(desk, desk.now, [desk.record()])
    world.open("reviewer", 0)
    world.claim("reviewer", 0)
    world.answer("reviewer", 0)
    world.check()
    world.ended[0] = ("answered", "negative")
    with pytest.raises(AssertionError):
        world.check()
