"""What the tokens of an attempt cost at the snapshot's prices; not known is never zero."""

from decimal import Decimal, localcontext

import msgspec
import pytest

from smallfirst import engine
from smallfirst.engine import Amount, Snapshot
from tests.engine.made import GRAND, LEXICON, MINILM, REGISTRY, ident, make_price, make_snapshot

PRICES = (
    make_price(LEXICON, "0.15", "0.60", cache_read="0.075", cache_write="0.2"),
    make_price(MINILM, "1", None, currency="EUR"),
)


@pytest.fixture
def snapshot() -> Snapshot:
    return make_snapshot(registry=msgspec.structs.replace(REGISTRY, prices=PRICES))


def test_every_bucket_has_its_own_price(snapshot: Snapshot) -> None:
    amount = engine.cost(
        snapshot, LEXICON, input_tokens=1000, output_tokens=200, cache_read_tokens=10, cache_write_tokens=3
    )

    assert amount == Amount("USD", Decimal("0.00027135"))


def test_what_was_not_used_needs_no_price(snapshot: Snapshot) -> None:
    assert engine.cost(snapshot, MINILM, input_tokens=5, output_tokens=0) == Amount("EUR", Decimal("0.000005"))
    assert engine.cost(snapshot, LEXICON, input_tokens=0, output_tokens=0) == Amount("USD", Decimal(0))


@pytest.mark.parametrize(
    ("endpoint", "counts"),
    [
        (MINILM, {"input_tokens": 5, "output_tokens": 1}),
        (MINILM, {"input_tokens": 5, "output_tokens": 0, "cache_read_tokens": 1}),
        (LEXICON, {"input_tokens": None, "output_tokens": 1}),
        (LEXICON, {"input_tokens": 1, "output_tokens": None}),
        (GRAND, {"input_tokens": 1, "output_tokens": 1}),
        (ident(77), {"input_tokens": 1, "output_tokens": 1}),
    ],
)
def test_what_is_not_known_is_not_priced(snapshot: Snapshot, endpoint: str, counts: dict[str, int]) -> None:
    assert engine.cost(snapshot, endpoint, **counts) is None


def test_the_callers_precision_changes_nothing(snapshot: Snapshot) -> None:
    exact = engine.cost(snapshot, LEXICON, input_tokens=123_456_789, output_tokens=987_654_321)

    with localcontext(prec=3):
        assert engine.cost(snapshot, LEXICON, input_tokens=123_456_789, output_tokens=987_654_321) == exact
        assert make_snapshot(registry=msgspec.structs.replace(REGISTRY, prices=PRICES)).rates == snapshot.rates
