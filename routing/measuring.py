"""Works on evaluations, chunk by chunk: asks the gateway, writes down each answer as it comes, scores at the end.

Whoever works holds a chunk by a lease, renewed while he lives; after kill -9 it runs out and another goes on with what
is missing. An answer is written once whoever brings it. No transaction is open while a model is asked.

A model that fails is an answer, and counts. A gateway that cannot be asked is trouble: the chunk rests and is tried
again, and after half an hour of it the evaluation has failed.
"""

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from governance import accounts, audit, policies
from governance.errors import GovernanceError
from governance.models import ApiKey
from routing import asking, evaluations, sample_sets, scoring
from routing.asking import Answer, Line, NotReached, TooSlow
from routing.models import Evaluation, EvaluationChunk, EvaluationResult, EvaluationScore, Sample
from routing.samples import label_of
from smallfirst.engine import Policy
from smallfirst.engine.policy import ANY_STEP, Step
from smallfirst.seal import SealError

State, Outcome = Evaluation.State, EvaluationResult.Outcome

LEASE = timedelta(seconds=30)
RENEW_SECONDS = 5.0
# A worker does not give itself to one evaluation for long: others' tasks wait behind it.
BUDGET_SECONDS = 60.0
ASKS_AT_ONCE = 4
MOST_SECONDS = 120.0
# How much longer than the models the gateway itself may take.
MARGIN_SECONDS = 10.0
# Gateways learn of a new key within seconds.
KEY_SECONDS = 15.0
REST = timedelta(seconds=15)
GIVE_UP_AFTER = timedelta(minutes=30)
MOST_TRIES = 10
MOST_TOKENS = 1_000_000_000
CENT = Decimal("1E-10")


class Trouble(Exception):
    """The gateway could not be asked just now; the text says why."""


class Hopeless(Exception):
    """Asking on makes no sense; the text says why."""


@dataclass
class Job:
    """A chunk in hand: what is asked with it, and what is still missing."""

    chunk: EvaluationChunk
    evaluation: Evaluation
    token: UUID
    labels: list[str]
    seconds: float
    key: str
    missing: deque[tuple[Sample, str]] = field(default_factory=deque)
    written: int = 0


def work() -> bool:
    """Take the next chunk whose turn it is and work on it; whether another may be taken at once."""
    taken = take(timezone.now())
    if taken is None:
        return False
    chunk, token = taken
    try:
        job = _prepared(chunk, token)
        _measure(job)
    except (Trouble, NotReached) as error:
        rest(chunk, token, str(error), now=timezone.now())
        return False
    except Hopeless as error:
        fail(chunk.evaluation, str(error), now=timezone.now())
        return True
    if job.missing:
        _release(chunk, token)
    else:
        finish(chunk, token, now=timezone.now())
    return True


@transaction.atomic
def take(now: datetime) -> tuple[EvaluationChunk, UUID] | None:
    """Lease the next chunk that nobody has; None when there is none, or when as many as may are in hand."""
    # Locking all of them makes takers come one after the other, so that the bound below holds.
    active = list(Evaluation.objects.active().select_for_update(no_key=True).order_by("id"))
    if not active:
        return None
    chunks = EvaluationChunk.objects.filter(evaluation__in=active, done_at=None)
    if chunks.filter(leased_until__gt=now).exclude(token=None).count() >= settings.EVALUATION_CHUNKS_AT_ONCE:
        return None
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    # By number first: evaluations that go on together share the workers.
    chunk = chunks.filter(free).select_related("evaluation").order_by("number", "evaluation_id").first()
    if chunk is None:
        return None
    evaluation = next(each for each in active if each.pk == chunk.evaluation_id)
    if chunk.tries >= MOST_TRIES:
        _end(evaluation, f"Chunk {chunk.number} was tried {chunk.tries} times and no answer came of it.", now)
        return None
    chunk.token, chunk.leased_until, chunk.tries = uuid4(), now + LEASE, chunk.tries + 1
    chunk.save(update_fields=["token", "leased_until", "tries"])
    if evaluation.state == State.QUEUED:
        evaluation.state, evaluation.started_at = State.RUNNING, now
        evaluation.save(update_fields=["state", "started_at"])
    return chunk, chunk.token


