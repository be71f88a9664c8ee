"""List prices: taken from genai-prices for hosted models, kept up to date, never changed afterwards."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices import data_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from governance.accounts import NotPermitted
from governance.audit import Service
from governance.models import AuditEvent, Endpoint
from ledger import catalogue, prices, rollups, tasks
from ledger.models import Charge, Price
from tests.cast import make_model, make_provider
from tests.ledger.reports import BERLIN, Site, make_site

pytestmark = pytest.mark.django_db

LIST = Service("list prices")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def host(site: Site, provider: str, *models: str) -> list[Endpoint]:
    """Register hosted endpoints of a provider's models."""
    cast = site.cast
    account = make_provider(provider)
    place = ("frontier", cast.owner, cast.team, account, cast.production)
    made = [make_model(name, *place, hosting="hosted") for name in models]
    return list(Endpoint.objects.select_related("provider").filter(version__model__in=made).order_by("upstream_model"))


@pytest.fixture
def sold() -> Iterator[list[ModelInfo]]:
    """What a provider `shop` sells, in place of the bundled catalogue."""
    models: list[ModelInfo] = []
    shop = Provider(id="shop", name="Shop", api_pattern="https://shop", models=models)
    data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot(providers=[shop], from_auto_update=False))
    yield models
    data_snapshot.set_custom_snapshot(None)


def model(name: str, *priced: ModelPrice | ConditionalPrice) -> ModelInfo:
    """A model with one price, or several with their conditions."""
    conditional = [each for each in priced if isinstance(each, ConditionalPrice)]
    (plain, *_) = [each for each in priced if isinstance(each, ModelPrice)] or [ModelPrice()]
    return ModelInfo(id=name, match=ClauseEquals(equals=name), prices=conditional or plain)


def test_known_hosted_models_get_their_list_price_with_its_past() -> None:
    site = make_site()
    (o3,) = host(site, "openai", "o3")

    written = prices.seed_list_prices(now=NOW, by=LIST)

    assert written == Price.objects.count() == 2
    old, new = Price.objects.order_by("valid_from")
    assert (old.provider, old.model, old.kind, old.currency, old.source) == (
        "openai", "o3", "list", "USD", catalogue.SOURCE,
    )  # fmt: skip
    assert [old.input, old.output] == [10, 40]
    assert old.valid_until == new.valid_from == datetime(2025, 6, 10, tzinfo=UTC)
    assert [new.input, new.output, new.cache_read, new.cache_write] == [2, 8, Decimal("0.5"), None]
    assert prices.current([o3], NOW) == {o3.id: new}
    assert AuditEvent.objects.filter(action="prices.seed_list_prices").count() == 1


def test_seeding_again_writes_nothing() -> None:
    site = make_site()
    host(site, "openai", "gpt-4o", "gpt-5.4")
    host(site, "anthropic", "claude-sonnet-4-5")
    prices.seed_list_prices(now=NOW, by=LIST)
    before = list(Price.objects.order_by("id").values())

    assert prices.seed_list_prices(now=NOW + timedelta(days=400), by=LIST) == 0
    assert list(Price.objects.order_by("id").values()) == before


def test_self_hosted_and_unknown_models_get_none() -> None:
    site = make_site()
    host(site, "openai", "not-yet-invented")
    host(site, "nowhere", "gpt-4o")

    assert prices.seed_list_prices(now=NOW, by=LIST) == 0
    assert prices.current([site.endpoint()], NOW) == {}


def test_an_own_price_goes_before_the_list() -> None:
    site = make_site()
    (o3,) = host(site, "openai", "o3")
    prices.seed_list_prices(now=NOW, by=LIST)

    own = prices.set_own_price(
        endpoint=o3, input=Decimal(1), output=Decimal(2), cache_read=None, cache_write=None, currency="EUR",
        valid_from=NOW, by=site.cast.finance,
    )  # fmt: skip

    assert prices.current([o3], NOW) == {o3.id: own}
    assert prices.current([o3], NOW - timedelta(seconds=1))[o3.id].kind == "list"


def test_above_a_threshold_the_whole_request_has_the_higher_rate() -> None:
    site = make_site()
    (sonnet,) = host(site, "anthropic", "claude-sonnet-4-5")
    prices.seed_list_prices(now=NOW, by=LIST)
    given = {"endpoint": str(sonnet.id), "cache_read_tokens": 100_000, "output_tokens": 1000}
    at, above = (site.event(NOW) | given | {"input_tokens": 100_000 + more} for more in (0, 1))

    site.report([at, above], NOW)
    rollups.fold(zone=BERLIN)

    assert Charge.objects.get(id=at["id"]).amount == Decimal("0.3") + Decimal("0.03") + Decimal("0.015")
    assert Charge.objects.get(id=above["id"]).amount == Decimal("0.600006") + Decimal("0.06") + Decimal("0.0225")


