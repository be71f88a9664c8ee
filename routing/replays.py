"""What a policy would have answered, found from what each model answered alone.

No threshold is compared here: the engine plans each sample and judges each recorded answer, as it does in a gateway.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

import msgspec

from governance.models import Workflow
from routing.intervals import mcnemar, wilson
from routing.models import Evaluation, EvaluationResult, Sample
from routing.samples import label_of
from smallfirst import engine
from smallfirst.engine import AttemptSignals, Climb, Facts, Keep, Person, Plan, Refusal, Signals, SnapshotDocument

Outcome = Literal["kept", "person", "failed", "refused", "unmeasured"]

# The gateway's code for what a model itself refuses; its other endpoints would, too.
REFUSED = "invalid_request"
MOST_MILLISECONDS = 86_400_000


@dataclass(frozen=True)
class Replayed:
    """What a policy would have made of one sample.

    `kept`: the answer of `model`, right or not. `person`: one decides. `failed`: no model answered; `refused`: none may
    be asked. `unmeasured`: the policy asks a model that the evaluation did not. `cost` is that of all models asked,
    None where some of it is not known or currencies differ; `latency_ms` is their sum; `asked` names them in turn.
    """

    sample: UUID
    position: int
    outcome: Outcome
    model: str | None
    correct: bool | None
    cost: Decimal | None
    currency: str | None
    latency_ms: int
    asked: tuple[str, ...]


@dataclass(frozen=True)
class Replay:
    """What a policy would have made of every sample of an evaluation."""

    samples: tuple[Replayed, ...]

    @property
    def n(self) -> int:
        """How many samples there are."""
        return len(self.samples)

    @cached_property
    def outcomes(self) -> Counter[str]:
        """How many samples ended how."""
        return Counter(sample.outcome for sample in self.samples)

    @cached_property
    def kept(self) -> Counter[str]:
        """How many samples each model answers; one that answers none is 0."""
        return Counter(sample.model for sample in self.samples if sample.model is not None)

    @cached_property
    def correct(self) -> int:
        """How many answers of models are right."""
        return sum(1 for sample in self.samples if sample.correct)

    @property
    def judged(self) -> int:
        """How many samples are right or wrong: kept, failed and refused ones."""
        return self.n - self.outcomes["person"] - self.outcomes["unmeasured"]

    @property
    def accuracy(self) -> float | None:
        """The share of right ones among those that are judged; None of none."""
        return self.correct / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The bounds of that share (Wilson, 95 %)."""
        return wilson(self.correct, self.judged)

    @property
    def unpriced(self) -> int:
        """For how many samples some of the cost is not known."""
        return sum(1 for sample in self.samples if sample.cost is None)

    @cached_property
    def currency(self) -> str | None:
        """The one currency of all costs; None where there are several or none."""
        found = {sample.currency for sample in self.samples if sample.currency}
        return found.pop() if len(found) == 1 else None

    @property
    def cost(self) -> Decimal | None:
        """What the samples whose cost is known cost; None where there is none or currencies differ."""
        return None if self.currency is None else sum((each.cost for each in self.samples if each.cost), Decimal(0))

    @property
    def cost_per_task(self) -> Decimal | None:
        """What one of those takes on average, people's time not counted."""
        return None if self.cost is None else self.cost / (self.n - self.unpriced)


@dataclass(frozen=True, slots=True)
class Answered:
    """What one model answered to one sample, as it is recorded."""

    outcome: str
    error: str
    label: str | None
    correct: bool
    confidence: float | None
    stop_reason: str | None
    latency_ms: int
    output_tokens: int | None
    cost: Decimal | None
    currency: str | None


FIELDS = tuple(Answered.__dataclass_fields__)


def replayed(
    evaluation: Evaluation, policy: Mapping[str, Any] | None = None, *, positions: Iterable[int] | None = None
) -> Replay:
    """Return what a policy document would have made of an evaluation's samples: the one that was live, unless given.

    It decides over the models, endpoints, prices and guards of the moment when the evaluation started. `positions`
    narrows it to some samples. Two queries (and the snapshot's, unless it was read along). Raises PolicyError for a
    document that is no policy.
    """
    document = evaluation.policy_version.document if policy is None else policy
    snapshot = under(evaluation, document)
    found = Sample.objects.filter(sample_set=evaluation.sample_set_id).order_by("position")
    results = EvaluationResult.objects.filter(evaluation=evaluation)
    if positions is not None:
        found = found.filter(position__in=list(positions))
        results = results.filter(sample__in=found)
    answers: dict[UUID, dict[str, Answered]] = {}
    for sample, model, *fields in results.values_list("sample_id", "model", *FIELDS):
        answers.setdefault(sample, {})[model] = Answered(*fields)
    facts = Facts(workflow=str(evaluation.step.workflow_id), step=evaluation.step.name)
    return Replay(
        tuple(
            _replay(key, position, msgspec.convert(read, Signals), answers.get(key, {}), facts, snapshot)
            for key, position, read in found.values_list("id", "position", "signals")
        )
    )


