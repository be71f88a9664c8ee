"""Prices on a model's page: what holds, what held, what is priced and never called; setting one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from django.utils import timezone

from governance import accounts
from governance.models import AuditEvent
from ledger import prices, rollups
from ledger.models import Price
from tests.cast import BOOTSTRAP, make_live
from tests.ledger.reports import BERLIN, Site, make_site
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    """Everything that reports need."""
    return make_site()


def part(site: Site, who: str = "finance") -> str:
    """The prices of the first model, as words."""
    return text(signed_in(site.cast.people[who]).get(reverse("model_prices", args=["lexicon"])))


def rates(**given: str) -> dict[str, str]:
    """What the form sends."""
    return {"input": "3", "output": "9.5", "cache_read": "", "cache_write": "", "currency": "USD", **given}


def test_what_holds_and_what_held_is_shown(site: Site) -> None:
    assert "not priced its attempts stand in no sum" in part(site)
    site.price(valid_from=datetime(2026, 1, 1, tzinfo=UTC))
    later = timezone.now() + timedelta(days=1)
    site.price(valid_from=later, input=Decimal(4))
    shown = part(site)
    assert "USD 2.00" in shown
    assert "All 2 prices in production" in shown
    assert "further notice" in shown


def test_a_price_that_is_set_and_not_yet_in_force_is_told(site: Site) -> None:
    client, address = signed_in(site.cast.finance), reverse("price_new", args=[site.endpoint().pk])
    said = text(client.post(address, rates(valid_from="2031-07-01T00:00"), follow=True))
    assert "is set from 1 Jul 2031 00:00 on" in said
    shown = part(site)
    assert "USD 3.00 USD 9.50" in shown
    assert "not priced yet own price from 1 Jul 2031 00:00 on" in shown
    site.price(place=1)
    assert "another from" not in part(site)
    site.price()
    assert "another from 1 Jul 2031 00:00 on" in part(site)


def test_priced_but_never_called_is_said_until_it_is_named_or_asked(site: Site) -> None:
    assert "never called" not in part(site)
    site.price()
    assert "Priced but never called" in part(site)
    site.report([site.event()])
    rollups.fold(zone=BERLIN)
    assert "never called" not in part(site)


def test_a_model_that_a_live_policy_names_may_still_be_called(site: Site) -> None:
    site.price()
    make_live(site.cast)
    assert "never called" not in part(site)


def test_a_price_is_set_from_the_next_minute_or_a_later_moment(site: Site) -> None:
    site.price()
    endpoint = site.endpoint()
    client, address = signed_in(site.cast.finance), reverse("price_new", args=[endpoint.pk])
    assert 'value="2"' in client.get(address).content.decode()
    answer = client.post(address, rates(), follow=True)
    assert answer.redirect_chain == [("/models/lexicon/#prices", 302)]
    made = Price.objects.own_of([endpoint]).get(valid_until=None)
    assert (made.input, made.output, made.cache_read) == (Decimal(3), Decimal("9.5"), None)
    assert timezone.now() < made.valid_from <= timezone.now() + timedelta(minutes=1)
    assert made.valid_from.second == 0
    assert AuditEvent.objects.about(made).get().action == "prices.set_own_price"

    berliner = accounts.create_person(email="b@x.example", name="B", time_zone="Europe/Berlin", by=BOOTSTRAP)
    accounts.grant(user=berliner, role="finance", by=BOOTSTRAP)
    signed_in(berliner).post(address, rates(input="5", valid_from="2031-07-01T00:00"))
    last = Price.objects.own_of([endpoint]).get(input=5)
    assert last.valid_from == datetime(2031, 7, 1, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"input": "-1"}, "greater than or equal"),
        ({"input": "1000001"}, "less than or equal"),
        ({"output": "NaN"}, "Enter a number"),
        ({"currency": "dollars"}, "three capital letters"),
        ({"valid_from": "2026-02-01T00:00"}, "choose a time from now on"),
    ],
)
def test_a_price_that_does_not_fit_is_named_and_sets_nothing(site: Site, fields: dict[str, str], said: str) -> None:
    site.price()
    before = (Price.objects.count(), AuditEvent.objects.count())
    address = reverse("price_new", args=[site.endpoint().pk])
    answer = signed_in(site.cast.finance).post(address, rates(**fields))
    assert (answer.status_code, said in text(answer)) == (422, True)
    assert (Price.objects.count(), AuditEvent.objects.count()) == before


def test_who_edits_no_prices_sets_none(site: Site) -> None:
    address = reverse("price_new", args=[site.endpoint().pk])
    for who in ("owner", "integrator", "auditor", "reviewer", "stranger"):
        assert signed_in(site.cast.people[who]).post(address, rates()).status_code == 403
    assert not Price.objects.exists()
    assert address not in signed_in(site.cast.owner).get(reverse("model_prices", args=["lexicon"])).content.decode()


def test_history_holds_own_and_listed_prices_of_each_endpoint(site: Site) -> None:
    site.price()
    site.price(1)
    first, second = site.endpoint(), site.endpoint(1)
    found = prices.history([first, second])
    assert [price.endpoint_id for price in found[first.pk]] == [first.pk]
    assert [price.endpoint_id for price in found[second.pk]] == [second.pk]
