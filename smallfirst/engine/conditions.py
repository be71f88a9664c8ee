"""A rule's conditions turned into functions, once per snapshot."""

from collections.abc import Callable, Sequence
from operator import attrgetter

from smallfirst.engine.facts import Facts, Signals
from smallfirst.engine.policy import (
    DATA_CLASS_RANK,
    RISK_RANK,
    Condition,
    DataClassAtLeast,
    InputTokens,
    LanguageIs,
    ModelIs,
    RiskAtLeast,
    SignalBetween,
    SignalName,
    StepIs,
    TagIs,
)

# Called with facts, signals, and the ranks of the data class and the risk in force.
Predicate = Callable[[Facts, Signals, int, int], bool]


def all_hold(conditions: Sequence[Condition]) -> Predicate:
    """Return the predicate that is true where every condition holds; without conditions it is always true."""
    if not conditions:
        return lambda facts, signals, data_class, risk: True
    first = predicate_of(conditions[0])
    if len(conditions) == 1:
        return first
    rest = all_hold(conditions[1:])
    return lambda facts, signals, data_class, risk: (
        first(facts, signals, data_class, risk) and rest(facts, signals, data_class, risk)
    )


def predicate_of(condition: Condition) -> Predicate:
    """Return the predicate of one condition."""
    match condition:
        case StepIs(is_=names):
            return lambda facts, signals, data_class, risk: facts.step in names
        case DataClassAtLeast(at_least=name):
            least_class = DATA_CLASS_RANK[name]
            return lambda facts, signals, data_class, risk: data_class >= least_class
        case RiskAtLeast(at_least=name):
            least_risk = RISK_RANK[name]
            return lambda facts, signals, data_class, risk: risk >= least_risk
        case LanguageIs(is_=names):
            return lambda facts, signals, data_class, risk: facts.language in names
        case TagIs(name=tag, is_=names):
            wanted = frozenset((tag, value) for value in names)
            return lambda facts, signals, data_class, risk: not wanted.isdisjoint(facts.tags)
        case InputTokens(at_least=least, at_most=most):
            return _between("input_tokens", least, most)
        case SignalBetween(name=signal, at_least=least, at_most=most):
            return _between(signal, least, most)
        case ModelIs(is_=names):
            return lambda facts, signals, data_class, risk: facts.model in names


def _between(signal: SignalName, least: float | None, most: float | None) -> Predicate:
    read = attrgetter(signal)
    low = float("-inf") if least is None else least
    high = float("inf") if most is None else most
    return lambda facts, signals, data_class, risk: low <= read(signals) <= high
