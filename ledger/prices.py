"""Prices: which one holds when, the organisation's own, and the providers' lists."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from governance import accounts, audit
from governance.audit import Actor
from governance.errors import InvalidInput, store
from governance.models import Endpoint, Hosting
from ledger import catalogue
from ledger.catalogue import ListPrice
from ledger.models import Price
from ledger.models.prices import BUCKETS


def current(endpoints: Iterable[Endpoint], at: datetime) -> dict[UUID, Price]:
    """Return the price of each endpoint at a moment, by its id; an endpoint without a price is not in it.

    The organisation's own goes before the list. Where the list has several by size of request, it is the one of the
    smallest. Two queries; endpoints come with their provider.
    """
    served = list(endpoints)
    own = {price.endpoint_id: price for price in Price.objects.own_of(served).at(at)}
    names = {(endpoint.provider.slug, endpoint.upstream_model) for endpoint in served}
    listed = {(price.provider, price.model): price for price in Price.objects.listed(names).at(at).filter(input_from=0)}
    found = {
        endpoint.id: own.get(endpoint.id) or listed.get((endpoint.provider.slug, endpoint.upstream_model))
        for endpoint in served
    }
    return {endpoint: price for endpoint, price in found.items() if price is not None}


def history(endpoints: Iterable[Endpoint]) -> dict[UUID, list[Price]]:
    """Return all prices each endpoint ever had, own and listed, newest first, by its id; two queries.

    Those that were replaced before they began are left out. Endpoints come with their provider.
    """
    served = list(endpoints)
    names = {(endpoint.provider.slug, endpoint.upstream_model) for endpoint in served}
    found: dict[UUID, list[Price]] = {endpoint.id: [] for endpoint in served}
    own = Price.objects.own_of(served).exclude(valid_until=F("valid_from"))
    listed = list(
        Price.objects.listed(names).exclude(valid_until=F("valid_from")).order_by("-valid_from", "input_from")
    )
    for price in own.order_by("-valid_from"):
        if price.endpoint_id:
            found[price.endpoint_id].append(price)
    for endpoint in served:
        name = (endpoint.provider.slug, endpoint.upstream_model)
        found[endpoint.id] += [price for price in listed if (price.provider, price.model) == name]
    return found


@transaction.atomic
def set_own_price(
    *,
    endpoint: Endpoint,
    input: Decimal | None,  # noqa: A002 (the bucket's name)
    output: Decimal | None,
    cache_read: Decimal | None,
    cache_write: Decimal | None,
    currency: str,
    valid_from: datetime,
    by: Actor,
) -> Price:
    """Set what an endpoint costs from a moment on, in a currency per million tokens; None is not known, not free.

    Holds until the next own price of this endpoint, if one is set already. What was charged stays charged. Raises
    NotPermitted, and InvalidInput for no rate at all, a rate or currency out of form, or a start before now where an
    own price held.
    """
    accounts.require(by, "prices.edit", accounts.ORGANISATION)
    if (input, output, cache_read, cache_write) == (None, None, None, None):
        raise InvalidInput("input: write at least one rate; 0 is free, an empty one is not known", field="input")
    # Whoever sets a price of this endpoint waits here.
    endpoint = Endpoint.objects.select_for_update(of=("self",)).select_related("version__model").get(pk=endpoint.pk)
    own = Price.objects.own_of([endpoint]).exclude(valid_until=F("valid_from"))
    held = own.at(valid_from).first()
    after = own.filter(valid_from__gt=valid_from).order_by("valid_from").first()
    before = _facts(held) if held else None
    if held is not None:
        if valid_from < timezone.now():
            raise InvalidInput(
                "valid_from: an own price held then, and was charged; choose a time from now on", field="valid_from"
            )
        held.valid_until = valid_from
        held.save(update_fields=["valid_until"])
    price = Price(
        kind=Price.Kind.OWN,
        endpoint=endpoint,
        input=input,
        output=output,
        cache_read=cache_read,
        cache_write=cache_write,
        currency=currency,
        valid_from=valid_from,
        valid_until=after.valid_from if after else None,
        source="own",
    )
    store(price)
    audit.record(
        action="prices.set_own_price",
        actor=by,
        object=price,
        summary=f"Set the price of {endpoint.version.model.name} at {endpoint.url}",
        before=before,
        after=_facts(price),
    )
    return price


def seed_list_prices(*, now: datetime, by: Actor) -> int:
    """Write the list prices of every hosted endpoint's model that are not written yet; return how many rows were.

    Run as often as you like. A model's first time brings its past prices and announced ones; later, a list that has
    changed ends the old rows and begins new ones, at the earliest now. Raises NotPermitted.
    """
    accounts.require(by, "prices.edit", accounts.ORGANISATION)
    if not _outdated(now):
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        # One at a time; the other then finds all written.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ledger.seed_list_prices'))")
        outdated = _outdated(now)
        return sum(_renew(name, *prices, now=now, by=by) for name, prices in outdated.items())


def _outdated(now: datetime) -> dict[tuple[str, str], tuple[list[Price], list[ListPrice]]]:
    """The hosted models whose rows are not what the list says from now on: their rows, and the list."""
    hosted = Endpoint.objects.filter(hosting=Hosting.HOSTED).order_by("provider__slug", "upstream_model")
    names = set(hosted.values_list("provider__slug", "upstream_model"))
    written: dict[tuple[str, str], list[Price]] = {name: [] for name in sorted(names)}
    for price in Price.objects.listed(names).exclude(valid_until=F("valid_from")).order_by("valid_from", "input_from"):
        written[price.provider or "", price.model or ""].append(price)
    outdated = {}
    for name, rows in written.items():
        listed = catalogue.list_prices(provider=name[0], model=name[1])
        of_rows = [_as_listed(row) for row in rows]
        # A model that left the list keeps the price it had.
        if listed and (not rows or _from_now_on(of_rows, now) != _from_now_on(listed, now)):
            outdated[name] = (rows, listed)
    return outdated


def _renew(name: tuple[str, str], rows: list[Price], listed: list[ListPrice], *, now: datetime, by: Actor) -> int:
    for row in rows:
        if row.valid_until is None or row.valid_until > now:
            row.valid_until = max(now, row.valid_from)
            row.save(update_fields=["valid_until"])
    provider, model = name
    made = [
        Price(
            kind=Price.Kind.LIST,
            provider=provider,
            model=model,
            input_from=each.input_from,
            input_below=each.input_below,
            currency=catalogue.CURRENCY,
            valid_from=each.start,
            valid_until=each.end,
            source=catalogue.SOURCE,
            **dict(zip(BUCKETS, each.rates, strict=True)),
        )
        for each in (_from_now_on(listed, now) if rows else listed)
    ]
    Price.objects.bulk_create(made)
    audit.record(
        action="prices.seed_list_prices",
        actor=by,
        object=made[-1],
        summary=f"Took the list price of {provider} {model} from {catalogue.SOURCE}",
        before={"prices": [_facts(row) for row in rows]} if rows else None,
        after={"prices": [_facts(row) for row in made]},
    )
    return len(made)


def _as_listed(row: Price) -> ListPrice:
    rates = tuple(getattr(row, bucket) for bucket in BUCKETS)
    return ListPrice(row.valid_from, row.valid_until, row.input_from, row.input_below, rates)


def _from_now_on(prices: list[ListPrice], now: datetime) -> list[ListPrice]:
    """The same prices as if time began now."""
    left = [price for price in prices if price.end is None or price.end > now]
    return [
        ListPrice(max(price.start, now), price.end, price.input_from, price.input_below, price.rates) for price in left
    ]


def _facts(price: Price) -> Mapping[str, object]:
    return {
        **{bucket: getattr(price, bucket) for bucket in BUCKETS},
        "currency": price.currency,
        "input_from": price.input_from,
        "valid_from": price.valid_from,
        "valid_until": price.valid_until,
    }
