"""Own prices: set from a moment on, by those who may; history stays as it was charged."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from governance.accounts import NotPermitted
from governance.errors import InvalidInput
from governance.models import AuditEvent
from ledger import prices, rollups
from ledger.models import Charge, Price
from tests.ledger.reports import BERLIN, RATES, make_site

pytestmark = pytest.mark.django_db

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def test_an_own_price_holds_from_its_moment_on() -> None:
    site = make_site()

    price = site.price(valid_from=MARCH)

    endpoint = site.endpoint()
    assert prices.current([endpoint], MARCH)[endpoint.id] == price
    assert prices.current([endpoint], MARCH + timedelta(days=999))[endpoint.id] == price
    assert prices.current([endpoint], MARCH - timedelta(microseconds=1)) == {}
    event = AuditEvent.objects.about(price).get()
    assert (event.action, event.actor_name, event.before) == ("prices.set_own_price", "Finance", None)
    assert event.after is not None
    assert event.after["input"] == "2"


def test_a_new_price_ends_the_old_one_and_re_prices_nothing() -> None:
    site = make_site()
    site.price(valid_from=MARCH)
    change = timezone.now() + timedelta(minutes=2)
    first = site.event()
    site.report([first])
    rollups.fold(zone=BERLIN)
    charged = Charge.objects.get()

    new = site.price(valid_from=change, input=Decimal(20))
    before, after = site.event(change - timedelta(milliseconds=1)), site.event(change)
    site.report([before, after])
    rollups.fold(zone=BERLIN)

    endpoint = site.endpoint()
    assert prices.current([endpoint], change)[endpoint.id] == new
    assert Charge.objects.get(id=first["id"]) == charged
    assert Charge.objects.get(id=first["id"]).amount == charged.amount == Decimal("0.006")
    assert Charge.objects.get(id=before["id"]).amount == Decimal("0.006")
    assert Charge.objects.get(id=after["id"]).amount == Decimal("0.024")
    assert Charge.objects.get(id=after["id"]).price == new


def test_a_price_set_for_later_waits_its_turn() -> None:
    site = make_site()
    now = timezone.now()
    later = site.price(valid_from=now + timedelta(days=60), input=Decimal(9))
    sooner = site.price(valid_from=now + timedelta(days=30), input=Decimal(5))

    assert sooner.valid_until == later.valid_from
    assert later.valid_until is None


def test_a_price_set_twice_for_the_same_moment_is_the_second() -> None:
    site = make_site()
    moment = timezone.now() + timedelta(days=1)
    first, second = site.price(valid_from=moment), site.price(valid_from=moment, input=Decimal(3))

    endpoint = site.endpoint()
    first.refresh_from_db()
    assert first.valid_until == first.valid_from
    assert prices.current([endpoint], moment)[endpoint.id] == second
    third = site.price(valid_from=moment + timedelta(days=1))
    second.refresh_from_db()
    assert second.valid_until == third.valid_from


def test_a_past_that_was_charged_is_not_priced_again() -> None:
    site = make_site()
    old = site.price(valid_from=MARCH)

    with pytest.raises(InvalidInput, match="valid_from: an own price held then") as refused:
        site.price(valid_from=MARCH + timedelta(days=1))

    assert refused.value.field == "valid_from"
    assert list(Price.objects.values_list("id", "valid_until")) == [(old.id, None)]


@pytest.mark.parametrize("who", ["owner", "reviewer", "integrator", "auditor", "admin", "stranger"])
def test_only_finance_and_governance_leads_set_prices(who: str) -> None:
    site = make_site()

    with pytest.raises(NotPermitted):
        prices.set_own_price(
            endpoint=site.endpoint(), currency="USD", valid_from=MARCH, by=site.cast.people[who], **RATES
        )

    assert not Price.objects.exists()
    assert not AuditEvent.objects.filter(action="prices.set_own_price").exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"input": Decimal(-1)}, None),
        ({"output": Decimal("0.00000000001")}, "output"),
        ({"input": Decimal(1_000_001)}, None),
        ({"input": Decimal("NaN")}, "input"),
        ({"currency": "usd"}, None),
        ({"currency": "EURO"}, "currency"),
        (dict.fromkeys(RATES), "input"),
    ],
)
def test_a_price_out_of_form_is_refused(given: dict[str, Any], field: str | None) -> None:
    site = make_site()
    said: dict[str, Any] = {"currency": "USD", **RATES} | given

    with pytest.raises(InvalidInput) as refused:
        prices.set_own_price(endpoint=site.endpoint(), valid_from=MARCH, by=site.cast.lead, **said)

    assert refused.value.field == field
    assert not Price.objects.exists()


def test_the_database_keeps_rates_and_lets_no_two_prices_overlap() -> None:
    site = make_site()
    price = site.price(valid_from=MARCH)
    twin = Price(
        kind="own", endpoint=price.endpoint, currency="USD", valid_from=MARCH + timedelta(days=9), source="own", **RATES
    )

    with pytest.raises(IntegrityError, match="price_one_own_at_a_time"), transaction.atomic():
        twin.save()
    changes: list[dict[str, Any]] = [{"input": 1}, {"currency": "EUR"}, {"valid_from": timezone.now()}]
    for change in changes:
        with pytest.raises(DatabaseError, match="rows keep their"), transaction.atomic():
            Price.objects.update(**change)
    with pytest.raises(DatabaseError, match="never deleted"), transaction.atomic():
        price.delete()
    assert Price.objects.get().input == 2