def test_a_list_that_changes_ends_the_old_price_now_and_announced_ones_keep_their_day(sold: list[ModelInfo]) -> None:
    site = make_site()
    (endpoint,) = host(site, "shop", "hammer")
    sold[:] = [model("hammer", ModelPrice(input_mtok=Decimal(3), output_mtok=Decimal(6)))]
    prices.seed_list_prices(now=NOW, by=LIST)
    start = date(2026, 12, 24)
    sold[:] = [
        model(
            "hammer",
            ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(2), output_mtok=Decimal(6))),
            ConditionalPrice(
                StartDateConstraint(start), prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(6))
            ),
        )
    ]
    data_snapshot.get_snapshot()._lookup_cache.clear()
    later = NOW + timedelta(days=1)

    assert prices.seed_list_prices(now=later, by=LIST) == 2

    def rate(moment: datetime) -> Decimal | None:
        return prices.current([endpoint], moment)[endpoint.id].input

    christmas = datetime(2026, 12, 24, tzinfo=UTC)
    assert [rate(later - timedelta(seconds=1)), rate(later), rate(christmas - timedelta(seconds=1))] == [3, 2, 2]
    assert rate(christmas) == 1
    assert prices.seed_list_prices(now=later + timedelta(seconds=1), by=LIST) == 0
    assert prices.seed_list_prices(now=christmas + timedelta(days=1), by=LIST) == 0


def test_an_announced_price_that_is_called_off_never_holds(sold: list[ModelInfo]) -> None:
    site = make_site()
    (endpoint,) = host(site, "shop", "hammer")
    now_price = ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(2), output_mtok=Decimal(6)))
    announced = ConditionalPrice(
        StartDateConstraint(date(2026, 12, 24)), prices=ModelPrice(input_mtok=Decimal(9), output_mtok=Decimal(6))
    )
    sold[:] = [model("hammer", now_price, announced)]
    prices.seed_list_prices(now=NOW, by=LIST)
    sold[:] = [model("hammer", now_price)]
    data_snapshot.get_snapshot()._lookup_cache.clear()

    prices.seed_list_prices(now=NOW + timedelta(days=1), by=LIST)

    assert prices.current([endpoint], datetime(2027, 1, 1, tzinfo=UTC))[endpoint.id].input == 2


@pytest.mark.parametrize(
    "priced",
    [
        [ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(1))),
         ConditionalPrice(TimeOfDateConstraint(datetime.min.time(), datetime.max.time()),
                          prices=ModelPrice(input_mtok=Decimal(2)))],
        [ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1), requests_kcount=Decimal(5))],
        [ModelPrice(output_mtok=Decimal(1))],
        [],
    ],
)  # fmt: skip
def test_what_rates_per_token_do_not_say_stays_without_a_price(
    sold: list[ModelInfo], priced: list[ModelPrice | ConditionalPrice]
) -> None:
    site = make_site()
    host(site, "shop", "hammer")
    sold[:] = [model("hammer", *priced)]

    assert prices.seed_list_prices(now=NOW, by=LIST) == 0
    assert not Price.objects.exists()


def test_buckets_may_have_thresholds_of_their_own(sold: list[ModelInfo]) -> None:
    sold[:] = [
        model(
            "hammer",
            ModelPrice(
                input_mtok=TieredPrices(base=Decimal(1), tiers=[Tier(start=10, price=Decimal(2))]),
                output_mtok=TieredPrices(base=Decimal(5), tiers=[Tier(start=20, price=Decimal(7))]),
            ),
        )
    ]

    bands = catalogue.list_prices(provider="shop", model="hammer")

    assert [[band.input_from, band.input_below, *band.rates[:2]] for band in bands] == [
        [0, 11, 1, 5],
        [11, 21, 2, 5],
        [21, None, 2, 7],
    ]


def test_the_fold_seeds_first_so_that_a_new_models_first_attempt_is_priced() -> None:
    site = make_site()
    (o3,) = host(site, "openai", "o3")
    site.report([site.event(endpoint=str(o3.id))])

    tasks.fold()

    assert Charge.objects.get().amount == Decimal("0.006")


def test_only_those_who_may_edit_prices_seed() -> None:
    site = make_site()
    host(site, "openai", "o3")

    with pytest.raises(NotPermitted):
        prices.seed_list_prices(now=NOW, by=site.cast.auditor)
    with pytest.raises(NotPermitted):
        prices.seed_list_prices(now=NOW, by=Service("review expiry"))
    assert not Price.objects.exists()
