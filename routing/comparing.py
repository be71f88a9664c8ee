"""How past requests would have ended under two policies, found from the answers that they got.

The engine plans each stored request anew, with its own facts, signals and state, once under each policy, both over the
same register; many at once where that comes to the same (routing.columns). An answer counts where this version of the
model gave it to this very request. Where a policy asks a model that was not asked then, or needs a confidence or a
label that nobody looked for, the past cannot tell. Answers, tokens and costs are taken as they were.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.db.models import TextField
from django.db.models.functions import Cast

from governance.models import Endpoint, Mode, PolicyVersion
from ledger import attempts as made
from ledger.models.decisions import DecisionQuerySet
from routing import columns
from smallfirst import engine
from smallfirst.engine import (
    AttemptSignals,
    Climb,
    Facts,
    Fail,
    Keep,
    Person,
    Plan,
    Policy,
    Refusal,
    Signals,
    Snapshot,
    SnapshotDocument,
    State,
)
from smallfirst.engine.decision import STATE_CLAUSES
from smallfirst.engine.policy import ANY_STEP

Outcome = Literal["kept", "person", "failed", "refused", "unknown"]
Charges = Mapping[int, tuple[Decimal | None, str | None]]

DOCUMENTS = ("facts", "signals", "state", "attempts")
ATTEMPTS = msgspec.json.Decoder(tuple[AttemptSignals, ...])
SIGNALS, STATE = msgspec.json.Decoder(Signals), msgspec.json.Decoder(State)


@dataclass(frozen=True, slots=True)
class Asked:
    """A stored request: what went into its decision, and what came out of it then."""

    pk: UUID
    step: str
    occurred_at: datetime
    policy_version: UUID | None
    outcome: str
    kept_model: str | None
    facts: Facts
    signals: Signals
    state: State
    attempts: tuple[AttemptSignals, ...]


@dataclass(frozen=True)
class Ended:
    """How a request would have ended under one policy, and why in a sentence.

    `kept`: the answer of `model`. `unknown`: the past cannot tell. `cost` is what the attempts that led there were
    charged, by currency; None where one of them has no price, or none yet. `latency_ms` is how long their answers took,
    None where no model was asked. `climbed`: more than one model was asked. `clause` is what refused it; `kept_out`
    names each model of the ladder that a guard or a rule kept out, with the clause that did. `taken` are the recorded
    attempts, by number, that lead there.
    """

    outcome: Outcome
    why: str
    model: str | None = None
    tier: str | None = None
    cost: Mapping[str, Decimal] | None = None
    latency_ms: int | None = None
    climbed: bool = False
    clause: str = ""
    kept_out: tuple[tuple[str, str], ...] = ()
    taken: tuple[int, ...] = ()

    @property
    def who(self) -> str:
        """Who ends it: a tier, `person`, or `no answer`."""
        return self.tier or ("person" if self.outcome == "person" else "no answer")


@dataclass(frozen=True)
class Compared:
    """One request under the policy before and the one after."""

    request: Asked
    before: Ended
    after: Ended

    @property
    def known(self) -> bool:
        """Whether the past tells how it ends under both."""
        return "unknown" not in (self.before.outcome, self.after.outcome)

    @property
    def why_unknown(self) -> str:
        """Why it does not tell, under the first policy of which it does not."""
        return self.before.why if self.before.outcome == "unknown" else self.after.why

    @property
    def changed(self) -> bool:
        """Whether it ends otherwise: with another model, with a person, or without an answer. For known ones."""
        return (self.before.outcome, self.before.model) != (self.after.outcome, self.after.model)


@dataclass(frozen=True)
class Past:
    """What is known of one stored request: its record, what it cost, and the labels that its gate looked for."""

    record: Asked
    charged: Charges
    labels: tuple[str, ...] | None


@dataclass(frozen=True)
class Places:
    """Endpoints by id: the model version that each serves, and whether it tells how sure it is."""

    versions: Mapping[str, UUID]
    logprobs: Mapping[str, bool]


@dataclass(frozen=True)
class Under:
    """A policy, and a register in which it is live."""

    policy: Policy
    snapshot: Snapshot


@dataclass
class Comparison:
    """Two policies over one register, ready to be asked about requests. Policies of the past are read once each."""

    before: Under
    after: Under
    places: Places
    policies: dict[UUID, engine.Policy] = field(default_factory=dict)

    def of(self, rows: Sequence[Asked]) -> list[Compared]:
        """Return how each of these would have ended under both; as many queries however many."""
        asked = columns.columns((row.facts, row.signals, row.state) for row in rows)
        before, after = _plans(rows, asked, self.before), _plans(rows, asked, self.after)
        return [
            Compared(row, ended(past, one, self.places), ended(past, other, self.places))
            for row, past, one, other in zip(rows, self._past(rows), before, after, strict=True)
        ]

    def know(self, versions: Iterable[UUID | None]) -> None:
        """Read the policies of these versions that are not read yet."""
        wanted = {version for version in versions if version} - self.policies.keys()
        for version in PolicyVersion.objects.filter(pk__in=wanted) if wanted else ():
            self.policies[version.pk] = engine.read_policy(version.document)

    def labels(self, version: UUID | None, step: str) -> tuple[str, ...] | None:
        """The labels that the gate of a policy of the past looked for in a step."""
        policy = self.policies.get(version) if version else None
        steps = {each.name: each for each in policy.steps} if policy else {}
        found = steps.get(step) or steps.get(ANY_STEP)
        return found.gate.labels if found is not None and found.gate is not None else None

    def _past(self, rows: Sequence[Asked]) -> list[Past]:
        charged = made.amounts([row.pk for row in rows])
        self.know(row.policy_version for row in rows)
        return [Past(row, charged.get(row.pk, {}), self.labels(row.policy_version, row.step)) for row in rows]


def read(rows: DecisionQuerySet) -> list[Asked]:
    """Return stored requests as they are asked again, in the order of the rows; one query."""
    texts = {f"{name}_text": Cast(name, TextField()) for name in DOCUMENTS}
    plain = ("pk", "step", "occurred_at", "policy_version", "outcome", "kept_model")
    known: dict[str, Facts] = {}
    found = []
    for key, step, at, version, outcome, model, *written in rows.annotate(**texts).values_list(*plain, *texts):
        facts, signals, state, attempts = written
        if facts not in known:
            known[facts] = msgspec.json.decode(facts, type=Facts)
        decoded = known[facts], SIGNALS.decode(signals), STATE.decode(state), ATTEMPTS.decode(attempts)
        found.append(Asked(key, step, at, version, outcome, model, *decoded))
    return found


def under(document: SnapshotDocument, workflow: UUID, policy: Mapping[str, Any], mode: str) -> Under | None:
    """Return a register with this policy live for a workflow; None where nothing of the workflow stands in it.

    Raises PolicyError and SnapshotError where the register and the policy cannot be read.
    """
    written, chosen = engine.read_policy(policy), Mode(mode).value
    workflows = tuple(
        msgspec.structs.replace(row, policy=written, mode=chosen)
        for row in document.workflows
        if row.id == str(workflow)
    )
    if not workflows:
        return None
    # It is asked and thrown away, never stored: its digest names nothing.
    return Under(written, engine.compile_snapshot(msgspec.structs.replace(document, workflows=workflows), digest=""))


def places() -> Places:
    """Return all endpoints; one query."""
    rows = list(Endpoint.objects.values_list("pk", "version_id", "logprobs"))
    return Places({str(pk): version for pk, version, _ in rows}, {str(pk): tells for pk, _, tells in rows})


def _plans(rows: Sequence[Asked], asked: columns.Columns, under: Under) -> list[Plan | Refusal]:
    """The plan of each request. What is refused is planned by itself: its words may count its own tokens."""
    found = columns.planned(asked, under.snapshot, under.policy)
    plans = [found.plans[kind] for kind in found.of.tolist()]
    for number, plan in enumerate(plans):
        if isinstance(plan, Refusal):
            row = rows[number]
            plans[number] = engine.plan(row.facts, row.signals, row.state, under.snapshot)
    return plans


def ended(past: Past, plan: Plan | Refusal, places: Places) -> Ended:
    """Walk a request up its ladder under a plan, each model answering as it did."""
    record = past.record
    if isinstance(plan, Refusal):
        return Ended("refused", f"Refused: {plan.text}.", cost={}, clause=plan.clause, kept_out=_kept_out(plan))
    attempts: list[AttemptSignals] = []
    taken: list[int] = []
    move = engine.next(plan, attempts)
    while isinstance(move, Climb):
        model = plan.rungs[move.rung].model
        number = _answer(record.attempts, move.endpoint, places)
        if number is None:
            return Ended("unknown", f"{model} would be asked, and was not asked then.")
        attempt = msgspec.structs.replace(record.attempts[number], rung=move.rung, endpoint=move.endpoint)
        unseen = _unseen(plan, attempt, past, places)
        if unseen:
            return Ended("unknown", f"{model} {unseen}.")
        attempts.append(attempt)
        taken.append(number)
        move = engine.next(plan, attempts)
    return replace(
        _told(plan, move, attempts),
        cost=_cost([past.charged.get(number) for number in taken]),
        latency_ms=sum(each.latency_ms for each in attempts) if attempts else None,
        climbed=len({each.rung for each in attempts}) > 1,
        taken=tuple(taken),
        kept_out=_kept_out(plan),
    )


def _answer(attempts: Sequence[AttemptSignals], endpoint: str, places: Places) -> int | None:
    """Which attempt tells what an endpoint says: its own, or an answer of the same model version elsewhere."""
    for number, attempt in enumerate(attempts):
        if attempt.endpoint == endpoint:
            return number
    version = places.versions.get(endpoint)
    for number, attempt in enumerate(attempts):
        if attempt.outcome in ("ok", "refused") and version and places.versions.get(attempt.endpoint) == version:
            return number
    return None


def _unseen(plan: Plan, attempt: AttemptSignals, past: Past, places: Places) -> str:
    """What the plan's gate asks of an answer and nobody looked for then, in words; empty where nothing is missing."""
    if attempt.outcome == "aborted":
        return "was left before its answer ended"
    if attempt.outcome != "ok" or plan.gate is None:
        return ""
    labels = plan.gate.labels
    if labels is not None and attempt.label is None and (past.labels is None or not set(labels) <= set(past.labels)):
        return "was not asked for these labels then"
    unsure = plan.rungs[attempt.rung].keep_from is not None and attempt.confidence is None
    return "was not asked how sure it is then" if unsure and places.logprobs.get(attempt.endpoint) else ""