@dataclass(frozen=True)
class Paired:
    """Where two policies answer the same samples: how many only the second has right, and how many only the first.

    `p_value` is the exact McNemar test of the two.
    """

    n: int
    gained: int
    lost: int

    @property
    def p_value(self) -> float:
        """How often chance alone makes such a difference."""
        return mcnemar(self.gained, self.lost)


def paired(before: Replay, after: Replay) -> Paired:
    """Return how two replays of the same samples stand to each other where both are right or wrong."""
    pairs = zip(before.samples, after.samples, strict=True)
    judged = [(one.correct, two.correct) for one, two in pairs if one.correct is not None and two.correct is not None]
    return Paired(len(judged), judged.count((False, True)), judged.count((True, False)))


def alike(before: Replay, after: Replay) -> bool:
    """Whether two replays make the same of every sample, at the same cost."""
    return before.samples == after.samples


def under(evaluation: Evaluation, policy: Mapping[str, Any]) -> engine.Snapshot:
    """Return the evaluation's snapshot with a policy in force for its workflow, whatever was. Raises PolicyError."""
    document = msgspec.json.decode(evaluation.snapshot.text, type=SnapshotDocument)
    workflow: Workflow = evaluation.step.workflow
    read = engine.read_policy(policy)
    workflows = tuple(
        msgspec.structs.replace(row, policy=read, mode="enforce")
        for row in document.workflows
        if row.id == str(workflow.pk)
    )
    # The other workflows' policies say nothing about this one's.
    return engine.compile_snapshot(
        msgspec.structs.replace(document, workflows=workflows), digest=evaluation.snapshot_id
    )


def _replay(
    sample: UUID,
    position: int,
    signals: Signals,
    answers: Mapping[str, Answered],
    facts: Facts,
    snapshot: engine.Snapshot,
) -> Replayed:
    """Walk one sample up the ladder, each model answering as it did."""
    planned = engine.plan(facts, signals, engine.State(), snapshot)
    asked: list[str] = []
    outcome: Outcome
    model: str | None = None
    if isinstance(planned, Refusal):
        outcome = "refused"
    else:
        outcome, model = _walk(planned, answers, asked)
    cost, currency = _cost([answers[name] for name in asked])
    return Replayed(
        sample=sample,
        position=position,
        outcome=outcome,
        model=model,
        correct=None if outcome in ("person", "unmeasured") else model is not None and answers[model].correct,
        cost=None if outcome == "unmeasured" else cost,
        currency=currency,
        latency_ms=sum(answers[name].latency_ms for name in asked),
        asked=tuple(asked),
    )


def _walk(plan: Plan, answers: Mapping[str, Answered], asked: list[str]) -> tuple[Outcome, str | None]:
    """Let the engine move until it is done; `asked` takes the models in turn."""
    attempts: list[AttemptSignals] = []
    labels = plan.gate.labels if plan.gate is not None else None
    move = engine.next(plan, attempts)
    while isinstance(move, Climb):
        name = plan.rungs[move.rung].model
        answer = answers.get(name)
        if answer is None:
            return "unmeasured", None
        # What is recorded is what came of the model at all its endpoints: another one would have made no difference.
        again = bool(asked) and asked[-1] == name
        attempts.append(_signals(answer, move, labels, again=again))
        if not again:
            asked.append(name)
        move = engine.next(plan, attempts)
    match move:
        case Keep(rung=rung):
            return "kept", plan.rungs[rung].model
        case Person():
            return "person", None
        case _:
            return "failed", None


def _signals(answer: Answered, move: Climb, labels: Sequence[str] | None, *, again: bool) -> AttemptSignals:
    """An answer as the engine would have been told of it by a gateway."""
    outcome: Literal["ok", "error", "timeout", "refused"]
    if answer.outcome == EvaluationResult.Outcome.OK:
        outcome = "ok"
    elif answer.outcome == EvaluationResult.Outcome.TIMEOUT:
        outcome = "timeout"
    else:
        outcome = "refused" if answer.error == REFUSED else "error"
    return AttemptSignals(
        rung=move.rung,
        endpoint=move.endpoint,
        outcome=outcome,
        confidence=answer.confidence,
        label=label_of(answer.label, labels) if labels is not None and answer.label is not None else None,
        stop_reason=answer.stop_reason,
        output_tokens=answer.output_tokens,
        latency_ms=0 if again else min(answer.latency_ms, MOST_MILLISECONDS),
    )


def _cost(answers: Sequence[Answered]) -> tuple[Decimal | None, str | None]:
    """The sum of what some answers cost, and its currency; nothing asked costs nothing."""
    total, currency = Decimal(0), None
    for answer in answers:
        if answer.cost is None or (currency is not None and answer.currency != currency):
            return None, None
        total, currency = total + answer.cost, answer.currency
    return total, currency
