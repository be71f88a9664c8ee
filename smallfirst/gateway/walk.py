"""One request on its way up a ladder: what the engine says is done, and all of it recorded before the answer leaves."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import msgspec
from msgspec import Raw

from smallfirst.engine import decide
from smallfirst.engine.decision import Climb, Fail, Keep, Move, Person, Plan, Refusal
from smallfirst.engine.facts import AttemptSignals, Signals
from smallfirst.engine.plan import plan as plan_of
from smallfirst.gateway.admission import RETRY_SECONDS, Admitted
from smallfirst.gateway.attempts import Attempt, new_attempt, total_cost
from smallfirst.gateway.exchange import Exchange
from smallfirst.gateway.logs import log
from smallfirst.gateway.metrics import Metrics
from smallfirst.gateway.reviews import Reviews
from smallfirst.gateway.upstream import AttemptFailed, Upstream, milliseconds
from smallfirst.gateway.wire import ApiError, Request, invalid
from smallfirst.records import OpenReview, moment_text
from smallfirst.spool import Kind, Spool


class Services(msgspec.Struct, frozen=True):
    """What a request needs of its gateway."""

    spool: Spool
    upstream: Upstream
    reviews: Reviews
    metrics: Metrics
    public_url: str


@contextmanager
def recording(decision: str) -> Iterator[None]:
    """Refuse to answer when the disk does not take the record of it."""
    try:
        yield
    except OSError as error:
        log("spool.failed", level=logging.CRITICAL, decision=decision, error=error.errno)
        raise ApiError(
            503,
            "no_model_available",
            "This gateway cannot record what it does, so it does not answer. Try another, or again in a moment.",
            retry_after=RETRY_SECONDS,
        ) from None


class Walk:
    """A request that is being decided. What kind of answer it wants, and how that is asked for, its subclass knows."""

    def __init__(
        self,
        exchange: Exchange,
        admitted: Admitted,
        services: Services,
        request: Request,
        signals: Signals,
        decision_id: str,
    ) -> None:
        workflow = admitted.workflow
        self._exchange = exchange
        self._admitted = admitted
        self._services = services
        self._id = decision_id
        self._at = admitted.at
        self._snapshot = admitted.bundle.snapshot
        self._facts = request.facts(
            workflow=admitted.key.workflow,
            purpose=admitted.key.purpose,
            data_class=workflow.data_class if workflow else 0,
            risk=workflow.risk if workflow else 0,
        )
        self._signals = signals
        self._state = admitted.state
        self._attempts: list[Attempt] = []
        self._told: list[AttemptSignals] = []

    def _plan(self) -> Plan:
        """Return the ladder of this request; raise an ApiError where no model may be asked, which is recorded."""
        planned = plan_of(self._facts, self._signals, self._state, self._snapshot)
        if planned.policy_version is not None:
            self._exchange.headers["policy"] = str(planned.policy_version.number)
        self._exchange.headers["attempts"] = "0"
        if isinstance(planned, Refusal):
            self._record(planned)
            raise _refused(planned)
        return planned

    async def _walk(self, plan: Plan) -> Keep | Person | Fail:
        """Ask one model after the other until the engine asks no more."""
        move: Move = decide.next(plan, self._told)
        try:
            while isinstance(move, Climb):
                move = await self._climb(plan, move)
        except BaseException:
            # The caller left, or something is wrong with this program: what was asked is recorded all the same.
            self._record(plan)
            raise
        return move

    async def _climb(self, plan: Plan, move: Climb) -> Move:
        """Make one attempt and return the engine's next move."""
        attempt = new_attempt(plan, move.rung, self._snapshot.endpoints[move.endpoint])
        self._attempts.append(attempt)
        self._exchange.asked = True
        spent = sum(told.latency_ms for told in self._told)
        seconds = min(attempt.endpoint.timeout_ms, max(1, plan.limits.deadline_ms - spent)) / 1000
        began = time.monotonic()
        try:
            await self._ask(plan, attempt, seconds)
        except AttemptFailed as error:
            attempt.failed(error)
            log(
                "attempt.failed", decision=self._id, endpoint=attempt.endpoint.id, outcome=error.outcome,
                code=error.code, why=None if error.sent else error.told,
            )  # fmt: skip
        finally:
            attempt.latency_ms = milliseconds(began)
            took = time.monotonic() - began
            self._exchange.waited += took
            self._told.append(attempt.signals(plan.gate))
            self._services.metrics.attempted(attempt, took, self._snapshot.rates.get(attempt.endpoint.id))
        return decide.next(plan, self._told)

    async def _ask(self, plan: Plan, attempt: Attempt, seconds: float) -> None:
        """Ask one model, and note in the attempt what it answered; raise AttemptFailed when it did not."""
        raise NotImplementedError

    def _kept(self, rung: int) -> Attempt:
        """The attempt whose answer the engine keeps."""
        return next(one for one in reversed(self._attempts) if one.rung == rung and one.outcome == "ok")

    def _fail(self, plan: Plan, move: Fail) -> NoReturn:
        """Say that no model answered; raises an ApiError, in the middle of a stream for its last event."""
        self._record(plan)
        last = self._attempts[-1]
        if move.reason.code == "request_refused":
            said = f" {last.endpoint.model} said: {last.told}" if last.told else ""
            error = invalid(f"Every model that was asked refused this request.{said}")
        else:
            # Waiting does not help where a key stays here: whoever runs the gateway has to be told.
            kept_back = next((one.told for one in self._attempts if one.kept_back), None)
            error = ApiError(
                503,
                "no_model_available",
                f"No model answered. {kept_back or 'Try again in a moment.'}",
                retry_after=max((one.retry_after or 0 for one in self._attempts), default=0) or RETRY_SECONDS,
            )
        if self._exchange.started:
            error.message = "The answer broke off. What came so far is not the whole answer."
        else:
            self._count_headers()
        raise error

    def _served_headers(self, attempt: Attempt) -> None:
        self._exchange.headers |= {"model": attempt.endpoint.model, "tier": attempt.tier}
        self._count_headers()

    def _count_headers(self) -> None:
        self._exchange.headers["attempts"] = str(len(self._attempts))
        # While an attempt is still going on, as at the start of a stream, nobody knows what it will cost.
        if len(self._told) == len(self._attempts):
            cost = total_cost(self._attempts, self._snapshot.rates)
            if cost is not None:
                self._exchange.headers["cost"] = cost

    def _record(
        self,
        planned: Plan | Refusal,
        *,
        kept: Attempt | None = None,
        review: OpenReview | None = None,
        review_id: str | None = None,
    ) -> None:
        """Write all that happened to the spool in one piece; raise an ApiError when the disk does not take it."""
        environment, key = self._admitted.bundle.payload.environment.id, self._admitted.key.id
        decision = decide.conclude(
            planned,
            self._told,
            id=self._id,
            at=moment_text(self._at),
            environment=environment,
            key=key,
            facts=self._facts,
            signals=self._signals,
            state=self._state,
            snapshot=self._snapshot.digest,
            review=review.id if review else review_id,
        )
        records: list[tuple[Kind, object]] = [
            (
                "usage",
                attempt.event(
                    number, decision=self._id, environment=environment, key=key, facts=self._facts, kept=attempt is kept
                ),
            )
            for number, attempt in enumerate(self._attempts)
        ]
        records.append(("decision", Raw(decide.encode(decision))))
        if review is not None:
            records.append(("review", review))
        with recording(self._id):
            self._services.spool.write(records)


def _refused(refusal: Refusal) -> ApiError:
    """The engine's refusal as an error: what the caller got wrong, what is forbidden, what may pass by itself."""
    if refusal.code == "unknown_model":
        return invalid(f"{_sentence(refusal.text)}", "model")
    detail: dict[str, object] = {"clause": refusal.clause}
    if refusal.code == "not_allowed":
        text = f"Not allowed ({refusal.clause}): {refusal.text.rstrip('.')}."
        return ApiError(403, "not_allowed", text, param=refusal.clause, detail=detail)
    text = f"{_sentence(refusal.text)} Try again in a moment."
    return ApiError(503, "no_model_available", text, detail=detail, retry_after=RETRY_SECONDS)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
