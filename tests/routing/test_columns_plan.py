"""Requests planned in columns: each exactly as the engine plans it by itself."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing import columns
from smallfirst import engine
from smallfirst.engine import Facts, Plan, Refusal, Signals, Snapshot, State
from smallfirst.engine.policy import DATA_CLASSES, RISKS, Rule, TagIs, Then
from tests.engine import strategies
from tests.engine.made import make_facts, make_policy, make_snapshot, make_step

NUMBERS = st.sampled_from((0, 1, 2, 5, 6, 11, 12, 49, 50, 51, 60, 61, 399, 400, 2000, 5000, 5001, 10**9)) | st.integers(
    0, 100
)

levels = st.fixed_dictionaries(
    {
        "data_class": strategies.mostly("public", st.sampled_from(DATA_CLASSES)),
        "risk": st.sampled_from(RISKS[:3]),
        "guards": strategies.mostly(None, strategies.guards()),
        "mode": strategies.mostly("enforce", st.just("observe")),
    }
)
often = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def signals() -> st.SearchStrategy[Signals]:
    """Numbers on and beside everything that compares them."""
    return st.builds(Signals, **dict.fromkeys(columns.SIGNALS, NUMBERS))


def without_counts(plan: Plan | Refusal) -> Any:
    """A plan but for its words, of which one counts the request's own tokens."""
    left = tuple(msgspec.structs.replace(one, text="") for one in plan.left_out)
    plain = msgspec.structs.replace(plan, left_out=left)
    return msgspec.structs.replace(plain, text="") if isinstance(plain, Refusal) else plain


@often
@given(
    strategies.policies(),
    strategies.registries(),
    st.lists(st.tuples(strategies.facts, signals(), strategies.calm), max_size=40),
    levels,
    st.sampled_from((0, columns.MOST_IN_TABLE)),
)
def test_every_request_is_planned_as_the_engine_plans_it(
    policy: Any, registry: Any, requests: list[Any], level: dict[str, Any], table: int
) -> None:
    snapshot = make_snapshot(policy, registry, **level)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(columns, "MOST_IN_TABLE", table)
        found = columns.planned(columns.columns(requests), snapshot, policy)
    assert found.of.shape == (len(requests),)
    for row, (facts, read, state) in enumerate(requests):
        plan = found.plans[int(found.of[row])]
        assert without_counts(plan) == without_counts(engine.plan(facts, read, state, snapshot))


def test_a_kind_too_many_is_told_apart_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MOST_KINDS", 8)
    policy = make_policy(make_step(name="*"))
    snapshot = make_snapshot(policy)
    requests = [(make_facts(), Signals(questions=n % 4, code=n % 3, digits=n), State(at=n)) for n in range(60)]
    asked = columns.columns(requests)
    found = columns.planned(asked, snapshot, policy)
    assert (len(asked), len(asked.states)) == (60, 1)
    for row, (facts, read, state) in enumerate(requests):
        assert found.plans[int(found.of[row])] == engine.plan(facts, read, state, snapshot)


def test_tags_and_languages_that_no_rule_names_make_no_kind() -> None:
    rule = Rule(name="Care", when=(TagIs(name="desk", is_=("desk-3",)),), then=Then(start="mid"))
    policy = make_policy(make_step(name="*"), rules=(rule,))
    requests = [
        (make_facts(tags=(("desk", f"desk-{n % 40}"),), language=f"l{n % 7}", run=f"run-{n}"), Signals(), State(at=n))
        for n in range(280)
    ]
    found = columns.planned(columns.columns(requests), make_snapshot(policy), policy)
    assert sorted(plan.rules for plan in found.plans) == [(), ("Care",)]
    assert [found.plans[int(of)].rules == ("Care",) for of in found.of] == [n % 40 == 3 for n in range(280)]


def test_the_engine_is_asked_once_for_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, plan = [], engine.plan

    def counted(facts: Facts, signals: Signals, state: State, snapshot: Snapshot) -> Plan | Refusal:
        asked.append(signals)
        return plan(facts, signals, state, snapshot)

    monkeypatch.setattr(engine, "plan", counted)
    policy = make_policy(make_step(name="*"))
    requests = [(make_facts(), Signals(characters=n % 3000), State()) for n in range(9000)]
    found = columns.planned(columns.columns(requests), make_snapshot(policy), policy)
    # Under 400 characters easy, from there on of medium difficulty.
    assert len(asked) == len(found.plans) == 2
    assert np.bincount(found.of).sum() == 9000
