"""Planning one request: the ladder, its start, what is left out, and every way to be refused."""

import msgspec
import pytest

from smallfirst.engine import PlannedEndpoint, PolicyNumber, Signals, State
from smallfirst.engine.policy import (
    DataClassAtLeast,
    Gate,
    Guards,
    InputTokens,
    LanguageIs,
    Limits,
    ModelIs,
    RiskAtLeast,
    Rung,
    SignalBetween,
    Start,
    StepIs,
    TagIs,
)
from smallfirst.engine.snapshot import Registry
from tests.engine.made import (
    GRAND,
    LEXICON,
    MINILM,
    MINILM_SPARE,
    REGISTRY,
    VERSION,
    ident,
    left_out_of,
    make_endpoint,
    make_facts,
    make_model,
    make_policy,
    make_review,
    make_rule,
    make_standard,
    make_step,
    models_of,
    planned,
    refused,
    with_standards,
)

HARD = Signals(characters=5000, sentences=9, questions=3)


def test_a_request_gets_the_ladder_of_its_step() -> None:
    plan = planned()

    assert plan.policy_version == PolicyNumber(VERSION, 3)
    assert plan.step == "sentiment"
    assert models_of(plan) == ["lexicon", "minilm", "grand"]
    assert [[place.id for place in rung.endpoints] for rung in plan.rungs] == [
        [LEXICON],
        [MINILM, MINILM_SPARE],
        [GRAND],
    ]
    assert [rung.keep_from for rung in plan.rungs] == [0.8, 0.8, 0.8]
    assert (plan.start, plan.start_rule, plan.triage) == (0, None, "easy")
    assert plan.left_out == ()
    assert plan.rules == ()
    assert (plan.review, plan.review_rule, plan.max_cost) == (None, None, None)


def test_a_rung_of_its_own_confidence_keeps_it() -> None:
    step = make_step(ladder=(Rung(model="lexicon", keep_from=0.95), Rung(model="minilm")))

    assert [rung.keep_from for rung in planned(make_policy(step)).rungs] == [0.95, 0.8]


def test_without_a_gate_no_confidence_is_asked() -> None:
    step = make_step(gate=None, ladder=(Rung(model="lexicon", keep_from=0.95),))

    plan = planned(make_policy(step))

    assert plan.gate is None
    assert [rung.keep_from for rung in plan.rungs] == [None]


def test_endpoints_are_asked_in_their_order_and_ties_by_id() -> None:
    registry = Registry(
        models=(make_model("lexicon"),),
        endpoints=tuple(make_endpoint(number, "lexicon", order=order) for number, order in ((5, 2), (7, 1), (6, 1))),
        prices=(),
    )
    step = make_step(ladder=(Rung(model="lexicon"),))

    plan = planned(make_policy(step), registry=registry)

    assert plan.rungs[0].endpoints == tuple(PlannedEndpoint(ident(0x1000 + number)) for number in (6, 7, 5))


def test_a_step_without_a_part_of_its_own_takes_the_part_of_every_step() -> None:
    policy = make_policy(make_step(), make_step(name="*", ladder=(Rung(model="grand"),)))

    assert models_of(planned(policy, facts=make_facts(step="reply"))) == ["grand"]
    assert models_of(planned(policy, facts=make_facts(step="*"))) == ["grand"]
    assert models_of(planned(policy)) == ["lexicon", "minilm", "grand"]


def test_of_two_parts_for_one_step_the_first_holds() -> None:
    policy = make_policy(make_step(ladder=(Rung(model="minilm"),)), make_step())

    assert models_of(planned(policy)) == ["minilm"]


def test_an_unknown_step_is_not_allowed() -> None:
    refusal = refused(facts=make_facts(step="reply"))

    assert (refusal.code, refusal.clause) == ("not_allowed", "step")
    assert refusal.text == "the policy has no step “reply”"
    assert refusal.policy_version == PolicyNumber(VERSION, 3)


