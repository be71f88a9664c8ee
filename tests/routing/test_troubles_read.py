"""Troubles on the home page of who connects applications: what got no answer or was not allowed, and why."""

from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from routing import troubles
from tests.pages import file, signed_in, text
from tests.routing.asked import Shop, make_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    """Two cut off, one without any model left, two not allowed, one kept, one for a person, and one of last week."""
    made = make_shop()
    now = timezone.now()
    for minutes in (5, 4):
        made.ask("aborted", at=now - timedelta(minutes=minutes))
    for minutes in (3, 2):
        made.ask(at=now - timedelta(minutes=minutes), data_class="restricted")
    made.ask(at=now - timedelta(minutes=1), model="nobody")
    made.ask(0.9)
    made.ask(0.1, 0.2, 0.3)
    made.ask("aborted", at=now - timedelta(days=7))
    return made


def test_troubles_stand_by_workflow_outcome_and_reason(shop: Shop) -> None:
    answer = signed_in(shop.cast.integrator).get(reverse("troubles"))
    found = [
        (trouble.outcome, trouble.count, [(why.text, why.count) for why in trouble.whys])
        for trouble in answer.context["troubles"]
    ]
    assert found == [
        (
            "refused",
            3,
            [
                ("Not allowed: no model is left on the ladder (data class)", 2),
                ("Not served: no model is called “nobody”; “auto” lets the policy choose", 1),
            ],
        ),
        ("failed", 2, [("lexicon: cut off (503, overloaded)", 2)]),
    ]


def test_each_number_opens_what_it_counts(shop: Shop) -> None:
    client = signed_in(shop.cast.integrator)
    answer = client.get(reverse("troubles"))
    links = unescape(answer.content.decode())
    for trouble in answer.context["troubles"]:
        query = {"workflow": "customer-feedback", "outcome": trouble.outcome, "since": str(answer.context["since"])}
        assert client.get(reverse("requests"), query).context["listing"].count == trouble.count
        for why in trouble.whys:
            assert client.get(reverse("request", args=[why.newest])).status_code == 200
            with CaptureQueriesContext(connection) as queries:
                opened = client.get(reverse("requests"), query | {"why": why.text})
            assert (opened.context["total"], len(queries) <= 12) == (why.count, True)
            assert opened.context["listing"].rows[0].decision.id == why.newest
            assert len(file(client.get(reverse("requests_csv"), query | {"why": why.text}))) == why.count
            assert unescape(f'href="{reverse("requests")}?{urlencode(query | {"why": why.text})}"') in links
    nothing = client.get(reverse("requests"), {"why": "it rained"})
    assert "No request matches this filter" in text(nothing)


def test_reasons_are_those_of_the_newest(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(troubles, "MOST_TOLD", 2)
    said = text(signed_in(shop.cast.integrator).get(reverse("troubles")))
    assert "of the newest 2" in said
    assert "older than those that were looked at" in said


def test_whose_troubles_are_read(shop: Shop) -> None:
    said = text(signed_in(shop.cast.stranger).get(reverse("troubles")))
    assert "Since yesterday no request stayed without an answer, and none was refused." in said
    assert signed_in(shop.cast.reviewer).get(reverse("troubles")).status_code == 403


def test_home_has_them_for_who_connects_applications_alone(shop: Shop) -> None:
    shown = {
        who: reverse("troubles") in signed_in(shop.cast.people[who]).get(reverse("home")).content.decode()
        for who in ("integrator", "lead", "owner", "finance", "auditor", "reviewer")
    }
    assert shown == dict.fromkeys(shown, False) | {"integrator": True}
