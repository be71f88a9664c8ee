"""Providers' list prices out of genai-prices, as rates for a time and a size of request."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal

import genai_prices
from genai_prices import data_snapshot
from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, TieredPrices

from ledger.models.prices import BUCKETS

SOURCE = f"genai-prices {genai_prices.__version__}"
CURRENCY = "USD"
# "Since it is sold": before any attempt.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

_KEY = {bucket: f"{bucket}_mtok" for bucket in BUCKETS}
# A fee for each request, and dearer kinds of output that count as output: rates per token would say too little.
_BEYOND_TOKENS = ("requests_kcount", "output_reasoning_mtok", "output_citation_mtok")


@dataclass(frozen=True)
class ListPrice:
    """Rates in USD per million tokens, None where not known, from `start` (UTC) until before `end`.

    They hold for requests with at least `input_from` and fewer than `input_below` tokens of input, cache included.
    """

    start: datetime
    end: datetime | None
    input_from: int
    input_below: int | None
    rates: tuple[Decimal | None, ...]


def list_prices(*, provider: str, model: str) -> list[ListPrice]:
    """Return a model's list prices, past and announced, oldest first, by the provider's slug and its name of the model.

    Empty where the model is not known, or priced in a way that rates per token do not say (by the hour of the day, by
    the request).
    """
    try:
        _, found = data_snapshot.get_snapshot().find_provider_model(model, None, provider, None)
    except LookupError:
        return []
    starts = _starts(found)
    if starts is None:
        return []
    prices = []
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        at_that_time = found.get_prices(start)
        if any(getattr(at_that_time, key) for key in _BEYOND_TOKENS) or at_that_time.input_mtok is None:
            return []
        prices += [ListPrice(start, end, *band) for band in _bands(at_that_time)]
    return prices


def _starts(model: ModelInfo) -> list[datetime] | None:
    """When each of a model's prices begins; None if one begins every day at an hour."""
    if isinstance(model.prices, ModelPrice):
        return [BEGINNING]
    limits = [priced.constraint for priced in model.prices if priced.constraint is not None]
    dates = {limit.start_date for limit in limits if isinstance(limit, StartDateConstraint)}
    if len(dates) < len(limits) or not model.prices:
        return None
    return [BEGINNING, *(datetime.combine(date, time(), tzinfo=UTC) for date in sorted(dates))]


def _bands(price: ModelPrice) -> Iterable[tuple[int, int | None, tuple[Decimal | None, ...]]]:
    """A price's rates by size of request: above a threshold the whole request is charged at the higher rates."""
    rates = [getattr(price, _KEY[bucket]) for bucket in BUCKETS]
    steps = {tier.start + 1 for rate in rates if isinstance(rate, TieredPrices) for tier in rate.tiers}
    froms = [0, *sorted(steps)]
    for size, below in zip(froms, [*froms[1:], None], strict=True):
        yield size, below, tuple(_rate(rate, size) for rate in rates)


def _rate(rate: Decimal | TieredPrices | None, size: int) -> Decimal | None:
    if isinstance(rate, TieredPrices):
        reached = [tier.price for tier in rate.tiers if size > tier.start]
        return reached[-1] if reached else rate.base
    return rate
