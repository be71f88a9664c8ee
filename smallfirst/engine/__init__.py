"""The pure heart: same facts, signals, state and snapshot give the same decision, byte for byte, everywhere."""

from smallfirst.engine.compiled import Rates, Snapshot, SnapshotError, compile_snapshot, read_snapshot
from smallfirst.engine.cost import Amount, cost
from smallfirst.engine.decide import (
    ReplayError,
    conclude,
    doubt,
    encode,
    next,  # noqa: A004 - the design's word for it
    replan,
    replay,
    streams,
    would_have,
)
from smallfirst.engine.decision import (
    Climb,
    Decision,
    Fail,
    Keep,
    LeftOut,
    Move,
    Observed,
    Person,
    Plan,
    PlannedEndpoint,
    PlannedRung,
    PolicyNumber,
    Reason,
    Refusal,
)
from smallfirst.engine.describe import Part, Sentence, difference, sentences
from smallfirst.engine.explain import explain
from smallfirst.engine.facts import AttemptSignals, Facts, Signals, State
from smallfirst.engine.plan import plan
from smallfirst.engine.policy import Policy
from smallfirst.engine.reading import PolicyError, Problem, read_policy
from smallfirst.engine.snapshot import Endpoint, Model, Price, Registry, SnapshotDocument, Version, Workflow
from smallfirst.engine.validate import validate

__all__ = [
    "Amount",
    "AttemptSignals",
    "Climb",
    "Decision",
    "Endpoint",
    "Facts",
    "Fail",
    "Keep",
    "LeftOut",
    "Model",
    "Move",
    "Observed",
    "Part",
    "Person",
    "Plan",
    "PlannedEndpoint",
    "PlannedRung",
    "Policy",
    "PolicyError",
    "PolicyNumber",
    "Price",
    "Problem",
    "Rates",
    "Reason",
    "Refusal",
    "Registry",
    "ReplayError",
    "Sentence",
    "Signals",
    "Snapshot",
    "SnapshotDocument",
    "SnapshotError",
    "State",
    "Version",
    "Workflow",
    "compile_snapshot",
    "conclude",
    "cost",
    "difference",
    "doubt",
    "encode",
    "explain",
    "next",
    "plan",
    "read_policy",
    "read_snapshot",
    "replan",
    "replay",
    "sentences",
    "streams",
    "validate",
    "would_have",
]