def _kept_out(planned: Plan | Refusal) -> tuple[tuple[str, str], ...]:
    """The models that a guard or a rule keeps out, not what only does not work just now."""
    return tuple((one.model, one.clause) for one in planned.left_out if one.clause not in STATE_CLAUSES)


def _told(plan: Plan, move: engine.Move, attempts: Sequence[AttemptSignals]) -> Ended:
    match move:
        case Keep(rung=rung):
            kept = plan.rungs[rung]
            doubts = [doubt.sentence for each in attempts if each.rung != rung and (doubt := engine.doubt(plan, each))]
            why = f"{doubts[-1]}, so {kept.model} was asked." if doubts else f"{kept.model} answers."
            return Ended("kept", why, kept.model, kept.tier)
        case Person(reason=reason):
            return Ended("person", f"A person decides: {reason.sentence}")
        case Fail(reason=reason):
            return Ended("failed", reason.sentence)
        case _:
            raise AssertionError("a climb is no end")


def _cost(charges: Sequence[tuple[Decimal | None, str | None] | None]) -> Mapping[str, Decimal] | None:
    found: dict[str, Decimal] = {}
    for amount, currency in (each or (None, None) for each in charges):
        if amount is None or currency is None:
            return None
        found[currency] = found.get(currency, Decimal(0)) + amount
    return found