def test_a_workflow_that_the_bundle_does_not_hold_yet_is_not_served_for_now() -> None:
    refusal = refused(facts=make_facts(workflow=ident(99)))

    assert (refusal.code, refusal.clause, refusal.policy_version) == ("no_model_available", "workflow", None)


@pytest.mark.parametrize(
    ("signals", "start"),
    [(Signals(), 0), (Signals(code=1), 1), (HARD, 2)],
)
def test_triage_chooses_where_the_ladder_is_entered(signals: Signals, start: int) -> None:
    step = make_step(start=Start(easy="small", medium="mid", hard="frontier"))

    assert planned(make_policy(step), signals=signals).start == start


def test_a_tier_above_the_ladder_enters_at_its_top() -> None:
    step = make_step(
        ladder=(Rung(model="lexicon"), Rung(model="minilm")), start=Start(easy="small", medium="mid", hard="frontier")
    )

    assert planned(make_policy(step), signals=HARD).start == 1


def test_the_first_rule_that_chooses_makes_the_choice() -> None:
    rules = (
        make_rule("never", when=(StepIs(is_=("reply",)),), start="frontier"),
        make_rule("confident", keep_from=0.9),
        make_rule("mid first", start="mid", keep_from=0.5),
        make_rule("top first", start="frontier"),
    )
    step = make_step(start=Start(easy="small", medium="small", hard="small"))

    plan = planned(make_policy(step, rules=rules))

    assert plan.rules == ("confident", "mid first", "top first")
    assert (plan.start, plan.start_rule) == (1, "mid first")
    assert plan.gate == Gate(keep_from=0.9)
    assert {rung.keep_from for rung in plan.rungs} == {0.9}


def test_a_rule_can_give_a_gate_to_a_step_without_one() -> None:
    plan = planned(make_policy(make_step(gate=None), rules=(make_rule(keep_from=0.7),)))

    assert plan.gate == Gate(keep_from=0.7)
    assert {rung.keep_from for rung in plan.rungs} == {0.7}


@pytest.mark.parametrize(
    ("condition", "fires", "does_not"),
    [
        (StepIs(is_=("sentiment", "reply")), {}, {"step": "other"}),
        (DataClassAtLeast(at_least="internal"), {"data_class": "confidential"}, {"data_class": "public"}),
        (RiskAtLeast(at_least="high"), {"risk": "high"}, {"risk": "limited"}),
        (LanguageIs(is_=("de", "fr")), {"language": "de"}, {"language": None}),
        (TagIs(name="amount", is_=("high", "huge")), {"tags": (("amount", "huge"),)}, {"tags": (("other", "huge"),)}),
        (ModelIs(is_=("auto",)), {"model": "auto"}, {"model": "lexicon"}),
    ],
)
def test_a_condition_on_facts_fires_its_rule(
    condition: object, fires: dict[str, object], does_not: dict[str, object]
) -> None:
    policy = make_policy(make_step(name="*"), rules=(make_rule(when=(condition,), start="mid"),))

    assert planned(policy, facts=make_facts(**fires)).rules == ("a rule",)
    assert planned(policy, facts=make_facts(**does_not)).rules == ()


@pytest.mark.parametrize(
    ("condition", "fires", "does_not"),
    [
        (InputTokens(at_least=10), 10, 9),
        (InputTokens(at_most=10), 10, 11),
        (InputTokens(at_least=5, at_most=10), 7, 11),
        (SignalBetween(name="input_tokens", at_least=7.5), 8, 7),
    ],
)
def test_a_condition_on_signals_includes_its_bounds(condition: object, fires: int, does_not: int) -> None:
    policy = make_policy(rules=(make_rule(when=(condition,), start="mid"),))

    assert planned(policy, signals=Signals(input_tokens=fires)).rules == ("a rule",)
    assert planned(policy, signals=Signals(input_tokens=does_not)).rules == ()


