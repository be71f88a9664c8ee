"""A case's holder keeps it while its page is open; a lead cancels it, or erases what it said, and says why."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance.models import AuditEvent, Review, User
from tests.governance.desk import Desk, found, make_desk, rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Desk:
    """A desk on which nothing lies yet."""
    return make_desk()


def as_(user: User) -> Client:
    """A browser in which this person is signed in."""
    client = Client()
    client.force_login(user)
    return client


def test_an_open_page_keeps_its_case(desk: Desk) -> None:
    review = desk.claimed()
    Review.objects.filter(pk=review.pk).update(claimed_until=timezone.now() + timedelta(minutes=2))
    page = as_(desk.reviewer).get(reverse("review", args=[review.pk])).content.decode()
    assert f'hx-post="{reverse("review_renew", args=[review.pk])}"' in page
    answer = as_(desk.reviewer).post(reverse("review_renew", args=[review.pk]), {"token": str(review.claim_token)})
    assert answer.status_code == 200
    assert "yours until" in answer.content.decode()
    held = found(review.pk)
    assert held.claimed_until
    assert held.claimed_until > timezone.now() + timedelta(minutes=14)


def test_who_has_lost_it_is_told_and_asks_no_more(desk: Desk) -> None:
    review = desk.claimed()
    before = rows()
    for given in ({}, {"token": "no token"}, {"token": str(review.pk)}):
        answer = as_(desk.reviewer).post(reverse("review_renew", args=[review.pk]), given)
        assert answer.status_code == 286
        assert 'role="alert"' in answer.content.decode()
    assert rows() == before


def test_a_lead_cancels_a_case_and_says_why(desk: Desk) -> None:
    review = desk.open()
    address = reverse("review_cancel", args=[review.pk])
    lead = as_(desk.cast.lead)
    assert address in lead.get(reverse("review", args=[review.pk])).content.decode()
    before = rows()
    assert lead.post(address, {"reason": " "}).status_code == 422
    assert as_(desk.reviewer).post(address, {"reason": "mine"}).status_code == 403
    assert rows() == before

    assert lead.post(address, {"reason": "The customer wrote again"}).status_code == 302

    assert found(review.pk).status == "cancelled"
    assert AuditEvent.objects.about(review).get(action="reviews.cancel").reason == "The customer wrote again"
    again = lead.post(address, {"reason": "twice"})
    assert again.status_code == 422
    assert address not in lead.get(reverse("review", args=[review.pk])).content.decode()


def test_a_lead_erases_what_a_case_said(desk: Desk) -> None:
    review = desk.answered()
    address = reverse("review_erase", args=[review.pk])
    lead = as_(desk.cast.lead)
    assert address in lead.get(reverse("review", args=[review.pk])).content.decode()
    before = rows()
    assert as_(desk.cast.integrator).post(address, {"reason": "mine"}).status_code == 403
    assert as_(desk.cast.stranger).post(address, {"reason": "mine"}).status_code == 404
    assert rows() == before

    page = lead.post(address, {"reason": "The customer asked for it"}, follow=True).content.decode()

    assert "The text of this case was erased" in page
    assert address not in page
    assert found(review.pk).body.sealed is None


def test_what_waits_is_not_erased(desk: Desk) -> None:
    review = desk.open()
    before = rows()
    answer = as_(desk.cast.lead).post(reverse("review_erase", args=[review.pk]), {"reason": "asked for"})
    assert answer.status_code == 422
    assert "cancel it first" in answer.content.decode()
    assert rows() == before
