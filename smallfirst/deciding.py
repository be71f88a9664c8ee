"""One request that an application decides in process: what to ask next, what came of it, and the records of both.

Nothing here waits, writes or calls: the application asks the models, this tells it what their answers mean.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar

import msgspec
import uuid_utils

from smallfirst import engine
from smallfirst.cases import Said
from smallfirst.documents import StateKey
from smallfirst.engine import AttemptSignals, Climb, Facts, Keep, Move, Plan, Reason, Refusal, Signals, Snapshot, State
from smallfirst.engine.compiled import CompiledWorkflow
from smallfirst.engine.facts import KeyPurpose
from smallfirst.engine.policy import ANY_STEP, DATA_CLASSES, RISKS, Name, Tier
from smallfirst.engine.reading import shape_problem
from smallfirst.faults import InvalidInput, NothingToAsk, spared
from smallfirst.records import Duration, UsageEvent, moment_text
from smallfirst.signals import read as read_signals
from smallfirst.spool import Kind

T = TypeVar("T", bound=msgspec.Struct)
Action = Literal["ask", "keep", "person", "fail", "refuse"]
AttemptOutcome = Literal["ok", "error", "timeout", "refused", "aborted"]

MOST_MILLISECONDS: Final = 86_400_000
# What an attempt counts as of which nothing could be used.
UNREADABLE: Final[dict[str, Any]] = {"outcome": "error", "error": "unreadable"}


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """The model to ask next, and where: ``model`` is its registered name, ``upstream_model`` the provider's one.

    ``secret`` is a reference such as ``env:NAME``, for the application to resolve. ``timeout_ms`` is what is left of
    the endpoint's and the step's time. ``confidence`` says whether the gate wants to know how sure the answer is,
    ``labels`` which answers it knows; ``max_output_tokens`` is the bound to set, None for none.
    """

    model: str
    tier: Tier
    endpoint: str
    url: str
    upstream_model: str
    region: str
    secret: str | None
    timeout_ms: int
    max_output_tokens: int | None
    confidence: bool
    labels: tuple[str, ...] | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What an application says of one attempt. Token buckets are disjoint; durations are milliseconds.

    ``latency_ms`` None is measured here, from when the model was named. ``text`` is the answer itself: it is shown to a
    reviewer if a person is asked, and goes nowhere else. ``error`` is a code, never a text.
    """

    outcome: AttemptOutcome = "ok"
    confidence: float | None = None
    label: str | None = None
    text: str | None = None
    stop_reason: Name | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    latency_ms: Duration | None = None
    first_byte_ms: Duration | None = None
    http_status: int | None = None
    error: Name | None = None
    model_served: Name | None = None
    provider_request_id: Name | None = None


class Made(msgspec.Struct, frozen=True):
    """An attempt: what the application said, what the engine was told, what the ledger will be."""

    said: Attempt
    told: AttemptSignals
    event: UsageEvent