def test_all_conditions_of_a_rule_must_hold() -> None:
    rule = make_rule(when=(LanguageIs(is_=("de",)), RiskAtLeast(at_least="high"), InputTokens(at_least=1)), start="mid")
    policy = make_policy(rules=(rule,))
    both = make_facts(language="de", risk="high")

    assert planned(policy, facts=both, signals=Signals(input_tokens=1)).rules == ("a rule",)
    assert planned(policy, facts=both).rules == ()
    assert planned(policy, facts=make_facts(language="de"), signals=Signals(input_tokens=1)).rules == ()


def test_the_declared_class_and_risk_hold_where_the_request_says_less() -> None:
    policy = make_policy(
        rules=(
            make_rule("class", when=(DataClassAtLeast(at_least="confidential"),), start="mid"),
            make_rule("risk", when=(RiskAtLeast(at_least="high"),), start="mid"),
        )
    )

    plan = planned(
        policy, facts=make_facts(data_class="public", risk="minimal"), data_class="confidential", risk="high"
    )

    assert plan.rules == ("class", "risk")
    assert left_out_of(plan) == {"grand": ("data_class", "data class confidential is not allowed there")}


@pytest.mark.parametrize(
    ("guards", "left_out"),
    [
        (Guards(models=("minilm", "grand")), {"lexicon": ("models", "the policy does not allow this model")}),
        (
            Guards(licences=("MIT", "Apache-2.0")),
            {"grand": ("licence", "the policy does not allow licence proprietary")},
        ),
        (Guards(hosting=("self",)), {"grand": ("hosting", "the policy does not allow hosted models")}),
        (Guards(regions=("eu",)), {"grand": ("region", "the policy does not allow region us")}),
        (Guards(data_class="confidential"), {"grand": ("data_class", "data class confidential is not allowed there")}),
    ],
)
def test_a_guard_leaves_out_what_it_does_not_allow(guards: Guards, left_out: dict[str, tuple[str, str]]) -> None:
    by_policy = planned(make_policy(guards=guards))
    by_rule = planned(make_policy(rules=(make_rule("x", guards=guards),)))

    assert left_out_of(by_policy) == left_out
    assert left_out_of(by_rule) == {
        model: (clause, text.replace("the policy", "rule “x”")) for model, (clause, text) in left_out.items()
    }


def test_every_level_of_guards_is_asked() -> None:
    guarded = with_standards(make_standard(guards=Guards(models=("lexicon", "minilm"))))
    policy = make_policy(
        guards=Guards(licences=("MIT", "Apache-2.0")), rules=(make_rule("x", guards=Guards(models=())),)
    )

    refusal = refused(policy, registry=guarded, guards=Guards(licences=("MIT",)))

    assert left_out_of(refusal) == {
        "lexicon": ("models", "rule “x” does not allow this model"),
        "minilm": ("licence", "the workflow does not allow licence Apache-2.0"),
        "grand": ("models", "the organisation’s standard does not allow this model"),
    }
    assert (refusal.code, refusal.clause) == ("not_allowed", "models")
    assert refusal.text.startswith("lexicon: rule “x” does not allow this model; minilm: the workflow")


def test_a_guard_leaves_out_single_endpoints() -> None:
    plan = planned(make_policy(rules=(make_rule(guards=Guards(regions=("eu",))),)))

    assert [place.id for place in plan.rungs[1].endpoints] == [MINILM]


def test_an_endpoint_outside_the_regions_of_its_model_is_never_used() -> None:
    registry = msgspec.structs.replace(REGISTRY, models=(make_model("lexicon", regions=("de",)), *REGISTRY.models[1:]))

    plan = planned(registry=registry)

    assert left_out_of(plan) == {"lexicon": ("region", "region eu is not one where this model may run")}


def test_hosting_is_asked_of_the_endpoint_too() -> None:
    endpoints = (make_endpoint(0, "lexicon", hosting="hosted"), *REGISTRY.endpoints[1:])
    registry = msgspec.structs.replace(REGISTRY, endpoints=endpoints)

    left_out = left_out_of(planned(make_policy(guards=Guards(hosting=("self",))), registry=registry))

    assert left_out["lexicon"] == ("hosting", "the policy does not allow hosted endpoints")