@transaction.atomic
def finish(chunk: EvaluationChunk, token: UUID, *, now: datetime) -> None:
    """Put a chunk away, all of its answers written; with the last one the evaluation is scored and done."""
    evaluation = evaluations.lock(chunk.evaluation)
    mine = EvaluationChunk.objects.filter(pk=chunk.pk, token=token)
    if not evaluation.is_active or not mine.update(token=None, leased_until=None, done_at=now):
        return
    if evaluation.chunks.filter(done_at=None).exists():
        return
    scores = EvaluationScore.objects.bulk_create(scoring.score(evaluation))
    evaluation.state, evaluation.ended_at, evaluation.trouble, evaluation.troubled_since = State.DONE, now, "", None
    evaluation.save(update_fields=["state", "ended_at", "trouble", "troubled_since"])
    audit.record(
        action="evaluations.finish",
        actor=evaluations.SERVICE,
        object=evaluation,
        summary=f"Evaluated {evaluation.step.name} of {evaluation.step.workflow.name} on {evaluation.sample_set}",
        before={"ended_at": None},
        after={
            "state": evaluation.state,
            "ended_at": now,
            "right": {score.model or "policy": f"{score.correct} of {score.judged}" for score in scores},
        },
    )


@transaction.atomic
def rest(chunk: EvaluationChunk, token: UUID, why: str, *, now: datetime) -> None:
    """Put a chunk aside for a while because of trouble; after half an hour of trouble the evaluation has failed."""
    evaluation = evaluations.lock(chunk.evaluation)
    mine = EvaluationChunk.objects.filter(pk=chunk.pk, token=token)
    if not evaluation.is_active or not mine.update(token=None, leased_until=now + REST, tries=0):
        return
    since = evaluation.troubled_since or now
    if now - since >= GIVE_UP_AFTER:
        _end(evaluation, why, now)
        return
    evaluation.trouble, evaluation.troubled_since = why, since
    evaluation.save(update_fields=["trouble", "troubled_since"])


@transaction.atomic
def fail(evaluation: Evaluation, why: str, *, now: datetime) -> None:
    """End an evaluation that cannot be brought to its end; its answers stay."""
    held = evaluations.lock(evaluation)
    if held.is_active:
        _end(held, why, now)


def _end(evaluation: Evaluation, why: str, now: datetime) -> None:
    evaluation.state, evaluation.ended_at, evaluation.trouble = State.FAILED, now, why
    evaluation.save(update_fields=["state", "ended_at", "trouble"])
    audit.record(
        action="evaluations.fail",
        actor=evaluations.SERVICE,
        object=evaluation,
        summary=f"The evaluation of {evaluation.step.name} of {evaluation.step.workflow.name} failed",
        before={"ended_at": None},
        after={"state": evaluation.state, "ended_at": now},
        reason=why,
    )


def _release(chunk: EvaluationChunk, token: UUID) -> None:
    """Let go of a chunk that is not done: its time was over, or the evaluation ended under it."""
    EvaluationChunk.objects.filter(pk=chunk.pk, token=token).update(token=None, leased_until=None)


def _renew(job: Job) -> bool:
    """Hold on to the chunk; False when it is no longer this worker's, or nobody waits for it."""
    active = Evaluation.objects.active().filter(pk=job.evaluation.pk)
    mine = EvaluationChunk.objects.filter(pk=job.chunk.pk, token=job.token, evaluation__in=active)
    tries = 0 if job.written else F("tries")
    held = mine.update(leased_until=timezone.now() + LEASE, tries=tries)
    if held and job.written:
        active.exclude(trouble="").update(trouble="", troubled_since=None)
    return bool(held)