class Deciding:
    """One decision, from its plan to its record. It belongs to the thread that works on the request."""

    __slots__ = (
        "_asked",
        "_made",
        "_move",
        "_told",
        "at",
        "began",
        "environment",
        "facts",
        "id",
        "key",
        "messages",
        "plan",
        "raises",
        "reported",
        "review_key",
        "signals",
        "snapshot",
        "state",
    )

    def __init__(
        self,
        *,
        facts: Facts,
        signals: Signals,
        state: State,
        snapshot: Snapshot,
        environment: str,
        key: str,
        at: datetime,
        messages: Sequence[object] | None,
        review_key: str,
        raises: bool,
    ) -> None:
        """Decide. `messages` are kept for a reviewer, if one is asked. `raises` says whether `next` complains."""
        self.id = str(uuid_utils.uuid7())
        self.at = at
        self.facts, self.signals, self.state, self.snapshot = facts, signals, state, snapshot
        self.messages = messages
        self.reported, self.raises = False, raises
        self.environment, self.key, self.review_key = environment, key, review_key
        self._told: list[AttemptSignals] = []
        self._made: list[Made] = []
        self.plan: Plan | Refusal = engine.plan(facts, signals, state, snapshot)
        self._move: Move | Refusal = self.plan if isinstance(self.plan, Refusal) else engine.next(self.plan, self._told)
        self._asked = time.monotonic()
        self.began = at

    @property
    def action(self) -> Action:
        """What to do now: `ask` the model in `ask`, `keep` an answer, ask a `person`, or give up: `fail`, `refuse`."""
        return _ACTIONS[type(self._move)]

    @property
    def move(self) -> Move | Refusal:
        """The engine's own word for it."""
        return self._move

    @property
    def ask(self) -> Ask:
        """The model to ask now. Raises NothingToAsk."""
        move, plan = self._move, self.plan
        if not isinstance(move, Climb) or isinstance(plan, Refusal):
            raise NothingToAsk(self.why.sentence)
        rung, endpoint = plan.rungs[move.rung], self.snapshot.endpoints[move.endpoint]
        spent = sum([told.latency_ms for told in self._told])
        return Ask(
            model=rung.model,
            tier=rung.tier,
            endpoint=endpoint.id,
            url=endpoint.url,
            upstream_model=endpoint.upstream_model,
            region=endpoint.region,
            secret=endpoint.secret,
            timeout_ms=min(endpoint.timeout_ms, max(1, plan.limits.deadline_ms - spent)),
            max_output_tokens=plan.limits.max_output_tokens,
            confidence=plan.gate is not None and rung.keep_from is not None,
            labels=None if plan.gate is None else plan.gate.labels,
        )

    @property
    def kept(self) -> int | None:
        """Which attempt's answer is the request's, counted from 0; None while or where there is none."""
        if not isinstance(self._move, Keep):
            return None
        rung = self._move.rung
        return next(n for n in range(len(self._told) - 1, -1, -1) if _answered(self._told[n], rung))

    @property
    def why(self) -> Reason:
        """Why it stands as it does, in a sentence and a code."""
        move = self._move
        match move:
            case Refusal():
                return Reason(move.clause, f"Not allowed ({move.clause}): {move.text}.")
            case Climb(rung=rung):
                return Reason("ask", f"{self._model(rung)} is to be asked.")
            case Keep(rung=rung):
                return Reason("kept", f"The answer of {self._model(rung)} is kept.")
            case _:
                return move.reason

    def explain(self) -> list[str]:
        """Return all reasons in sentences, once nothing is to be asked: rules, what was left out and why, each attempt.

        Raises InvalidInput before.
        """
        if isinstance(self._move, Climb):
            raise InvalidInput("", f"nothing has come of it yet: {self.why.sentence}")
        review = self.id if self.action == "person" else None
        return [reason.sentence for reason in engine.explain(self._decision(review), self.snapshot)]

    def next(self, **attempt: Any) -> Action:
        """Say what came of the attempt that `ask` named (the fields of `Attempt`), and return what to do now.

        Who asked for exceptions gets InvalidInput, and NothingToAsk when no attempt was due; nothing has then changed.
        For all others a field that cannot be used counts as not known, and an attempt that was not due as not told.
        """
        if self.raises:
            return self._next(attempt)
        while True:
            try:
                return self._next(attempt)
            except NothingToAsk as error:
                spared("next", error)
                return self.action
            except InvalidInput as error:
                if attempt == UNREADABLE:
                    raise
                spared("next", error)
                attempt = _without(attempt, error.field)

    def _next(self, attempt: Mapping[str, object]) -> Action:
        move, plan = self._move, self.plan
        if not isinstance(move, Climb) or isinstance(plan, Refusal):
            raise NothingToAsk(self.why.sentence)
        said = checked(attempt, Attempt)
        took = said.latency_ms
        if took is None:
            took = min(MOST_MILLISECONDS, round((time.monotonic() - self._asked) * 1000))
        told = checked(
            {
                "rung": move.rung,
                "endpoint": move.endpoint,
                "outcome": said.outcome,
                "confidence": said.confidence,
                "label": _label(plan, said),
                "stop_reason": said.stop_reason,
                "output_tokens": said.output_tokens,
                "latency_ms": took,
            },
            AttemptSignals,
        )
        made = Made(said, told, self._event(said, told))
        self._move = engine.next(plan, [*self._told, told])
        self._told.append(told)
        self._made.append(made)
        self._asked, self.began = time.monotonic(), datetime.now(UTC)
        return self.action

    def records(self, review: str | None) -> list[tuple[Kind, object]]:
        """What there is to report: each attempt, and the decision, with the review that was opened for it."""
        kept = self.kept
        return [
            *[("usage", msgspec.structs.replace(made.event, kept=n == kept)) for n, made in enumerate(self._made)],
            ("decision", msgspec.Raw(engine.encode(self._decision(review)))),
        ]

    def answers(self) -> list[Said]:
        """What each model said, for a reviewer."""
        plan = self.plan
        if isinstance(plan, Refusal):
            return []
        return [
            Said(
                model=made.event.model,
                tier=made.event.tier,
                outcome=made.told.outcome,
                text=made.said.text,
                label=made.told.label,
                confidence=made.told.confidence,
                threshold=plan.rungs[made.told.rung].keep_from,
                cost=self._cost(made),
            )
            for made in self._made
        ]

    def _decision(self, review: str | None) -> engine.Decision:
        return engine.conclude(
            self.plan,
            self._told,
            id=self.id,
            at=moment_text(self.at),
            environment=self.environment,
            key=self.key,
            facts=self.facts,
            signals=self.signals,
            state=self.state,
            snapshot=self.snapshot.digest,
            review=review,
        )

    def _model(self, rung: int) -> str:
        return "" if isinstance(self.plan, Refusal) else self.plan.rungs[rung].model

    def _event(self, said: Attempt, told: AttemptSignals) -> UsageEvent:
        """The usage event of an attempt, as long as nobody keeps it. Raises InvalidInput."""
        endpoint = self.snapshot.endpoints[told.endpoint]
        known = [said.input_tokens is not None, said.output_tokens is not None]
        return checked(
            {
                "id": str(uuid_utils.uuid7()),
                "decision": self.id,
                "attempt": len(self._made),
                "occurred_at": self.began,
                "workflow": self.facts.workflow,
                "environment": self.environment,
                "key": self.key,
                "step": self.facts.step,
                "run": self.facts.run,
                "endpoint": endpoint.id,
                "model": endpoint.model,
                "tier": self.snapshot.models[endpoint.model].tier,
                "model_requested": self.facts.model,
                "model_served": said.model_served,
                "outcome": said.outcome,
                "kept": False,
                "http_status": said.http_status,
                "error": said.error,
                "input_tokens": said.input_tokens,
                "cache_read_tokens": said.cache_read_tokens,
                "cache_write_tokens": said.cache_write_tokens,
                "output_tokens": said.output_tokens,
                "usage_quality": "exact" if all(known) else "partial" if any(known) else "missing",
                "latency_ms": told.latency_ms,
                "first_byte_ms": said.first_byte_ms,
                "provider_request_id": said.provider_request_id,
                "tags": dict(self.facts.tags),
            },
            UsageEvent,
        )

    def _cost(self, made: Made) -> str | None:
        said = made.said
        found = engine.cost(
            self.snapshot,
            made.told.endpoint,
            input_tokens=said.input_tokens,
            output_tokens=said.output_tokens,
            cache_read_tokens=said.cache_read_tokens,
            cache_write_tokens=said.cache_write_tokens,
        )
        if found is None:
            return None
        text = format(found.amount.normalize(), "f")
        return text if found.currency == "USD" else f"{text} {found.currency}"


