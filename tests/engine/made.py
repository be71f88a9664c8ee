"""Small snapshots, requests and attempts that tests of the engine change one thing of."""

from collections.abc import Sequence
from typing import Any

import msgspec

from smallfirst import engine
from smallfirst.engine import AttemptSignals, Facts, Plan, Policy, Refusal, Signals, Snapshot, State
from smallfirst.engine.policy import AnswerForm, Expiry, Gate, Review, Rule, Rung, Standard, Step, Then
from smallfirst.engine.snapshot import (
    Endpoint,
    Held,
    Model,
    Price,
    Registry,
    SnapshotDocument,
    StandardVersion,
    Version,
    Workflow,
)

DIGEST = "0" * 64


def ident(number: int) -> str:
    """The same id for the same number, in the shape of a UUIDv7."""
    return f"00000000-0000-7000-8000-{number:012x}"


WORKFLOW, KEY, ENVIRONMENT, DECISION, REVIEW, VERSION = (ident(number) for number in range(1, 7))
AT = "2026-11-24T09:30:00.000001Z"


def make_model(name: str, **changes: Any) -> Model:
    fields: dict[str, Any] = {
        "id": ident(0x100 + sum(name.encode())),
        "name": name,
        "version": "1",
        "tier": "small",
        "hosting": "self",
        "licence": "MIT",
        "data_classes": ("public", "internal", "confidential"),
        "regions": ("eu", "us"),
        "context_tokens": 8192,
    }
    return Model(**fields | changes)


def make_endpoint(number: int, model: str, **changes: Any) -> Endpoint:
    fields: dict[str, Any] = {
        "id": ident(0x1000 + number),
        "model": model,
        "provider": "local",
        "url": "http://127.0.0.1:8011/v1",
        "upstream_model": model,
        "region": "eu",
        "hosting": "self",
        "secret": None,
        "logprobs": True,
        "timeout_ms": 5000,
        "order": number,
    }
    return Endpoint(**fields | changes)


def make_price(endpoint: str, input: str | None, output: str | None, **changes: Any) -> Price:  # noqa: A002
    fields: dict[str, Any] = {"endpoint": endpoint, "currency": "USD", "input": input, "output": output}
    return Price(**fields | changes)


# Three rungs of rising tier; the middle one is served at two places, the top one elsewhere and by others.
LEXICON, MINILM, MINILM_SPARE, GRAND = (ident(0x1000 + number) for number in range(4))
REGISTRY = Registry(
    models=(
        make_model("lexicon"),
        make_model("minilm", tier="mid", licence="Apache-2.0"),
        make_model(
            "grand", tier="frontier", hosting="hosted", licence="proprietary", data_classes=("public", "internal")
        ),
    ),
    endpoints=(
        make_endpoint(0, "lexicon"),
        make_endpoint(1, "minilm"),
        make_endpoint(2, "minilm", region="us"),
        make_endpoint(3, "grand", region="us", hosting="hosted", logprobs=False),
    ),
    prices=(
        make_price(LEXICON, "0.01", "0.02"),
        make_price(MINILM, "0.10", "0.20"),
        make_price(MINILM_SPARE, "0.10", "0.20"),
        make_price(GRAND, "3", "15"),
    ),
)


def make_review(**changes: Any) -> Review:
    fields: dict[str, Any] = {
        "when": "unsure",
        "role": "reviewer",
        "respond_within": 900,
        "expire_after": 3600,
        "on_expiry": Expiry(action="refuse"),
        "answer": AnswerForm(type="label", options=("positive", "negative")),
    }
    return Review(**fields | changes)


def make_step(**changes: Any) -> Step:
    fields: dict[str, Any] = {
        "name": "sentiment",
        "ladder": tuple(Rung(model=name) for name in ("lexicon", "minilm", "grand")),
        "gate": Gate(keep_from=0.8),
    }
    return Step(**fields | changes)


