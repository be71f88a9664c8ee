"""One chat request: asks the engine what to do, does it, and records all of it before the answer leaves."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, assert_never

import msgspec
import uuid_utils

from smallfirst.cases import REVIEWABLE_BYTES, Said, case_of, opened, shown
from smallfirst.engine import decide
from smallfirst.engine.decision import Fail, Keep, Person, Plan
from smallfirst.engine.policy import AUTO
from smallfirst.gateway import answers
from smallfirst.gateway.admission import Admitted
from smallfirst.gateway.attempts import Attempt, total_cost
from smallfirst.gateway.exchange import Exchange
from smallfirst.gateway.logs import log
from smallfirst.gateway.reviews import Case, request_digest
from smallfirst.gateway.stream import DONE, Relay, retold
from smallfirst.gateway.upstream import AttemptFailed, Completion, forwarded
from smallfirst.gateway.walk import Services, Walk, recording
from smallfirst.gateway.wire import ApiError, ChatRequest, encode, invalid, read_chat
from smallfirst.records import Delivered, OpenReview, review_id
from smallfirst.signals import read as read_signals
from smallfirst.spool import Spool

# What a reviewer is shown has to fit into one record.


async def answer(exchange: Exchange, admitted: Admitted, services: Services) -> None:
    """Answer a chat request; raise an ApiError when there is no answer and nothing has been sent."""
    exchange.headers["decision"] = decision_id = str(uuid_utils.uuid7())
    raw = await exchange.read_body()
    request = read_chat(raw)
    async with exchange.cancelled_when_left():
        if services.reviews.any_of(admitted.key.id) and not _served_as_asked(request, admitted):
            case = services.reviews.get(review_id(admitted.key.id, request_digest(raw)))
            if case is not None:
                return await answer_from_review(exchange, request, case, services)
        return await Chat(exchange, admitted, services, request, raw, decision_id).run()


def _served_as_asked(request: ChatRequest, admitted: Admitted) -> bool:
    """Whether the workflow's policy is only watched, so that no review of earlier days may answer either."""
    workflow = admitted.workflow
    return workflow is not None and workflow.watched is not None and request.model != AUTO


async def answer_from_review(exchange: Exchange, request: ChatRequest, case: Case, services: Services) -> None:
    """Answer a request that was sent before and went to a person: with his answer, or by saying that it still waits."""
    await services.reviews.refresh(case)
    opened = case.opened
    exchange.headers |= {"decision": opened.decision, "attempts": "0", "review": opened.id}
    if opened.policy is not None:
        exchange.headers["policy"] = str(opened.policy)
    if not case.ended:
        raise answers.review_required(opened, public_url=services.public_url, why="A person is deciding on this.")
    deliver(case, services.spool)
    outcome = case.outcome
    if outcome is None or outcome.action != "answer":
        raise answers.without_answer(outcome)
    exchange.headers["model"] = answers.answered_by(outcome)
    if outcome.by == "person":
        exchange.headers["tier"] = answers.PERSON
    completion = answers.completion(opened.id, outcome)
    if request.stream:
        await _retell(exchange, completion, include_usage=request.include_usage)
    else:
        await exchange.reply(200, encode(completion))


def deliver(case: Case, spool: Spool) -> None:
    """Record, once in the life of this process, that an outcome is being told to its application."""
    if not case.delivered:
        with recording(case.opened.decision):
            spool.write([("delivered", Delivered(review=case.opened.id, at=datetime.now(UTC)))])
        case.delivered = True


async def _retell(exchange: Exchange, completion: dict[str, Any], *, include_usage: bool) -> None:
    chunks = b"".join(retold(completion, include_usage=include_usage))
    await exchange.start_stream()
    await exchange.end_stream(chunks)


