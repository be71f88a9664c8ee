"""Follow one request: the newest climbs, a page that has it already is left alone, and the last hour in a sentence."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.pages import signed_in, text
from tests.routing.asked import Shop, make_shop

pytestmark = pytest.mark.django_db

PART = {"HX-Request": "true"}


@pytest.fixture
def shop() -> Shop:
    """One request of two hours ago, three of this hour, of which the newest went to a person."""
    made = make_shop()
    now = timezone.now()
    made.ask(0.9, at=now - timedelta(hours=2))
    made.ask(0.9, at=now - timedelta(minutes=3))
    made.ask(at=now - timedelta(minutes=2), data_class="restricted")
    made.ask(0.2, 0.3, 0.4, at=now - timedelta(minutes=1))
    return made


def test_the_newest_climbs_beside_the_last_ten(shop: Shop) -> None:
    answer = signed_in(shop.cast.lead).get(reverse("follow"))
    said = text(answer)
    assert "3 requests in the last hour, 1 not allowed; of the rest small 50 % , people 50 % , for USD 0.024" in said
    assert "Three models were not sure, and a person is asked: USD 0.018 in 60 ms" in said
    assert [row.decision.outcome for row in answer.context["strip"]] == ["person", "refused", "kept", "kept"]
    assert "climbing" in answer.content.decode()


def test_each_number_of_the_hour_opens_the_requests_that_it_counts(shop: Shop) -> None:
    shop.ask("error", "timeout", "aborted")
    shop.measuring().ask(0.99)
    client = signed_in(shop.cast.lead)
    for asked in ({}, {"workflow": shop.cast.workflow.slug}):
        parts = client.get(reverse("follow"), asked).context["headline"]
        listed = [
            (" ".join(part.words.split()), client.get(f"{reverse('requests')}?{part.query}").context["total"])
            for part in parts
            if part.query
        ]
        assert listed == [("4", 4), ("1", 1), ("1", 1), ("small 50 %", 1), ("people 50 %", 1), ("USD 0.024", 4)]


def test_an_hour_ends_with_its_second_and_no_request_counts_twice(shop: Shop) -> None:
    client = signed_in(shop.cast.lead)
    now = timezone.now().replace(microsecond=0)
    half = timedelta(minutes=30)
    earlier = (now - half, 0), (now - 3 * half, 1), (now - 5 * half, 0)
    for until, count in ((now + timedelta(seconds=1), 3), *earlier):
        answer = client.get(reverse("requests"), {"hour": until.strftime("%Y-%m-%dT%H:%M:%SZ")})
        assert answer.context["total"] == count
    for wrong in ("soon", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1970-01-01T00:30:00Z"):
        assert client.get(reverse("requests"), {"hour": wrong}).status_code == 422


def test_measuring_models_is_no_traffic(shop: Shop) -> None:
    client = signed_in(shop.cast.lead)
    before = client.get(reverse("follow"))
    shop.measuring().ask(0.99)
    after = client.get(reverse("follow"))
    # The hour that the links open ends with the second of each look.
    assert [each.words for each in after.context["headline"]] == [each.words for each in before.context["headline"]]
    assert [row.mark for row in after.context["strip"]] == [row.mark for row in before.context["strip"]]


def test_a_page_asks_again_and_gets_only_what_is_new(shop: Shop) -> None:
    client = signed_in(shop.cast.lead)
    seen = client.get(reverse("follow")).context["strip"][0].mark
    assert client.get(reverse("follow"), {"seen": seen}, headers=PART).status_code == 204
    shop.ask(0.95)
    part = client.get(reverse("follow"), {"seen": seen}, headers=PART)
    html = part.content.decode()
    assert (part.status_code, "<html" in html, "climbing" in html) == (200, False, True)
    assert "lexicon answered at once" in text(part)
    assert "4 requests in the last hour" in text(part)


def test_what_becomes_of_the_newest_comes_without_climbing_again(shop: Shop) -> None:
    client, now = signed_in(shop.cast.lead), timezone.now()
    record = shop.decide(0.9, at=now)
    shop.send(record, at=now)
    seen = client.get(reverse("follow")).context["strip"][0].mark
    shop.report(record, at=now)
    part = client.get(reverse("follow"), {"seen": seen}, headers=PART)
    assert (part.status_code, "climbing" in part.content.decode()) == (200, False)


def test_whose_requests_are_followed(shop: Shop) -> None:
    stranger = signed_in(shop.cast.stranger)
    said = text(stranger.get(reverse("follow")))
    assert "No request came in the last hour" in said
    assert "No request yet" in said
    assert stranger.get(reverse("follow"), {"workflow": "customer-feedback"}).status_code == 422
    assert stranger.get(reverse("follow"), {"seen": ""}, headers=PART).status_code == 204
    assert signed_in(shop.cast.reviewer).get(reverse("follow")).status_code == 403


def test_who_may_try_one_has_the_form_beside_it(shop: Shop) -> None:
    shown = {
        who: "Try one of your own" in text(signed_in(shop.cast.people[who]).get(reverse("follow")))
        for who in ("lead", "integrator", "finance", "auditor")
    }
    assert shown == {"lead": True, "integrator": True, "finance": False, "auditor": False}


def test_a_policy_that_is_only_watched_stands_beside_what_was_served(shop: Shop) -> None:
    shop.watch()
    shop.ask(0.1, model="smollm2")
    assert "What the policy would have done" in text(signed_in(shop.cast.lead).get(reverse("follow")))