_ACTIONS: Final[dict[type[Move | Refusal], Action]] = {
    Climb: "ask",
    Keep: "keep",
    engine.Person: "person",
    engine.Fail: "fail",
    Refusal: "refuse",
}


def facts_of(
    key: StateKey,
    workflow: CompiledWorkflow | None,
    step: str | None,
    data_class: str | None,
    risk: str | None,
    language: str | None,
    tags: Mapping[str, str] | None,
    model: str,
    max_output_tokens: int | None,
    wants_logprobs: bool,
    stream: bool,
    kind: str,
) -> Facts:
    """The engine's facts, class and risk raised to what the workflow declares. Raises InvalidInput.

    Requests of one application state the same few facts over and over: those are checked once.
    """
    least_class, least_risk = (workflow.data_class, workflow.risk) if workflow else (0, 0)
    said = (
        key.workflow, key.purpose, least_class, least_risk, step, data_class, risk, language,
        tuple(sorted(tags.items())) if tags else (), model, max_output_tokens, wants_logprobs, stream, kind,
    )  # fmt: skip
    try:
        return _known_facts(*said)
    except TypeError:
        # Something that is no text where a text belongs, which no memory can hold.
        return _known_facts.__wrapped__(*said)


@lru_cache(maxsize=1024, typed=True)
def _known_facts(
    workflow: str,
    purpose: KeyPurpose,
    least_class: int,
    least_risk: int,
    step: str | None,
    data_class: str | None,
    risk: str | None,
    language: str | None,
    tags: tuple[tuple[str, str], ...],
    model: str,
    max_output_tokens: int | None,
    wants_logprobs: bool,
    stream: bool,
    kind: str,
) -> Facts:
    said_class, said_risk = data_class or DATA_CLASSES[0], risk or RISKS[0]
    if said_class not in DATA_CLASSES:
        raise InvalidInput("data_class", f"must be one of {', '.join(DATA_CLASSES)}")
    if said_risk not in RISKS:
        raise InvalidInput("risk", f"must be one of {', '.join(RISKS)}")
    fields: dict[str, object] = {
        "workflow": workflow,
        "step": ANY_STEP if step is None else step,
        "data_class": DATA_CLASSES[max(least_class, DATA_CLASSES.index(said_class))],
        "risk": RISKS[max(least_risk, RISKS.index(said_risk))],
        "language": language,
        "tags": tags,
        "model": model,
        "max_output_tokens": max_output_tokens,
        "wants_logprobs": wants_logprobs,
        "stream": stream,
        "purpose": purpose,
        "kind": kind,
    }
    return checked(fields, Facts)


