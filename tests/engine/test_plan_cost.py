"""Planning under a cost ceiling: what an attempt may cost at most, and what cannot be priced."""

from decimal import Decimal

import msgspec
import pytest

from smallfirst.engine import Signals
from smallfirst.engine.policy import Guards, Limits, Rung
from smallfirst.engine.snapshot import Price
from tests.engine.made import (
    LEXICON,
    REGISTRY,
    left_out_of,
    make_facts,
    make_policy,
    make_price,
    make_rule,
    make_step,
    models_of,
    planned,
    refused,
)


def test_a_cost_ceiling_holds_the_dearest_attempt_against_it() -> None:
    facts, signals = make_facts(max_output_tokens=1_000), Signals(input_tokens=2_000)
    at_ceiling = Guards(max_cost="0.0004")

    plan = planned(make_policy(guards=at_ceiling), facts=facts, signals=signals)

    assert plan.max_cost == Decimal("0.0004")
    assert left_out_of(plan) == {"grand": ("cost", "it may cost up to USD 0.021, the ceiling is USD 0.0004")}
    place = plan.rungs[1].endpoints[0]
    assert (place.input_cost, place.output_rate) == (Decimal("0.0002"), Decimal("0.0000002"))
    assert place.most == Decimal("0.0004")
    below = planned(make_policy(guards=Guards(max_cost="0.00039999")), facts=facts, signals=signals)
    assert models_of(below) == ["lexicon"]


def test_the_narrowest_cost_ceiling_holds() -> None:
    step = make_step(limits=Limits(max_output_tokens=10))
    rule = make_rule(guards=Guards(max_cost="0.5"))

    assert planned(make_policy(step, guards=Guards(max_cost="1"), rules=(rule,))).max_cost == Decimal("0.5")
    assert planned(make_policy(step, guards=Guards(max_cost="0.2"), rules=(rule,))).max_cost == Decimal("0.2")
    assert planned(make_policy(step, rules=(rule,))).max_cost == Decimal("0.5")


@pytest.mark.parametrize(
    ("prices", "max_output_tokens", "clause", "text"),
    [
        ((), 10, "price_unknown", "its price is not known, and cost has a ceiling"),
        ((make_price(LEXICON, None, "1"),), 10, "price_unknown", "its price is not known, and cost has a ceiling"),
        ((make_price(LEXICON, "1", None),), 10, "price_unknown", "its price is not known, and cost has a ceiling"),
        (
            (make_price(LEXICON, "1", "1", currency="EUR"),),
            10,
            "price_unknown",
            "it is priced in EUR, and the ceiling is in USD",
        ),
        (
            (make_price(LEXICON, "1", "1"),),
            None,
            "unbounded_cost",
            "its output has no limit, and cost has a ceiling",
        ),
    ],
)
def test_what_cannot_be_priced_is_left_out_under_a_ceiling(
    prices: tuple[Price, ...], max_output_tokens: int | None, clause: str, text: str
) -> None:
    registry = msgspec.structs.replace(REGISTRY, prices=prices)
    policy = make_policy(make_step(ladder=(Rung(model="lexicon"),)), guards=Guards(max_cost="1"))

    refusal = refused(policy, registry=registry, facts=make_facts(max_output_tokens=max_output_tokens))

    assert left_out_of(refusal) == {"lexicon": (clause, text)}
    assert (refusal.code, refusal.clause) == ("not_allowed", clause)