def make_rule(name: str = "a rule", *, when: tuple[Any, ...] = (), **then: Any) -> Rule:
    return Rule(name=name, when=when, then=Then(**then))


def make_policy(*steps: Step, **changes: Any) -> Policy:
    fields: dict[str, Any] = {"format": 1, "pin": "allow", "steps": steps or (make_step(),)}
    return Policy(**fields | changes)


def make_document(policy: Policy, registry: Registry = REGISTRY, **changes: Any) -> SnapshotDocument:
    fields: dict[str, Any] = {
        "id": WORKFLOW,
        "slug": "feedback",
        "mode": "enforce",
        "risk": "minimal",
        "data_class": "public",
        "policy_version": Version(id=VERSION, number=3),
        "policy": policy,
        "standards": tuple(Held(standard=each.id) for each in registry.standards),
    }
    return SnapshotDocument(
        models=registry.models,
        endpoints=registry.endpoints,
        prices=registry.prices,
        standards=registry.standards,
        workflows=(Workflow(**fields | changes),),
    )


def make_snapshot(policy: Policy | None = None, registry: Registry = REGISTRY, **changes: Any) -> Snapshot:
    return engine.compile_snapshot(make_document(policy or make_policy(), registry, **changes), digest=DIGEST)


def make_standard(number: int = 1, name: str = "the organisation’s standard", **parts: Any) -> StandardVersion:
    return StandardVersion(
        id=ident(0x2000 + number), number=number, name=name, standard=Standard(**{"format": 1} | parts)
    )


def with_standards(*standards: StandardVersion) -> Registry:
    return msgspec.structs.replace(REGISTRY, standards=standards)


def make_facts(**changes: Any) -> Facts:
    return Facts(**{"workflow": WORKFLOW, "step": "sentiment"} | changes)


def make_plan(
    policy: Policy | None = None,
    *,
    facts: Facts | None = None,
    signals: Signals | None = None,
    state: State | None = None,
    registry: Registry = REGISTRY,
    **workflow: Any,
) -> Plan | Refusal:
    """Plan one request under one policy."""
    snapshot = make_snapshot(policy, registry, **workflow)
    return engine.plan(facts or make_facts(), signals or Signals(), state or State(), snapshot)


def planned(*arguments: Any, **named: Any) -> Plan:
    """Plan one request that must not be refused."""
    plan = make_plan(*arguments, **named)
    assert isinstance(plan, Plan), plan
    return plan


def refused(*arguments: Any, **named: Any) -> Refusal:
    """Plan one request that must be refused."""
    refusal = make_plan(*arguments, **named)
    assert isinstance(refusal, Refusal), refusal
    return refusal


def attempted(rung: int, endpoint: str, outcome: str = "ok", **changes: Any) -> AttemptSignals:
    """An attempt that, where it answered, ended by itself."""
    fields: dict[str, Any] = {"rung": rung, "endpoint": endpoint, "outcome": outcome, "latency_ms": 10}
    if outcome == "ok":
        fields["stop_reason"] = "stop"
    return AttemptSignals(**fields | changes)


def models_of(plan: Plan) -> list[str]:
    return [rung.model for rung in plan.rungs]


def left_out_of(plan: Plan | Refusal) -> dict[str, tuple[str, str]]:
    return {one.model: (one.clause, one.text) for one in plan.left_out}


def concluded(
    snapshot: Snapshot,
    attempts: Sequence[AttemptSignals] = (),
    *,
    facts: Facts | None = None,
    signals: Signals | None = None,
    state: State | None = None,
    review: str | None = None,
) -> engine.Decision:
    """Decide one request whole, with ids that are always the same."""
    facts, signals, state = facts or make_facts(), signals or Signals(), state or State()
    return engine.conclude(
        engine.plan(facts, signals, state, snapshot),
        attempts,
        id=DECISION,
        at=AT,
        environment=ENVIRONMENT,
        key=KEY,
        facts=facts,
        signals=signals,
        state=state,
        snapshot=snapshot.digest,
        review=review,
    )