def with_run(facts: Facts, run: str | None) -> Facts:
    """The facts of one pass, whose name no two share. Raises InvalidInput."""
    if run is None:
        return facts
    try:
        return msgspec.structs.replace(facts, run=msgspec.convert(run, Name))
    except msgspec.ValidationError:
        raise InvalidInput("run", "must be 1 to 200 characters without control characters") from None


def signals_of(messages: Sequence[object] | None, signals: Signals | Mapping[str, object] | None) -> Signals:
    """The numbers given, else those read from the messages. Raises InvalidInput."""
    if isinstance(signals, Signals):
        return signals
    if signals is not None:
        return checked(signals, Signals)
    return Signals() if messages is None else read_signals(messages)


def checked(fields: Mapping[str, object], kind: type[T]) -> T:
    """Return the fields as one of our structs. Raises InvalidInput naming the field that is out of its bounds."""
    unknown = next((name for name in fields if name not in kind.__struct_fields__), None)
    if unknown is not None:
        raise InvalidInput(unknown, "there is no such field; remove it or correct its name")
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        problem = shape_problem("", error)
        raise InvalidInput(problem.path, f"{problem.message}; {problem.fix}") from None


def _without(attempt: Mapping[str, object], field: str) -> dict[str, Any]:
    """What was said of an attempt without a field that cannot be used; without its outcome, it was an error."""
    name = field.partition(".")[0].partition("[")[0]
    if name == "outcome" or name not in attempt:
        return UNREADABLE
    return {said: value for said, value in attempt.items() if said != name}


def _answered(told: AttemptSignals, rung: int) -> bool:
    return told.rung == rung and told.outcome == "ok"


def _label(plan: Plan, said: Attempt) -> str | None:
    """The label of the gate that the answer is, however it is spelled; other words of it are not the engine's."""
    labels = None if plan.gate is None else plan.gate.labels
    word = said.text if said.label is None else said.label
    if labels is None or word is None:
        return None
    folded = word.strip().casefold()
    return next((label for label in labels if label.casefold() == folded), None)