class Chat(Walk):
    """A chat request that is being decided."""

    def __init__(
        self,
        exchange: Exchange,
        admitted: Admitted,
        services: Services,
        request: ChatRequest,
        raw: bytes,
        decision_id: str,
    ) -> None:
        super().__init__(exchange, admitted, services, request, read_signals(request.messages), decision_id)
        self._request = request
        self._raw = raw

    async def run(self) -> None:
        """Walk the ladder and answer."""
        plan = self._plan()
        if (plan.gate is not None or plan.review is not None) and (self._request.body.n or 1) > 1:
            raise invalid("n must be 1 where answers pass a gate or a person: only one answer is judged.", "n")
        if plan.review is not None and len(self._raw) > REVIEWABLE_BYTES:
            text = f"Requests of this step may go to a person: send at most {REVIEWABLE_BYTES} bytes."
            raise invalid(text, "messages", status=413)
        move = await self._walk(plan)
        match move:
            case Keep(rung=rung):
                await self._keep(plan, rung)
            case Person():
                raise self._ask_person(plan, move)
            case Fail():
                self._fail(plan, move)
            case _:
                assert_never(move)

    async def _ask(self, plan: Plan, attempt: Attempt, seconds: float) -> None:
        if self._request.stream and decide.streams(plan, attempt.rung):
            await self._stream(plan, attempt, seconds)
        else:
            await self._complete(plan, attempt, seconds)

    async def _complete(self, plan: Plan, attempt: Attempt, seconds: float) -> None:
        body = forwarded(
            self._request,
            attempt.endpoint,
            stream=False,
            ask_logprobs=self._needs_logprobs(plan, attempt),
            max_output_tokens=plan.limits.max_output_tokens,
        )
        attempt.answered(await self._services.upstream.complete(attempt.endpoint, body, seconds=seconds))

    async def _stream(self, plan: Plan, attempt: Attempt, seconds: float) -> None:
        """Pass a stream on as it comes; until its first event has come, it may still fail like any attempt."""
        body = forwarded(
            self._request,
            attempt.endpoint,
            stream=True,
            ask_logprobs=False,
            max_output_tokens=plan.limits.max_output_tokens,
        )
        relay = Relay(model=attempt.endpoint.model, include_usage=self._request.include_usage)
        try:
            async with self._services.upstream.stream(attempt.endpoint, body, seconds=seconds) as stream:
                attempt.first_byte_ms, attempt.request_id = stream.first_byte_ms, stream.request_id
                async for data in stream.events():
                    chunk = relay.chunk(data)
                    if chunk is None:
                        continue
                    if not self._exchange.started:
                        self._served_headers(attempt)
                        await self._exchange.start_stream()
                    attempt.broken = True
                    await self._exchange.stream(chunk)
                if not (relay.finished or stream.done):
                    raise AttemptFailed("error", "stream_cut", status=200, request_id=stream.request_id)
            attempt.outcome, attempt.http_status, attempt.broken = "ok", 200, False
        finally:
            attempt.usage, attempt.model_served = relay.usage, relay.model_served
            attempt.stop_reason = relay.finish_reason

    def _needs_logprobs(self, plan: Plan, attempt: Attempt) -> bool:
        """Whether the gate, or whoever measures what it would see, looks at the confidence of this answer."""
        gated = plan.gate is not None and plan.rungs[attempt.rung].keep_from is not None
        return attempt.endpoint.logprobs and (gated or self._facts.purpose == "evaluation")

    async def _keep(self, plan: Plan, rung: int) -> None:
        """Send the answer that the engine keeps; of a stream, the end."""
        attempt = self._kept(rung)
        self._record(plan, kept=attempt)
        if attempt.completion is None:
            await self._exchange.end_stream(DONE)
            return
        self._served_headers(attempt)
        if attempt.completion.confidence is not None:
            self._exchange.headers["confidence"] = f"{Decimal(repr(attempt.completion.confidence)):f}"
        body = self._rewritten(attempt.completion, attempt.endpoint.model)
        if self._request.stream:
            await _retell(self._exchange, msgspec.json.decode(body), include_usage=self._request.include_usage)
        else:
            await self._exchange.reply(200, body)

    def _rewritten(self, completion: Completion, model: str) -> bytes:
        """A completion under the registered name of its model, without the logprobs that only the gate wanted."""
        fields: dict[str, object] = {**completion.fields, "model": model}
        if not self._request.body.logprobs:
            choices = msgspec.json.decode(completion.fields["choices"])
            if any(choice.get("logprobs") is not None for choice in choices):
                fields["choices"] = [choice | {"logprobs": None} for choice in choices]
        return encode(fields)

    def _ask_person(self, plan: Plan, move: Person) -> ApiError:
        """Open a review and return what the application is told."""
        digest = request_digest(self._raw)
        review = review_id(self._admitted.key.id, digest)
        case = self._services.reviews.get(review)
        if case is None:
            # Built first: what cannot be shown to a person must not be recorded as waiting for one.
            record = self._review(plan, move, digest)
            self._record(plan, review=record)
            with recording(self._id):
                case = self._services.reviews.open(opened(record, plan))
            log("review.opened", review=review, decision=self._id, reason=move.reason.code)
        else:
            # The same request came twice at once, and the other was first.
            self._record(plan, review_id=review)
        self._exchange.headers["review"] = review
        self._count_headers()
        return answers.review_required(
            case.opened, public_url=self._services.public_url, why=f"A person must decide: {move.reason.sentence}"
        )

    def _review(self, plan: Plan, move: Person, digest: bytes) -> OpenReview:
        """The record of a review."""
        asked, payload = self._request.review, self._admitted.bundle.payload
        return case_of(
            plan,
            move,
            self._facts,
            decision=self._id,
            environment=payload.environment.id,
            key=self._admitted.key.id,
            digest=digest,
            asked=asked,
            body=shown(self._request.fields["messages"], self._said(plan), asked),
            review_key=payload.review_key,
            now=datetime.now(UTC),
        )

    def _said(self, plan: Plan) -> list[Said]:
        """What each model said, for a reviewer."""
        return [
            Said(
                model=attempt.endpoint.model,
                tier=attempt.tier,
                outcome=attempt.outcome,
                text=attempt.completion.text if attempt.completion else None,
                label=attempt.label(plan.gate),
                confidence=attempt.completion.confidence if attempt.completion else None,
                threshold=plan.rungs[attempt.rung].keep_from,
                cost=total_cost([attempt], self._snapshot.rates),
            )
            for attempt in self._attempts
        ]
