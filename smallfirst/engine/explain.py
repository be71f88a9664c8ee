"""A stored decision in plain English, found by deciding it again."""

from collections.abc import Iterator

from smallfirst.engine.compiled import CompiledWorkflow, Snapshot
from smallfirst.engine.decide import doubt, next, replan, would_have  # noqa: A004 - the design's word for it
from smallfirst.engine.decision import Climb, Decision, Fail, Figures, Keep, LeftOut, Person, Plan, Reason, Refusal
from smallfirst.engine.describe import part_named
from smallfirst.engine.facts import AttemptSignals, Signals
from smallfirst.engine.policy import ANY_STEP, AUTO
from smallfirst.engine.triage import cuts_reached
from smallfirst.engine.words import listed, told_apart

FAILURES = {
    "error": "failed",
    "timeout": "did not answer in time",
    "refused": "refused the request",
    "aborted": "was cut off",
}


def explain(decision: Decision, snapshot: Snapshot) -> list[Reason]:
    """Return why the decision fell as it did, in the order in which it happened.

    Raises ReplayError when the decision does not follow from what is stored with it.
    """
    planned = replan(decision, snapshot)
    reasons = [_under_policy(planned, decision, snapshot)]
    if planned.observed is not None:
        reasons.append(_would_have(decision, snapshot))
    reasons += _under_standards(planned, decision, snapshot)
    reasons += [Reason("rule", f"Rule “{name}” fired.", {"rule": name}) for name in planned.rules]
    reasons += [_left_out(one) for one in planned.left_out]
    if isinstance(planned, Refusal):
        reasons.append(Reason(planned.code, f"Refused: {planned.text.rstrip('.')}.", {"clause": planned.clause}))
        return reasons
    if decision.facts.model != AUTO:
        reasons.append(_pinned(planned, decision, snapshot.workflows[decision.workflow]))
    if planned.start > 0:
        reasons.append(_entered(planned, decision.signals))
    if not decision.attempts:
        reasons.append(_not_asked_at_all(decision))
        return reasons
    count = len(decision.attempts)
    for made in range(1, count + 1):
        reasons.append(_attempted(planned, decision.attempts[:made], final=made == count))
    return reasons + _ended(planned, decision)


def _under_policy(planned: Plan | Refusal, decision: Decision, snapshot: Snapshot) -> Reason:
    if planned.policy_version is None:
        return Reason("policy", "No policy decided: the bundle did not hold the workflow.", {"version": None})
    number, slug = planned.policy_version.number, snapshot.workflows[decision.workflow].slug
    where = "for a request that names no step" if decision.step == ANY_STEP else f"for step “{decision.step}”"
    did = "decided" if planned.observed is None else "was only watched"
    return Reason("policy", f"Policy version {number} of {slug} {did}, {where}.", {"version": number})


def _under_standards(planned: Plan | Refusal, decision: Decision, snapshot: Snapshot) -> Iterator[Reason]:
    """Say which standards held above the policy, and from which of their parts the workflow was excepted."""
    if planned.policy_version is None:
        return
    for held in snapshot.workflows[decision.workflow].standards:
        sentence = f"Version {held.number} of {held.name} held"
        if held.without:
            parts = listed([part_named(key) for key in held.without])
            sentence += f", without {parts}, from which the workflow is excepted"
        yield Reason("standard", f"{sentence}.", {"standard": held.name, "version": held.number})


def _would_have(decision: Decision, snapshot: Snapshot) -> Reason:
    """Say what a policy that was only watched would have done."""
    would = would_have(decision, snapshot)
    if isinstance(would, Refusal):
        sentence = f"It would have refused the request: {would.text.rstrip('.')}."
        return Reason("observed", sentence, {"model": None, "tier": None, "clause": would.clause})
    first, *above = would.rungs[would.start :]
    sentence = f"It would have started at {first.model} ({first.tier})"
    further = [rung.model for rung in above]
    if would.review is not None and would.review.when == "unsure":
        further.append("a person")
    if further:
        sentence += f" and could have climbed to {listed(further)}"
    if would.review is not None and would.review.when == "always":
        sentence += "; a person would have released the answer"
    return Reason("observed", f"{sentence}.", {"model": first.model, "tier": first.tier, "clause": None})


