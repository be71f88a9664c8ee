"""What the tokens of one attempt cost at the snapshot's prices; the ledger's own sums never come from here."""

from decimal import Decimal

from smallfirst.engine.compiled import Snapshot
from smallfirst.engine.decision import Output
from smallfirst.engine.guards import EXACT


class Amount(Output, frozen=True):
    """An exact amount of money in a currency (ISO 4217)."""

    currency: str
    amount: Decimal


def cost(
    snapshot: Snapshot,
    endpoint: str,
    *,
    input_tokens: int | None,
    output_tokens: int | None,
    cache_read_tokens: int = 0,
    cache_write_tokens: int = 0,
) -> Amount | None:
    """Return what these disjoint token counts cost at an endpoint (id); None where a count or a price is not known."""
    rates = snapshot.rates.get(endpoint)
    if rates is None:
        return None
    total = Decimal(0)
    for tokens, rate in (
        (input_tokens, rates.input),
        (output_tokens, rates.output),
        (cache_read_tokens, rates.cache_read),
        (cache_write_tokens, rates.cache_write),
    ):
        if tokens == 0:
            continue
        if tokens is None or rate is None:
            return None
        total = EXACT.add(total, EXACT.multiply(rate, tokens))
    return Amount(rates.currency, total)
