"""Any registry, policy, request and state: small, and mild enough that most requests reach several models."""

from typing import Any, get_args

from hypothesis import strategies as st

from smallfirst.engine import AttemptSignals, Facts, Signals, State
from smallfirst.engine.policy import (
    DATA_CLASSES,
    RISKS,
    TIERS,
    DataClassAtLeast,
    Gate,
    Guards,
    InputTokens,
    LanguageIs,
    Limits,
    ModelIs,
    Pin,
    Policy,
    Restriction,
    RiskAtLeast,
    Rule,
    Rung,
    SignalBetween,
    Standard,
    StandardRule,
    Start,
    Step,
    StepIs,
    TagIs,
    Then,
)
from smallfirst.engine.snapshot import Endpoint, Held, Model, Price, Registry, StandardVersion
from tests.engine.made import WORKFLOW, ident, make_endpoint, make_model, make_price, make_review

# In rising tiers, so that a ladder in this order is a sound one.
MODELS = {"ant": "small", "bee": "mid", "cat": "mid", "dog": "frontier"}
NAMES = tuple(MODELS)
REGIONS = ("eu", "us")
LICENCES = ("MIT", "closed")
STEPS = ("one", "two", "*")


def some(*values: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(values), unique=True, max_size=len(values)).map(tuple)


@st.composite
def mostly(draw: st.DrawFn, usual: Any, other: st.SearchStrategy[Any], *, times: int = 4) -> Any:
    """The usual value about that many times as often as another."""
    return usual if draw(st.sampled_from((True,) * times + (False,))) else draw(other)


confidences = mostly(None, st.sampled_from((0.1, 0.5, 0.9)), times=2)


def models(name: str) -> st.SearchStrategy[Model]:
    return st.builds(
        make_model,
        st.just(name),
        tier=st.just(MODELS[name]),
        hosting=mostly("self", st.just("hosted"), times=2),
        licence=mostly("MIT", st.just("closed"), times=2),
        data_classes=mostly(DATA_CLASSES, some(*DATA_CLASSES), times=2),
        regions=mostly(REGIONS, some(*REGIONS)),
        context_tokens=st.sampled_from((None, 50, 5000)),
    )


@st.composite
def registries(draw: st.DrawFn) -> Registry:
    endpoints: list[Endpoint] = []
    priced: list[Price] = []
    amounts = mostly("0.5", st.sampled_from((None, "0", "20")))
    for number, name in enumerate((*NAMES, "ant", "dog")[: draw(mostly(6, st.integers(2, 5)))]):
        endpoint = make_endpoint(
            number,
            name,
            region=draw(st.sampled_from(REGIONS)),
            hosting=draw(mostly("self", st.just("hosted"), times=2)),
            logprobs=draw(st.booleans()),
            order=draw(st.integers(0, 2)),
        )
        endpoints.append(endpoint)
        if draw(mostly(True, st.just(False))):
            currency = draw(mostly("USD", st.just("EUR"), times=9))
            priced.append(make_price(endpoint.id, draw(amounts), draw(amounts), currency=currency))
    return Registry(
        models=tuple(draw(models(name)) for name in NAMES),
        endpoints=tuple(endpoints),
        prices=tuple(priced),
        standards=draw(mostly((), standards(), times=1)),
    )


def guards() -> st.SearchStrategy[Guards]:
    def at_most(*values: Any) -> st.SearchStrategy[Any]:
        return mostly(None, mostly(values[:-1], some(*values), times=2))

    return st.builds(
        Guards,
        data_class=mostly(None, st.sampled_from(DATA_CLASSES)),
        regions=at_most("eu", "us"),
        hosting=at_most("self", "hosted"),
        licences=at_most("MIT", "closed"),
        models=at_most(*NAMES),
        max_cost=mostly(None, st.sampled_from(("0", "0.00001", "0.00003", "0.0004", "1"))),
        max_latency_ms=mostly(None, st.sampled_from((100, 100_000))),
    )


def conditions() -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(StepIs, is_=some("one", "two", "three")),
        st.builds(DataClassAtLeast, at_least=st.sampled_from(DATA_CLASSES)),
        st.builds(RiskAtLeast, at_least=st.sampled_from(RISKS)),
        st.builds(LanguageIs, is_=some("de", "fr")),
        st.builds(TagIs, name=st.just("amount"), is_=some("high", "low")),
        st.builds(InputTokens, at_least=st.none() | st.integers(0, 60), at_most=st.none() | st.integers(0, 60)),
        st.builds(SignalBetween, name=st.sampled_from(("words", "code")), at_least=st.none() | st.floats(0, 9)),
        st.builds(ModelIs, is_=some("auto", *NAMES)),
    )


def rules() -> st.SearchStrategy[Rule]:
    return st.builds(
        Rule,
        name=st.sampled_from(("r1", "r2", "r3")),
        when=st.lists(conditions(), min_size=1, max_size=2).map(tuple),
        then=st.builds(
            Then,
            guards=mostly(None, guards(), times=1),
            start=st.none() | st.sampled_from(TIERS),
            review=mostly(False, st.just(True)),
            refuse=mostly(None, st.just("no"), times=9),
            keep_from=confidences,
        ),
    )