def test_a_model_cleared_for_a_class_may_see_the_lesser_ones_and_one_cleared_for_none_nothing() -> None:
    models = (
        make_model("lexicon", data_classes=("confidential",)),
        make_model("minilm", data_classes=()),
        make_model("grand"),
    )
    registry = msgspec.structs.replace(REGISTRY, models=models)

    assert left_out_of(planned(registry=registry)) == {
        "minilm": ("data_class", "data class public is not allowed there")
    }


def test_a_request_that_does_not_fit_leaves_the_model_out() -> None:
    models = (make_model("lexicon", context_tokens=100), make_model("minilm", context_tokens=None), REGISTRY.models[2])
    registry = msgspec.structs.replace(REGISTRY, models=models)
    facts, signals = make_facts(max_output_tokens=41), Signals(input_tokens=60)

    left_out = left_out_of(planned(registry=registry, facts=facts, signals=signals))

    assert left_out == {"lexicon": ("context", "the request needs about 101 tokens, it takes 100")}
    assert not planned(registry=registry, facts=make_facts(max_output_tokens=40), signals=signals).left_out


def test_token_probabilities_are_asked_only_where_they_are_given() -> None:
    left_out = left_out_of(planned(facts=make_facts(wants_logprobs=True)))

    assert left_out == {"grand": ("no_logprobs", "it gives no token probabilities, which the request asks for")}


def test_a_ladder_may_name_models_that_are_gone_or_served_nowhere() -> None:
    registry = msgspec.structs.replace(
        REGISTRY, models=REGISTRY.models[:2], endpoints=REGISTRY.endpoints[1:3], prices=()
    )

    assert left_out_of(planned(registry=registry)) == {
        "lexicon": ("no_endpoint", "it is served nowhere in this environment"),
        "grand": ("unregistered", "it is not registered in this environment"),
    }


def test_without_any_model_there_is_none_and_with_a_guard_the_guard_is_the_reason() -> None:
    registry = msgspec.structs.replace(REGISTRY, endpoints=(), prices=())
    guards = Guards(licences=("MIT",))

    nowhere = refused(registry=registry)
    guarded = refused(make_policy(guards=guards), registry=registry)

    assert (nowhere.code, nowhere.clause) == ("no_model_available", "no_endpoint")
    assert (guarded.code, guarded.clause) == ("not_allowed", "licence")


def test_what_is_stopped_or_failing_is_left_out_for_now() -> None:
    minilm = REGISTRY.models[1].id
    state = State(stopped_models=(minilm,), stopped_endpoints=(LEXICON,), open_breakers=(GRAND,))

    refusal = refused(state=state)

    assert left_out_of(refusal) == {
        "lexicon": ("stopped", "its endpoint is stopped"),
        "minilm": ("stopped", "this model is stopped"),
        "grand": ("breaker_open", "its endpoint failed too often just now"),
    }
    assert (refusal.code, refusal.clause) == ("no_model_available", "stopped")
    assert refusal.text == "lexicon: its endpoint is stopped"


def test_an_open_breaker_moves_to_the_next_endpoint() -> None:
    plan = planned(state=State(open_breakers=(MINILM,)))

    assert [place.id for place in plan.rungs[1].endpoints] == [MINILM_SPARE]


def test_what_passes_by_itself_is_the_reason_before_what_does_not() -> None:
    policy = make_policy(make_step(ladder=(Rung(model="minilm"),)), rules=(make_rule(guards=Guards(regions=("us",))),))

    refusal = refused(policy, state=State(open_breakers=(MINILM_SPARE,)))

    assert (refusal.code, refusal.clause) == ("no_model_available", "breaker_open")


def test_a_stopped_workflow_is_not_served_for_now() -> None:
    refusal = refused(state=State(stopped_workflow=True))

    assert (refusal.code, refusal.clause, refusal.text) == ("no_model_available", "stopped", "this workflow is stopped")


def test_an_unacceptable_risk_is_never_served() -> None:
    refusal = refused(facts=make_facts(risk="unacceptable"))

    assert (refusal.code, refusal.clause) == ("not_allowed", "risk")