def _left_out(one: LeftOut) -> Reason:
    return Reason("left_out", f"{one.model} left out: {one.text}.", {"model": one.model, "clause": one.clause})


def _pinned(planned: Plan, decision: Decision, workflow: CompiledWorkflow) -> Reason:
    model = decision.facts.model
    if planned.observed is not None:
        return Reason("pin", f"{model} was asked for by name and served as asked.", {"model": model})
    if decision.facts.purpose == "evaluation":
        sentence = f"{model} was asked alone, to be measured: no gate looked at its answer, and no person."
        return Reason("pin", sentence, {"model": model})
    if workflow.pin == "allow":
        return Reason("pin", f"{model} was asked for by name, which the policy allows.", {"model": model})
    return Reason("pin", f"{model} was asked for by name; the policy chose instead.", {"model": model})


def _entered(planned: Plan, signals: Signals) -> Reason:
    first = planned.rungs[planned.start]
    facts: Figures = {"triage": planned.triage, "model": first.model, "tier": first.tier}
    if planned.start_rule is not None:
        sentence = f"Rule “{planned.start_rule}” starts the ladder at {first.model} ({first.tier})."
        return Reason("start", sentence, {**facts, "rule": planned.start_rule})
    seen = listed([cut.words for cut in cuts_reached(signals)])
    why = f"The request looks {planned.triage} ({seen})" if seen else f"The request looks {planned.triage}"
    return Reason("start", f"{why}: the ladder starts at {first.model} ({first.tier}).", facts)


def _not_asked_at_all(decision: Decision) -> Reason:
    if decision.review is not None:
        sentence = "The same request had been sent before and its review decides, so no model was asked."
        return Reason("repeat", sentence, {"review": decision.review})
    return Reason("ended_early", "The request ended before any model was asked.")


def _attempted(planned: Plan, attempts: tuple[AttemptSignals, ...], *, final: bool) -> Reason:
    """Say what came of the last of these attempts and what followed from it."""
    attempt = attempts[-1]
    rung = planned.rungs[attempt.rung]
    facts: Figures = {
        "rung": attempt.rung,
        "model": rung.model,
        "tier": rung.tier,
        "endpoint": attempt.endpoint,
        "outcome": attempt.outcome,
        "confidence": attempt.confidence,
        "keep_from": rung.keep_from,
    }
    return Reason("attempt", f"{_happened(planned, attempt)}: {_followed(planned, attempts, final=final)}.", facts)


def _happened(planned: Plan, attempt: AttemptSignals) -> str:
    rung = planned.rungs[attempt.rung]
    if attempt.outcome != "ok":
        return f"{rung.model} {FAILURES[attempt.outcome]}"
    why = doubt(planned, attempt)
    if why is not None:
        return why.sentence
    if attempt.confidence is None or rung.keep_from is None:
        return f"{rung.model} answered"
    confidence, keep_from = told_apart(attempt.confidence, rung.keep_from)
    return f"{rung.model} answered with confidence {confidence}, {keep_from} is enough"


def _followed(planned: Plan, attempts: tuple[AttemptSignals, ...], *, final: bool) -> str:
    attempt = attempts[-1]
    match next(planned, attempts):
        case Climb() if final:
            return "the request ended before anything more was asked"
        case Climb(rung=asked):
            return "its next endpoint was asked" if asked == attempt.rung else "climbed"
        case Keep(rung=kept) if kept != attempt.rung:
            return f"the answer of {planned.rungs[kept].model} was kept, since no further model may be asked"
        case Keep():
            return "kept" if doubt(planned, attempt) is None else "kept, since no further model may be asked"
        case Person():
            return "a person was asked"
        case Fail():
            return "no answer"


def _ended(planned: Plan, decision: Decision) -> list[Reason]:
    """Say why a person decides or why it failed, and which rungs never came to be asked."""
    reasons = []
    move = next(planned, decision.attempts)
    if isinstance(move, Person | Fail):
        reasons.append(move.reason)
    unasked = [rung.model for rung in planned.rungs[decision.attempts[-1].rung + 1 :]]
    if unasked:
        verb = "was" if len(unasked) == 1 else "were"
        reasons.append(Reason("not_asked", f"{listed(unasked)} {verb} not asked.", {"models": ", ".join(unasked)}))
    return reasons