def _prepared(chunk: EvaluationChunk, token: UUID) -> Job:
    """Read what is asked. Raises Hopeless where it cannot be."""
    evaluation = Evaluation.objects.for_list().get(pk=chunk.evaluation_id)
    policy = policies.read(evaluation.policy_version.document)
    step = step_of(policy, evaluation.step.name)
    try:
        _key, secret = accounts.own_key(
            workflow=evaluation.step.workflow,
            environment=evaluation.environment,
            purpose=ApiKey.Purpose.EVALUATION,
            by=evaluations.SERVICE,
        )
    except (GovernanceError, SealError) as error:
        raise Hopeless(f"The key for evaluations cannot be had: {error}") from error
    job = Job(
        chunk=chunk,
        evaluation=evaluation,
        token=token,
        labels=known_labels(evaluation, step),
        seconds=min(step.limits.deadline_ms / 1000 + MARGIN_SECONDS, MOST_SECONDS),
        key=secret,
    )
    there = set(
        EvaluationResult.objects.filter(
            evaluation=evaluation, sample__position__range=(chunk.first, chunk.last)
        ).values_list("sample_id", "model")
    )
    rows = evaluation.sample_set.samples.filter(position__range=(chunk.first, chunk.last)).order_by("position")
    pairs = ((sample, model) for sample in rows for model in evaluation.ladder)
    job.missing.extend(pair for pair in pairs if (pair[0].pk, pair[1]) not in there)
    return job


def step_of(policy: Policy, name: str) -> Step:
    """The policy's part for a step: its own, else that of all others. Raises Hopeless where there is none."""
    named = {step.name: step for step in reversed(policy.steps)}
    found = named.get(name) or named.get(ANY_STEP)
    if found is None:
        raise Hopeless(f"The policy has no step {name}.")
    return found


def known_labels(evaluation: Evaluation, step: Step) -> list[str]:
    """The labels that an answer may be: those of the set, then those that the gate knows besides."""
    gate = step.gate.labels if step.gate is not None else None
    return list(dict.fromkeys([*evaluation.sample_set.labels, *(gate or ())]))


def _measure(job: Job) -> None:
    """Ask what is missing, a few at once, until all is there, the time is over or the chunk is another's.

    Raises NotReached, Trouble and Hopeless, after the answers that were under way are written.
    """
    began = renewed = time.monotonic()
    refused: Trouble | Hopeless | None = None
    running: dict[Future[EvaluationResult], tuple[Sample, str]] = {}
    with (
        asking.line(job.evaluation.environment, seconds=job.seconds) as opened,
        ThreadPoolExecutor(ASKS_AT_ONCE) as pool,
    ):
        going = True
        while running or (going and job.missing):
            while going and job.missing and len(running) < ASKS_AT_ONCE:
                sample, model = job.missing.popleft()
                running[pool.submit(_ask, opened, job, sample, _messages(sample), model)] = (sample, model)
            done, _ = wait(running, timeout=1, return_when=FIRST_COMPLETED)
            for future in done:
                pair = running.pop(future)
                try:
                    _write(job, future.result())
                except (Trouble, Hopeless) as error:
                    job.missing.append(pair)
                    refused = refused or error
            if time.monotonic() - renewed > RENEW_SECONDS:
                renewed = time.monotonic()
                going = _renew(job) and going
            going = going and refused is None and time.monotonic() - began < BUDGET_SECONDS
    # The last word on this chunk before it is put away: answers came, so trouble is over.
    if refused is None:
        _renew(job)
    else:
        raise refused


def _messages(sample: Sample) -> list[dict[str, Any]]:
    try:
        return sample_sets.messages_of(sample)
    except sample_sets.SampleSetError as error:
        raise Hopeless(str(error)) from error


