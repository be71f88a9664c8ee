"""Taking a case: for those of its role, team and environment, one at a time, for a quarter of an hour."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from governance import accounts, reviews
from governance.accounts import NotPermitted
from governance.models import Review, Role
from tests.cast import BOOTSTRAP, make_environment, make_person
from tests.governance.desk import entries, found, make_desk, rows, take_away_role

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def test_a_reviewer_takes_a_case() -> None:
    desk = make_desk()
    review = desk.open()

    held = reviews.claim(review=review, by=desk.reviewer, now=desk.now)

    assert held.claim_token is not None
    stored = found(review.pk)
    assert (stored.status, stored.claimed_by, stored.claim_token) == ("claimed", desk.reviewer, held.claim_token)
    assert stored.claimed_until == desk.now + reviews.CLAIM
    assert entries(review)[-1] == ("reviews.claim", "Reviewer")


def test_a_teammate_waits_until_the_time_is_over() -> None:
    desk = make_desk()
    held = desk.claimed()
    before = rows()

    with pytest.raises(reviews.TakenByAnother, match="Reviewer has this case until"):
        reviews.claim(review=held, by=desk.second, now=desk.now + 14 * MINUTE)
    assert rows() == before

    taken = reviews.claim(review=held, by=desk.second, now=desk.now + 15 * MINUTE)
    assert (taken.claimed_by, taken.claim_token == held.claim_token) == (desk.second, False)


def test_who_has_it_keeps_his_token_in_every_window() -> None:
    desk = make_desk()
    held = desk.claimed()
    events = len(entries(held))

    again = reviews.claim(review=held, by=desk.reviewer, now=desk.now + 5 * MINUTE)

    assert again.claim_token == held.claim_token
    assert found(held.pk).claimed_until == desk.now + 20 * MINUTE
    assert len(entries(held)) == events


def test_a_claim_never_outlives_the_case() -> None:
    desk = make_desk()
    review = desk.open()
    reviews.claim(review=review, by=desk.reviewer, now=review.expires_at - MINUTE)
    assert found(review.pk).claimed_until == review.expires_at


@pytest.mark.parametrize(
    "who", ["lead", "owner", "finance", "integrator", "auditor", "admin", "stranger", "elsewhere", "nobody"]
)
def test_nobody_else_takes_holds_or_decides_it(who: str) -> None:
    desk = make_desk()
    waiting, held = desk.open(), desk.claimed()
    person = {**desk.cast.people, "elsewhere": desk.elsewhere, "nobody": make_person("Nobody")}[who]
    before = rows()
    given: dict[str, Any] = {"review": held, "token": held.claim_token, "by": person, "now": desk.now}

    with pytest.raises(NotPermitted):
        reviews.claim(review=waiting, by=person, now=desk.now)
    with pytest.raises(NotPermitted):
        reviews.renew(**given)
    with pytest.raises(NotPermitted):
        reviews.release(**given)
    with pytest.raises(NotPermitted):
        reviews.answer(answer={"label": "positive"}, **given)
    with pytest.raises(NotPermitted):
        reviews.read_body(review=held, by=person)

    assert rows() == before
    assert not Review.objects.takable_by(person, desk.now).exists()


def test_a_grant_for_one_environment_does_not_reach_another() -> None:
    desk = make_desk()
    review = desk.open()
    person = make_person("Trial reviewer")
    staging = make_environment("staging")
    accounts.grant(user=person, role=Role.REVIEWER, team=desk.cast.team, environment=staging, by=BOOTSTRAP)
    with pytest.raises(NotPermitted):
        reviews.claim(review=review, by=person, now=desk.now)

    accounts.grant(user=person, role=Role.REVIEWER, environment=desk.cast.production, by=BOOTSTRAP)
    assert reviews.claim(review=review, by=person, now=desk.now).claimed_by == person


def test_a_case_for_another_role_is_not_the_reviewers() -> None:
    desk = make_desk()
    review = desk.open(role="owner")
    with pytest.raises(NotPermitted, match="workflow owner"):
        reviews.claim(review=review, by=desk.reviewer, now=desk.now)
    assert not Review.objects.takable_by(desk.reviewer, desk.now).exists()


def test_the_next_case_is_the_one_due_first() -> None:
    desk = make_desk()
    late, soon, middle = (desk.open(opened_at=desk.now - minutes * MINUTE) for minutes in (1, 9, 5))

    order = [reviews.claim_next(by=desk.reviewer, now=desk.now) for _ in range(4)]

    assert order == [soon, middle, late, None]
    assert [review.claim_token is not None for review in order if review] == [True] * 3


def test_a_case_that_was_passed_over_comes_after_all_others() -> None:
    desk = make_desk()
    late, soon = desk.open(), desk.open(opened_at=desk.now - 9 * MINUTE)

    order = [reviews.claim_next(by=desk.reviewer, now=desk.now, after=[soon.pk]) for _ in range(3)]

    assert order == [late, soon, None]


def test_the_next_case_is_nobodys_and_waits() -> None:
    desk = make_desk()
    desk.claimed(by=desk.second)
    desk.answered()
    desk.expired(opened_at=desk.now - timedelta(hours=3))
    over = desk.open(opened_at=desk.now - timedelta(hours=2))

    assert reviews.claim_next(by=desk.reviewer, now=desk.now) is None

    assert found(over.pk).status == "open"


def test_the_next_case_may_be_one_that_was_not_renewed() -> None:
    desk = make_desk()
    held = desk.claimed(by=desk.second)
    assert reviews.claim_next(by=desk.reviewer, now=desk.now + 16 * MINUTE) == held
    assert found(held.pk).claimed_by == desk.reviewer


def test_asking_for_the_next_case_takes_the_right_to_take_any() -> None:
    desk = make_desk()
    desk.open()
    with pytest.raises(NotPermitted):
        reviews.claim_next(by=desk.cast.auditor, now=desk.now)
    assert reviews.claim_next(by=desk.elsewhere, now=desk.now) is None


def test_a_case_that_ended_is_not_taken() -> None:
    desk = make_desk()
    ended = [desk.answered(), desk.expired(opened_at=desk.now - timedelta(hours=3))]
    over = desk.open(opened_at=desk.now - timedelta(hours=2))
    before = rows()
    for review in [*ended, over]:
        with pytest.raises(reviews.AlreadyEnded):
            reviews.claim(review=review, by=desk.second, now=desk.now)
    assert rows() == before


def test_a_case_is_held_on_to() -> None:
    desk = make_desk()
    held = desk.claimed()
    reviews.renew(review=held, token=held.claim_token, by=desk.reviewer, now=desk.now + 10 * MINUTE)
    assert found(held.pk).claimed_until == desk.now + 25 * MINUTE
    with pytest.raises(reviews.TakenByAnother):
        reviews.claim(review=held, by=desk.second, now=desk.now + 20 * MINUTE)


def test_a_case_is_put_back() -> None:
    desk = make_desk()
    held = desk.claimed()

    reviews.release(review=held, token=held.claim_token, by=desk.reviewer, now=desk.now)

    stored = found(held.pk)
    assert (stored.status, stored.claimed_by, stored.claim_token, stored.claimed_until) == ("open", None, None, None)
    assert entries(held)[-1] == ("reviews.release", "Reviewer")
    assert reviews.claim_next(by=desk.second, now=desk.now) == held


def test_a_case_that_someone_else_took_is_neither_renewed_nor_put_back() -> None:
    desk = make_desk()
    held = desk.claimed()
    reviews.claim(review=held, by=desk.second, now=desk.now + 16 * MINUTE)
    before = rows()
    given: dict[str, Any] = {
        "review": held,
        "token": held.claim_token,
        "by": desk.reviewer,
        "now": desk.now + 17 * MINUTE,
    }
    with pytest.raises(reviews.ClaimLost, match="Second reviewer took it"):
        reviews.renew(**given)
    with pytest.raises(reviews.ClaimLost):
        reviews.release(**given)
    assert rows() == before


@pytest.mark.parametrize("token", [None, uuid4()])
def test_only_the_token_of_the_claim_counts(token: UUID | None) -> None:
    desk = make_desk()
    held = desk.claimed()
    before = rows()
    with pytest.raises(reviews.ClaimLost):
        reviews.release(review=held, token=token, by=desk.reviewer, now=desk.now)
    assert rows() == before


def test_the_queue_shows_what_one_may_take_and_what_one_has() -> None:
    desk = make_desk()
    others, mine = desk.claimed(by=desk.second), desk.claimed(opened_at=desk.now - 2 * MINUTE)
    free = desk.open(opened_at=desk.now - 3 * MINUTE)
    desk.answered()
    assert list(Review.objects.takable_by(desk.reviewer, desk.now)) == [free, mine]
    assert list(Review.objects.takable_by(desk.second, desk.now)) == [free, others]
    take_away_role(desk.reviewer, desk.cast.admin)
    assert not Review.objects.takable_by(desk.reviewer, desk.now).exists()


def test_cases_like_this_are_of_its_step_and_reason_and_ended() -> None:
    desk = make_desk()
    case = desk.open()
    alike = [desk.answered(), desk.expired(opened_at=desk.now - timedelta(hours=2))]
    desk.open()
    desk.answered(step="language")
    desk.answered(reason={"code": "rule", "text": "A rule asks for a person."})
    assert set(Review.objects.like(case)) == set(alike)
