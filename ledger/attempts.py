"""The attempts behind decisions, each with what it cost."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import OuterRef, Subquery, Sum, TextField
from django.db.models.functions import Cast, JSONObject

from ledger.models import Charge, UsageEvent
from ledger.models.decisions import DecisionQuerySet

AMOUNTS = """
SELECT event.decision_id, event.attempt, charge.amount, charge.currency
FROM ledger_usageevent event LEFT JOIN ledger_charge charge ON charge.id = event.id
WHERE event.decision_id = ANY(%s)
"""


@dataclass(frozen=True)
class Attempt:
    """One attempt with its charge.

    Not yet charged: `amount` and `unpriced` are both None, which the next fold ends within seconds.
    """

    event: UsageEvent
    amount: Decimal | None = None
    currency: str | None = None
    unpriced: str | None = None
    price: UUID | None = None

    @property
    def charged(self) -> bool:
        """Whether its cost is settled, be it that there is no price."""
        return self.amount is not None or self.unpriced is not None


@dataclass(frozen=True)
class Cost:
    """What attempts cost together: amounts by currency, and how many have no price, or none yet."""

    amounts: dict[str, Decimal]
    unpriced: int = 0
    pending: int = 0


def of(decisions: Collection[UUID]) -> dict[UUID, list[Attempt]]:
    """Return the attempts of each of these decisions in their order, in one query; those without any are not in it."""
    # As text: a number in JSON would be read as a float.
    charge = Charge.objects.filter(id=OuterRef("id")).values(
        charge=JSONObject(
            amount=Cast("amount", TextField()), currency="currency", unpriced="unpriced", price="price_id"
        )
    )
    events = UsageEvent.objects.filter(decision_id__in=decisions).annotate(charge=Subquery(charge))
    found: dict[UUID, list[Attempt]] = {}
    for event in events.order_by("decision_id", "attempt", "id"):
        found.setdefault(event.decision_id, []).append(_attempt(event, getattr(event, "charge", None)))
    return found


def amounts(decisions: Collection[UUID]) -> dict[UUID, dict[int, tuple[Decimal | None, str | None]]]:
    """Return what the attempts of these decisions were charged, by number: amount and currency, None where not priced.

    One query that reads nothing else; attempts not charged yet are None too, those that never arrived are not in it.
    """
    found: dict[UUID, dict[int, tuple[Decimal | None, str | None]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(AMOUNTS, [list(decisions)])
        for decision, attempt, amount, currency in cursor:
            found.setdefault(decision, {})[attempt] = (amount, currency)
    return found


def cost(attempts: Collection[Attempt], *, of: int) -> Cost:
    """Return what so many attempts cost together, of which these have arrived."""
    amounts: dict[str, Decimal] = {}
    unpriced, pending = 0, max(of - len(attempts), 0)
    for attempt in attempts:
        if attempt.amount is not None and attempt.currency is not None:
            amounts[attempt.currency] = amounts.get(attempt.currency, Decimal(0)) + attempt.amount
        elif attempt.charged:
            unpriced += 1
        else:
            pending += 1
    return Cost(amounts, unpriced, pending)


def amounts_of(decisions: DecisionQuerySet) -> dict[str, Decimal]:
    """Return what the charged attempts of these decisions cost, by currency; one query."""
    events = UsageEvent.objects.filter(decision_id__in=decisions.order_by().values("id"))
    charges = Charge.objects.filter(id__in=events.values("id"), amount__isnull=False)
    return dict(charges.values_list("currency").annotate(Sum("amount")).order_by("currency"))


def _attempt(event: UsageEvent, charge: dict[str, Any] | None) -> Attempt:
    if charge is None:
        return Attempt(event)
    amount, price = charge["amount"], charge["price"]
    return Attempt(
        event,
        amount=None if amount is None else Decimal(amount),
        currency=charge["currency"],
        unpriced=charge["unpriced"],
        price=None if price is None else UUID(price),
    )