@st.composite
def standards(draw: st.DrawFn) -> tuple[StandardVersion, ...]:
    """One or two, of the organisation and of a team."""
    restrictions = st.builds(
        Restriction,
        guards=mostly(None, guards(), times=1),
        review=mostly(False, st.just(True), times=9),
        refuse=mostly(None, st.just("no"), times=9),
    )
    restricting = st.builds(
        StandardRule,
        name=st.sampled_from(("r1", "s1")),
        when=st.lists(conditions(), min_size=1, max_size=2).map(tuple),
        then=restrictions,
    )
    ruled = st.lists(restricting, max_size=2, unique_by=lambda rule: rule.name).map(tuple)
    wide = st.builds(Standard, format=st.just(1), guards=mostly(Guards(), guards(), times=1), rules=ruled)
    whose = ("the organisation’s standard", "the standard of Care")[: draw(st.integers(1, 2))]
    return tuple(
        StandardVersion(id=ident(0x2000 + number), number=number, name=name, standard=draw(wide))
        for number, name in enumerate(whose, start=1)
    )


@st.composite
def held(draw: st.DrawFn, registry: Registry) -> tuple[Held, ...]:
    """All standards of a registry, mostly whole."""
    return tuple(
        Held(standard=each.id, without=draw(mostly((), some("guards.models", *each.standard.part_keys()))))
        for each in registry.standards
    )


def steps(name: str) -> st.SearchStrategy[Step]:
    gates = st.builds(
        Gate,
        keep_from=st.none() | st.sampled_from((0.1, 0.5, 0.9)),
        labels=mostly(None, some("yes", "no")),
        stop_reasons=mostly(("stop",), st.none() | some("stop", "length")),
    )
    rungs = st.builds(Rung, model=mostly("", st.just("gone"), times=19), keep_from=confidences)
    ladders = st.lists(st.tuples(st.sampled_from(NAMES), rungs), unique_by=lambda pair: pair[0], min_size=2, max_size=4)
    tiers = st.sampled_from(TIERS)
    return st.builds(
        Step,
        name=st.just(name),
        ladder=ladders.map(
            lambda pairs: tuple(
                Rung(model=rung.model or model, keep_from=rung.keep_from) for model, rung in sorted(pairs, key=str)
            )
        ),
        start=st.none() | st.builds(Start, easy=st.just("small"), medium=tiers, hard=tiers),
        gate=mostly(None, gates, times=1),
        review=st.none() | st.builds(make_review, when=st.sampled_from(("unsure", "always"))),
        limits=st.builds(
            Limits, max_output_tokens=st.sampled_from((None, 10, 40)), deadline_ms=st.sampled_from((50, 30_000))
        ),
    )


def policies() -> st.SearchStrategy[Policy]:
    return st.builds(
        Policy,
        format=st.just(1),
        pin=mostly("allow", st.sampled_from(get_args(Pin))),
        guards=mostly(Guards(), guards(), times=1),
        steps=mostly(("one", "*"), st.sampled_from((("one",), STEPS)), times=2).flatmap(
            lambda names: st.tuples(*(steps(name) for name in names))
        ),
        rules=st.lists(rules(), max_size=3, unique_by=lambda rule: rule.name).map(tuple),
    )


facts = st.builds(
    Facts,
    workflow=st.just(WORKFLOW),
    step=mostly("one", st.sampled_from(("two", "three", "*")), times=1),
    data_class=mostly("public", st.sampled_from(DATA_CLASSES), times=2),
    risk=st.sampled_from(RISKS[:3]),
    language=st.sampled_from((None, "de")),
    tags=st.sampled_from(((), (("amount", "high"),))),
    model=mostly("auto", st.sampled_from(NAMES)),
    max_output_tokens=st.sampled_from((None, 5, 20)),
    wants_logprobs=mostly(False, st.just(True)),
)
signals = st.builds(
    Signals,
    input_tokens=st.integers(0, 60),
    characters=st.sampled_from((0, 500, 5000)),
    words=st.integers(0, 9),
    questions=st.integers(0, 3),
    code=st.integers(0, 2),
)
states = st.builds(
    State,
    stopped_models=some(*(make_model(name).id for name in NAMES)),
    stopped_endpoints=some(*(ident(0x1000 + number) for number in range(6))),
    open_breakers=some(*(ident(0x1000 + number) for number in range(6))),
)
calm = mostly(State(), states)


def outcomes() -> st.SearchStrategy[AttemptSignals]:
    """What an attempt may come to; its rung and endpoint are put in where it is made."""
    return st.builds(
        AttemptSignals,
        rung=st.just(0),
        endpoint=st.just(ident(0)),
        outcome=st.sampled_from(("ok", "ok", "ok", "error", "timeout", "refused", "aborted")),
        confidence=st.sampled_from((None, 0.05, 0.3, 0.95)),
        label=st.sampled_from((None, "yes", "perhaps")),
        stop_reason=mostly("stop", st.sampled_from((None, "length"))),
        output_tokens=st.sampled_from((None, 0, 5)),
        latency_ms=st.sampled_from((0, 0, 30, 60)),
    )
