"""What to do after each attempt, the decision that comes of it, and its replay."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from smallfirst.engine.compiled import Snapshot
from smallfirst.engine.decision import (
    Climb,
    Decision,
    Fail,
    Keep,
    Move,
    Outcome,
    Person,
    Plan,
    PlannedEndpoint,
    PlannedRung,
    Reason,
    Refusal,
)
from smallfirst.engine.facts import AttemptSignals, Facts, Signals, State
from smallfirst.engine.guards import EXACT
from smallfirst.engine.plan import plan
from smallfirst.engine.policy import AUTO
from smallfirst.engine.words import share, told_apart

# Outcomes after which another endpoint of the same model may do better.
ELSEWHERE = ("error", "timeout")

# Facts that came after the first release, with what they say of every decision before.
LATER_FACTS = (("purpose", "application"), ("kind", "chat"))

_ENCODER = msgspec.json.Encoder(order="sorted")


class ReplayError(ValueError):
    """A stored decision does not follow from what is stored with it; the message says where it parts."""


def next(plan: Plan, attempts: Sequence[AttemptSignals]) -> Move:  # noqa: A001 - the design's word for it
    """Return the move after these attempts; without any, the first one to make.

    An answer that passes the gate is kept, or released by a person where the policy wants that. Doubt climbs; an error
    or a timeout asks the rung's next endpoint, then climbs. When nothing is left (no rung, no time, no money) a person
    decides on the last answer; where the policy asks no person, the last answer is kept; without any answer it fails.
    Each endpoint of each rung is asked at most once, in rising order. Raises ValueError when the last attempt is none
    that the plan names.
    """
    if not attempts:
        return Climb(plan.start, plan.rungs[plan.start].endpoints[0].id)
    last = attempts[-1]
    position = _position(plan, last)
    if last.outcome == "aborted":
        return Fail(Reason("aborted", "The caller left or the answer broke off, so nothing more was asked."))
    if last.outcome == "ok" and doubt(plan, last) is None:
        if plan.review is not None and plan.review.when == "always":
            return Person(_why_always(plan), last.rung)
        return Keep(last.rung)
    if sum([attempt.latency_ms for attempt in attempts]) < plan.limits.deadline_ms:
        left = None if plan.max_cost is None else EXACT.subtract(plan.max_cost, _spent(plan, attempts))
        for rung, endpoint in _still_to_ask(plan, last, position):
            if left is None or endpoint.most <= left:
                return Climb(rung, endpoint.id)
    return _finish(plan, attempts)


def doubt(plan: Plan, attempt: AttemptSignals) -> Reason | None:
    """Say why an answer is not sure enough to keep; None when it passes the gate."""
    gate = plan.gate
    if gate is None:
        return None
    rung = plan.rungs[attempt.rung]
    if gate.stop_reasons is not None and attempt.stop_reason not in gate.stop_reasons:
        stopped = "for no known reason" if attempt.stop_reason is None else f"with “{attempt.stop_reason}”"
        return Reason("stop_reason", f"{rung.model} stopped {stopped}", {"stop_reason": attempt.stop_reason})
    if gate.labels is not None and attempt.label not in gate.labels:
        said = "no label" if attempt.label is None else f"“{attempt.label}”"
        return Reason("label", f"{rung.model} answered {said}, which is none of its labels", {"label": attempt.label})
    if rung.keep_from is None:
        return None
    if attempt.confidence is None:
        sentence = f"{rung.model} answered without a confidence, {share(rung.keep_from)} is needed"
        return Reason("no_confidence", sentence, {"keep_from": rung.keep_from})
    if attempt.confidence < rung.keep_from:
        confidence, keep_from = told_apart(attempt.confidence, rung.keep_from)
        sentence = f"{rung.model} answered with confidence {confidence}, under {keep_from}"
        return Reason("confidence", sentence, {"confidence": attempt.confidence, "keep_from": rung.keep_from})
    return None


def streams(plan: Plan, rung: int) -> bool:
    """Say whether this rung's answer is kept whatever it says, so that its bytes may leave as they come."""
    if plan.review is not None and plan.review.when == "always":
        return False
    return plan.gate is None or (plan.review is None and rung == len(plan.rungs) - 1)


def conclude(
    planned: Plan | Refusal,
    attempts: Sequence[AttemptSignals],
    *,
    id: str,  # noqa: A002 - the field's name
    at: str,
    environment: str,
    key: str,
    facts: Facts,
    signals: Signals,
    state: State,
    snapshot: str,
    review: str | None = None,
) -> Decision:
    """Return the decision to store. ``planned`` came of these facts, signals and state and the snapshot of this digest.

    ``review`` is the id of the review that was opened; with no attempts at all, it is that of the same request sent
    before. Attempts that end before the ladder does give ``failed``. Raises ValueError for a person without a review.
    """
    outcome, rung = _outcome(planned, attempts, review)
    return Decision(
        id=id,
        at=at,
        workflow=facts.workflow,
        environment=environment,
        key=key,
        step=facts.step,
        run=facts.run,
        facts=facts,
        signals=signals,
        state=state,
        snapshot=snapshot,
        policy_version=None if planned.policy_version is None else planned.policy_version.id,
        attempts=tuple(attempts),
        outcome=outcome,
        kept_model=None if rung is None else rung.model,
        tier=None if rung is None else rung.tier,
        review=review if outcome == "person" else None,
        triage=planned.triage,
        observed=planned.observed,
    )


