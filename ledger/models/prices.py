"""What a million tokens cost, from when until when: the provider's list, and an organisation's own prices."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Self

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import BigIntegerRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from governance.models import Endpoint, guards
from governance.models.accounts import TsTzRange
from governance.models.ids import Identified

BUCKETS = ("input", "output", "cache_read", "cache_write")
# USD 1 a token. With at most 1,000,000,000 tokens in a bucket every amount fits numeric(20,10).
HIGHEST_RATE = Decimal(1_000_000)


class Int8Range(Func):
    """The whole numbers from one column up to another, which is excluded."""

    function = "INT8RANGE"
    output_field = BigIntegerRangeField()


class PriceQuerySet(models.QuerySet["Price"]):
    """Prices by time and by what they are for."""

    def at(self, moment: datetime) -> Self:
        """Those that hold at a moment."""
        return self.filter(Q(valid_until=None) | Q(valid_until__gt=moment), valid_from__lte=moment)

    def own_of(self, endpoints: Iterable[Endpoint]) -> Self:
        """The organisation's own for these endpoints."""
        return self.filter(kind=Price.Kind.OWN, endpoint__in=list(endpoints))

    def listed(self, names: Iterable[tuple[str, str]]) -> Self:
        """The list prices of these (slug of the provider, its name of the model)."""
        wanted = set(names)
        if not wanted:
            return self.none()
        named = reduce(or_, (Q(provider=slug, model=name) for slug, name in sorted(wanted)))
        return self.filter(named, kind=Price.Kind.LIST)


class Price(Identified):
    """Rates per million tokens, for a time. What is charged keeps the row it was charged by, so rates never change.

    An own price is for one endpoint; a list price is for a provider's name of a model, and may hold only for requests
    with at least `input_from` and fewer than `input_below` tokens of input, cache included. A rate of None is not
    known: an attempt that used such tokens is unpriced.
    """

    class Kind(models.TextChoices):
        """Whose price it is."""

        LIST = "list", "List price"
        OWN = "own", "Own price"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, null=True, blank=True, related_name="prices")
    provider = models.CharField("the provider’s slug", max_length=60, null=True, blank=True)
    model = models.CharField("name at the provider", max_length=200, null=True, blank=True)
    input_from = models.PositiveBigIntegerField(default=0)
    input_below = models.PositiveBigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3)
    input = models.DecimalField(max_digits=20, decimal_places=10, null=True, blank=True)
    output = models.DecimalField(max_digits=20, decimal_places=10, null=True, blank=True)
    cache_read = models.DecimalField(max_digits=20, decimal_places=10, null=True, blank=True)
    cache_write = models.DecimalField(max_digits=20, decimal_places=10, null=True, blank=True)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)
    source = models.CharField("where it is from", max_length=120)

    objects = PriceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="price_for_one_thing",
                condition=Q(kind="own", endpoint__isnull=False, provider=None, model=None)
                & Q(input_from=0, input_below=None)
                | Q(kind="list", endpoint=None, provider__isnull=False, model__isnull=False),
                violation_error_message="An own price is for an endpoint, a list price for a provider’s model.",
            ),
            models.CheckConstraint(
                name="price_currency_form",
                condition=Q(currency__regex=r"^[A-Z]{3}$"),
                violation_error_message="Write the currency as three capital letters, such as USD.",
            ),
            models.CheckConstraint(
                name="price_ends_after_start",
                condition=Q(valid_until=None) | Q(valid_until__gte=F("valid_from")),
                violation_error_message="A price ends after it begins.",
            ),
            models.CheckConstraint(
                name="price_input_range",
                condition=Q(input_below=None) | Q(input_below__gt=F("input_from")),
                violation_error_message="input_below is above input_from.",
            ),
            models.CheckConstraint(
                name="price_rates_bounded",
                condition=Q(input__range=(0, HIGHEST_RATE))
                & Q(output__range=(0, HIGHEST_RATE))
                & Q(cache_read__range=(0, HIGHEST_RATE))
                & Q(cache_write__range=(0, HIGHEST_RATE)),
                violation_error_message="A rate is between 0 and 1,000,000 for a million tokens.",
            ),
            ExclusionConstraint(
                name="price_one_own_at_a_time",
                expressions=[
                    ("endpoint", RangeOperators.EQUAL),
                    (TsTzRange("valid_from", "valid_until", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                condition=Q(kind="own"),
                violation_error_message="This endpoint has an own price at that time already.",
            ),
            ExclusionConstraint(
                name="price_one_list_at_a_time",
                expressions=[
                    ("provider", RangeOperators.EQUAL),
                    ("model", RangeOperators.EQUAL),
                    (Int8Range("input_from", "input_below", RangeBoundary()), RangeOperators.OVERLAPS),
                    (TsTzRange("valid_from", "valid_until", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                condition=Q(kind="list"),
                violation_error_message="This model has a list price at that time already.",
            ),
        ]
        indexes = [
            models.Index(fields=["endpoint", "-valid_from"], name="price_own", condition=Q(kind="own")),
            models.Index(fields=["provider", "model", "-valid_from"], name="price_list", condition=Q(kind="list")),
        ]
        triggers = [
            *guards.kept(
                fixed=[
                    *("id", "created_at", "kind", "endpoint_id", "provider", "model", "input_from", "input_below"),
                    *("currency", *BUCKETS, "valid_from", "source"),
                ]
            ),
            guards.audited(
                within={
                    "price": "SELECT id::text FROM ledger_price other WHERE other.endpoint_id = NEW.endpoint_id"
                    " OR (other.provider, other.model) = (NEW.provider, NEW.model)"
                }
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.endpoint or f'{self.provider} {self.model}'}"

    @property
    def team_id(self) -> None:
        """Prices belong to the organisation."""
        return None