def test_a_rule_refuses_with_its_own_words_even_after_others_fired() -> None:
    rules = (make_rule("first", start="mid"), make_rule("second", refuse="no refunds by machine"))

    refusal = refused(make_policy(rules=rules))

    assert (refusal.code, refusal.clause, refusal.text) == ("not_allowed", "rule", "no refunds by machine")
    assert refusal.rules == ("first", "second")


def test_a_step_without_models_is_not_allowed() -> None:
    refusal = refused(make_policy(make_step(ladder=())))

    assert (refusal.code, refusal.clause) == ("not_allowed", "ladder")


def test_a_pin_is_used_alone_where_the_policy_allows_pins() -> None:
    policy = make_policy(make_step(ladder=(Rung(model="lexicon"), Rung(model="minilm", keep_from=0.6))))

    inside = planned(policy, facts=make_facts(model="minilm"))
    outside = planned(policy, facts=make_facts(model="grand"))

    assert (models_of(inside), inside.rungs[0].keep_from) == (["minilm"], 0.6)
    assert (models_of(outside), outside.rungs[0].keep_from) == (["grand"], 0.8)


def test_a_pin_passes_the_guards_like_any_candidate() -> None:
    by_policy = refused(make_policy(guards=Guards(hosting=("self",))), facts=make_facts(model="grand"))
    by_class = refused(facts=make_facts(model="grand", data_class="confidential"))

    assert (by_policy.code, by_policy.clause) == ("not_allowed", "hosting")
    assert by_policy.text == "grand: the policy does not allow hosted models"
    assert (by_class.code, by_class.clause) == ("not_allowed", "data_class")


def test_a_pin_is_replaced_or_refused_where_the_policy_says_so() -> None:
    facts = make_facts(model="grand")

    assert models_of(planned(make_policy(pin="replace"), facts=facts)) == ["lexicon", "minilm", "grand"]
    refusal = refused(make_policy(pin="refuse"), facts=facts)
    assert (refusal.code, refusal.clause) == ("not_allowed", "pin")
    assert "“grand”" in refusal.text


@pytest.mark.parametrize("pin", ["allow", "replace", "refuse"])
def test_a_model_that_nobody_registered_is_unknown(pin: str) -> None:
    refusal = refused(make_policy(pin=pin), facts=make_facts(model="gpt5"))

    assert (refusal.code, refusal.clause) == ("unknown_model", "model")
    assert refusal.text == "no model is called “gpt5”; “auto” lets the policy choose"


def test_a_rule_asks_for_a_person_in_the_way_of_the_step() -> None:
    step = make_step(review=make_review(when="unsure"))

    plan = planned(make_policy(step, rules=(make_rule("money"), make_rule("releases", review=True))))

    assert plan.review == make_review(when="always")
    assert plan.review_rule == "releases"


def test_a_person_who_cannot_be_asked_refuses() -> None:
    refusal = refused(make_policy(rules=(make_rule("money", review=True),)))

    assert (refusal.code, refusal.clause) == ("not_allowed", "review")
    assert refusal.text == "rule “money” asks for a person, and step “sentiment” does not say how"


def test_limits_are_the_narrowest_of_step_request_and_guards() -> None:
    step = make_step(limits=Limits(max_output_tokens=400, deadline_ms=30_000))
    rule = make_rule(guards=Guards(max_latency_ms=2_000))

    assert planned(make_policy(step)).limits == Limits(max_output_tokens=400, deadline_ms=30_000)
    assert planned(make_policy(step), facts=make_facts(max_output_tokens=50)).limits.max_output_tokens == 50
    assert planned(make_policy(step), facts=make_facts(max_output_tokens=500)).limits.max_output_tokens == 400
    assert planned(make_policy(step, guards=Guards(max_latency_ms=9_000))).limits.deadline_ms == 9_000
    assert planned(make_policy(step, guards=Guards(max_latency_ms=9_000), rules=(rule,))).limits.deadline_ms == 2_000
    assert planned(make_policy(step, guards=Guards(max_latency_ms=60_000))).limits.deadline_ms == 30_000