def encode(decision: Decision) -> bytes:
    """Return the one byte form of a decision: JSON without spaces, every object's names in order.

    A field that came after the first release stands only where it says something, so that older decisions keep their
    bytes.
    """
    fields = msgspec.structs.asdict(decision)
    if decision.observed is None:
        del fields["observed"]
    fields["facts"] = facts = msgspec.structs.asdict(decision.facts)
    for name, usual in LATER_FACTS:
        if facts[name] == usual:
            del facts[name]
    return _ENCODER.encode(fields)


def replay(decision: Decision, snapshot: Snapshot) -> Decision:
    """Decide a stored decision again from what is stored with it; a true one comes out with the same bytes.

    Raises ReplayError when it names another snapshot or holds attempts that its plan would not have made.
    """
    planned = replan(decision, snapshot)
    return conclude(
        planned,
        decision.attempts,
        id=decision.id,
        at=decision.at,
        environment=decision.environment,
        key=decision.key,
        facts=decision.facts,
        signals=decision.signals,
        state=decision.state,
        snapshot=snapshot.digest,
        review=decision.review,
    )


def replan(decision: Decision, snapshot: Snapshot) -> Plan | Refusal:
    """Return the plan behind a stored decision, having walked its attempts. Raises ReplayError as ``replay`` does."""
    _check_snapshot(decision, snapshot)
    planned = plan(decision.facts, decision.signals, decision.state, snapshot)
    for index, attempt in enumerate(decision.attempts):
        move = planned if isinstance(planned, Refusal) else next(planned, decision.attempts[:index])
        if not isinstance(move, Climb) or (move.rung, move.endpoint) != (attempt.rung, attempt.endpoint):
            raise ReplayError(f"attempts[{index}] is not what the plan asks at that point")
    return planned


def would_have(decision: Decision, snapshot: Snapshot) -> Plan | Refusal:
    """Return the plan of the same request, had it left the choice of the model to the policy and that been in force.

    Raises ReplayError when the decision names another snapshot.
    """
    _check_snapshot(decision, snapshot)
    left_open = msgspec.structs.replace(decision.facts, model=AUTO, purpose="application")
    return plan(left_open, decision.signals, decision.state, snapshot)


def _check_snapshot(decision: Decision, snapshot: Snapshot) -> None:
    if decision.snapshot != snapshot.digest:
        raise ReplayError(f"the decision was made under snapshot {decision.snapshot}, not {snapshot.digest}")


def _position(plan: Plan, attempt: AttemptSignals) -> int:
    """Return the index of the attempt's endpoint in its rung."""
    if attempt.rung < len(plan.rungs):
        for position, endpoint in enumerate(plan.rungs[attempt.rung].endpoints):
            if endpoint.id == attempt.endpoint:
                return position
    raise ValueError(f"the plan has no rung {attempt.rung} with endpoint {attempt.endpoint}")


def _still_to_ask(plan: Plan, last: AttemptSignals, position: int) -> Iterator[tuple[int, PlannedEndpoint]]:
    """Yield what comes after an attempt: its rung's further endpoints where they may do better, then all above."""
    if last.outcome in ELSEWHERE:
        for endpoint in plan.rungs[last.rung].endpoints[position + 1 :]:
            yield last.rung, endpoint
    for rung in range(last.rung + 1, len(plan.rungs)):
        for endpoint in plan.rungs[rung].endpoints:
            yield rung, endpoint


def _spent(plan: Plan, attempts: Sequence[AttemptSignals]) -> Decimal:
    """Return what the attempts may have cost, USD: where tokens are unknown, the most that they can have been."""
    total = Decimal(0)
    for attempt in attempts:
        endpoint = plan.rungs[attempt.rung].endpoints[_position(plan, attempt)]
        # An error or a refusal without tokens is an answer that was never made: providers take nothing for it.
        if attempt.output_tokens is not None or attempt.outcome not in ("error", "refused"):
            total = EXACT.add(total, _cost(endpoint, attempt.output_tokens))
    return total


def _cost(endpoint: PlannedEndpoint, output_tokens: int | None) -> Decimal:
    if output_tokens is None:
        return endpoint.most
    return EXACT.add(endpoint.input_cost, EXACT.multiply(endpoint.output_rate, output_tokens))


def _finish(plan: Plan, attempts: Sequence[AttemptSignals]) -> Move:
    """Settle a request that has nothing left to ask, by the highest rung that answered."""
    answered = [attempt for attempt in attempts if attempt.outcome == "ok"]
    if answered:
        last = answered[-1]
        why = doubt(plan, last)
        if plan.review is None or why is None:
            return Keep(last.rung)
        if plan.review.when == "always":
            return Person(_why_always(plan), last.rung)
        sentence = f"{why.sentence}, and no further model may be asked."
        return Person(Reason("unsure", sentence, {"doubt": why.code, **why.facts}), last.rung)
    if all(attempt.outcome == "refused" for attempt in attempts):
        return Fail(Reason("request_refused", "Every model that was asked refused the request itself."))
    return Fail(Reason("no_model_available", "No model answered, and nothing is left to ask."))


def _why_always(plan: Plan) -> Reason:
    if plan.review_rule is not None:
        return Reason("rule", f"Rule “{plan.review_rule}” asks for a person.", {"rule": plan.review_rule})
    return Reason("always", "A person releases every answer of this step.")


def _outcome(
    planned: Plan | Refusal, attempts: Sequence[AttemptSignals], review: str | None
) -> tuple[Outcome, PlannedRung | None]:
    if isinstance(planned, Refusal):
        return "refused", None
    if not attempts:
        return ("failed" if review is None else "person"), None
    match next(planned, attempts):
        case Keep(rung=rung):
            return "kept", planned.rungs[rung]
        case Person():
            if review is None:
                raise ValueError("a person decides on this request: name the review that was opened")
            return "person", None
        case _:
            return "failed", None