def _write(job: Job, result: EvaluationResult) -> None:
    """Write an answer down; the first one for its sample and model stays."""
    EvaluationResult.objects.bulk_create([result], ignore_conflicts=True)
    job.written += 1


def _ask(line: Line, job: Job, sample: Sample, messages: Sequence[dict[str, Any]], model: str) -> EvaluationResult:
    """Ask one model one sample, in a thread that never touches the database. Raises Trouble and Hopeless."""
    body = {
        "model": model,
        "messages": messages,
        "temperature": 0,
        "metadata": {"step": job.evaluation.step.name, "run": f"evaluation {job.evaluation.pk}"},
    }
    first = time.monotonic()
    while True:
        asked_at, began = timezone.now(), time.monotonic()
        answer: Answer | None = None
        try:
            answer = line.ask(token=job.key, body=body)
        except TooSlow:
            pass
        except NotReached as error:
            raise Trouble(str(error)) from error
        if answer is None or answer.status != 401:
            break
        if time.monotonic() - first > KEY_SECONDS:
            raise Trouble("The gateway does not accept the key for evaluations.")
        time.sleep(0.5)
    result = EvaluationResult(
        evaluation=job.evaluation,
        sample=sample,
        model=model,
        latency_ms=round((time.monotonic() - began) * 1000),
        asked_at=asked_at,
        correct=False,
    )
    if answer is None:
        result.outcome, result.error = Outcome.TIMEOUT, "too_slow"
        return result
    return _told(result, answer, expected=sample.label, labels=job.labels)


def _told(result: EvaluationResult, answer: Answer, *, expected: str, labels: Sequence[str]) -> EvaluationResult:
    """Fill in what the gateway said. Raises Trouble where the model was not asked, Hopeless where it never will be."""
    error = answer.body.get("error")
    result.decision = UUID(answer.said["decision"]) if "decision" in answer.said else None
    result.cost, result.currency = _cost(answer.said.get("cost"))
    if answer.status == 200:
        return _answered(result, answer, expected=expected, labels=labels)
    told = error if isinstance(error, dict) else {}
    code, message = str(told.get("code") or answer.status), str(told.get("message") or f"HTTP {answer.status}")
    if told.get("clause") == "pin":
        raise Hopeless(f"The live policy no longer lets {result.model} be measured: {message}")
    asked = answer.said.get("attempts", "0") != "0"
    if not asked and answer.status >= 500:
        raise Trouble(f"The gateway cannot ask {result.model}: {message}")
    result.outcome = Outcome.TIMEOUT if told.get("outcome") == "timeout" else Outcome.ERROR
    result.error = code[:80]
    return result


def _answered(result: EvaluationResult, answer: Answer, *, expected: str, labels: Sequence[str]) -> EvaluationResult:
    (choice, *_others) = answer.body.get("choices") or [{}]
    usage = answer.body.get("usage") or {}
    result.outcome = Outcome.OK
    result.label = label_of(str((choice.get("message") or {}).get("content") or ""), labels)
    result.correct = result.label == expected
    result.confidence = float(answer.said["confidence"]) if "confidence" in answer.said else None
    reason = str(choice.get("finish_reason") or "")
    result.stop_reason = "".join(filter(str.isprintable, reason))[:200] or None
    result.input_tokens, result.output_tokens = (
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
    )
    return result


def _count(said: object) -> int | None:
    """A count of tokens as a provider told it; None for what is none."""
    return said if isinstance(said, int) and 0 <= said <= MOST_TOKENS else None


def _cost(said: str | None) -> tuple[Decimal | None, str | None]:
    """An amount as the gateway's header has it: US dollars, or with the currency's code."""
    amount, _, currency = (said or "").partition(" ")
    try:
        return Decimal(amount).quantize(CENT, rounding=ROUND_HALF_EVEN), currency or "USD"
    except InvalidOperation:
        return None, None
