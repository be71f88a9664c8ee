"""The ASGI application: from a path to its answer, errors in one shape, and what runs beside the requests."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from smallfirst import instances
from smallfirst.documents import StateKey
from smallfirst.engine.decision import Plan
from smallfirst.engine.facts import Facts, Signals
from smallfirst.engine.plan import plan
from smallfirst.engine.policy import AUTO
from smallfirst.gateway import answers, chat, embeddings
from smallfirst.gateway.admission import Admitted, admit
from smallfirst.gateway.control import ControlPlane
from smallfirst.gateway.exchange import Exchange, Receive, Scope, Send
from smallfirst.gateway.exposition import CONTENT_TYPE, Exposition
from smallfirst.gateway.feed import Feed
from smallfirst.gateway.health import health
from smallfirst.gateway.logs import log, log_failure
from smallfirst.gateway.metrics import Metrics
from smallfirst.gateway.reviews import Case, Reviews
from smallfirst.gateway.settings import Settings
from smallfirst.gateway.upload import Uploader
from smallfirst.gateway.upstream import Upstream
from smallfirst.gateway.walk import Services
from smallfirst.gateway.wire import ApiError, encode, invalid
from smallfirst.spool import Spool

REVIEW_PATH: Final = re.compile(r"/v1/reviews/([0-9a-fA-F-]{36})")
LAST_UPLOAD_SECONDS: Final = 5.0
INTERNAL: Final = "Something is wrong in the gateway, and its log says what. Send the request again."


class Gateway:
    """One gateway process. Everything it holds is opened when the server starts and closed when it stops."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._feed: Feed
        self._spool: Spool
        self._reviews: Reviews
        self._uploader: Uploader
        self._services: Services
        self._metrics = Metrics()
        self._exposition: Exposition
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(Exchange(scope, receive, send))

    async def start(self) -> None:
        """Open everything; what an earlier run kept on disk is in use at once, the control plane is not waited for."""
        settings = self._settings
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        upstream = await self._stack.enter_async_context(Upstream(settings.provider_secrets))
        control = await self._stack.enter_async_context(
            ControlPlane(
                url=settings.control_url,
                credential_file=settings.credential_file,
                name=instances.kept_name(settings.state),
            )
        )
        self._spool = Spool(settings.state / "spool")
        self._feed = Feed(
            control=control,
            root_key=settings.root_key,
            directory=settings.state,
            bundle_seconds=settings.bundle_seconds,
            state_seconds=settings.state_seconds,
            log_keys=settings.audit_keys,
            when_unproved=settings.when_unproved,
        )
        self._feed.start_from_disk()
        self._reviews = Reviews(settings.state / "reviews", control=control)
        self._reviews.start_from_disk()
        self._uploader = Uploader(spool=self._spool, control=control, reviews=self._reviews, metrics=self._metrics)
        self._uploader.adopt()
        self._services = Services(self._spool, upstream, self._reviews, self._metrics, settings.public_url)
        self._exposition = Exposition(
            self._metrics, feed=self._feed, spool=self._spool, uploader=self._uploader, reviews=self._reviews
        )
        for name, run in (
            ("bundle", self._feed.follow_bundle),
            ("state", self._feed.follow_state),
            ("upload", lambda: self._uploader.follow(settings.upload_seconds)),
            ("reviews", lambda: self._reviews.follow(settings.review_seconds)),
            ("sync", self._spool.keep_synced),
        ):
            self._tasks.append(asyncio.create_task(_keep_running(name, run)))
        log("gateway.started", control=settings.control_url)

    async def stop(self) -> None:
        """Stop what runs beside the requests, try once more to upload, and leave the rest on disk."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._uploader.drain(LAST_UPLOAD_SECONDS)
        self._spool.close()
        await self._stack.aclose()
        log("gateway.stopped")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except Exception as error:  # noqa: BLE001 (the server must be told, whatever it is)
            log_failure("gateway.not_started", error)
            await send({"type": "lifespan.startup.failed", "message": type(error).__name__})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, exchange: Exchange) -> None:
        outcome = "answered"
        self._metrics.in_flight += 1
        try:
            try:
                await self._answer(exchange)
            except ApiError as error:
                outcome = error.code
                await exchange.refuse(error)
            except Exception as error:  # noqa: BLE001 (one bad request must not be told in a server's own words)
                outcome = "internal_error"
                log_failure("request.failed", error, path=exchange.path, decision=exchange.headers.get("decision"))
                if not exchange.finished:
                    await exchange.refuse(ApiError(500, "internal_error", INTERNAL))
        except asyncio.CancelledError:
            outcome = "left" if exchange.left else "stopped"
            if not exchange.left:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            log("request.left", decision=exchange.headers.get("decision"))
        finally:
            self._metrics.in_flight -= 1
            self._metrics.ended(exchange, outcome)

    async def _answer(self, exchange: Exchange) -> None:
        path, method = exchange.path, exchange.method
        if path == "/healthz":
            _allow(method, "GET")
            status, body = health(feed=self._feed, spool=self._spool, uploader=self._uploader, reviews=self._reviews)
            await exchange.reply(status, encode(body))
        elif path == "/metrics":
            _allow(method, "GET")
            await exchange.reply(200, self._exposition.text(), content_type=CONTENT_TYPE)
        elif path == "/v1/chat/completions":
            _allow(method, "POST")
            await chat.answer(exchange, self._admit(exchange), self._services)
        elif path == "/v1/embeddings":
            _allow(method, "POST")
            await embeddings.answer(exchange, self._admit(exchange), self._services)
        elif path == "/v1/models":
            _allow(method, "GET")
            await exchange.reply(200, encode(_models(self._admit(exchange))))
        elif found := REVIEW_PATH.fullmatch(path):
            _allow(method, "GET")
            await self._tell_review(exchange, self._admit(exchange), found.group(1))
        else:
            raise invalid(f"There is no {path[:200]} here.", status=404)

    def _admit(self, exchange: Exchange) -> Admitted:
        return admit(exchange, self._feed, when_expired=self._settings.when_expired)

    async def _tell_review(self, exchange: Exchange, admitted: Admitted, name: str) -> None:
        """How a review stands, to the key that asked; once that is revoked, to every key of its workflow."""
        case = await self._reviews.find(name.lower())
        if case is None or not self._may_read(case, admitted.key):
            raise invalid("There is no such review for this key.", "review", status=404)
        if case.ended:
            chat.deliver(case, self._spool)
        exchange.headers |= {"decision": case.opened.decision, "review": case.opened.id}
        body = answers.standing(case, public_url=self._settings.public_url)
        await exchange.reply(200, encode(body), retry_after=None if case.ended else 1)

    def _may_read(self, case: Case, key: StateKey) -> bool:
        if case.opened.key == key.id:
            return True
        # An application that changed its key still gets what it asked for with the one before.
        state = self._feed.state.value
        in_use = state is not None and any(each.id == case.opened.key for each in state.keys.values())
        return case.opened.workflow == key.workflow and not in_use


async def _keep_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run something that never ends by itself; when it fails, say so and begin again."""
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001 (the gateway goes on without it, and it must come back)
            log_failure("background.failed", error, task=name)
            await asyncio.sleep(1)


def _allow(method: str, allowed: str) -> None:
    if method != allowed:
        raise invalid(f"Use {allowed} here.", status=405)


def _models(admitted: Admitted) -> dict[str, object]:
    """OpenAI's list of models: `auto`, and those that this key's workflow may use at this moment."""
    purpose = admitted.key.purpose
    names = {AUTO} if admitted.workflow and purpose != "evaluation" else set()
    workflow = admitted.workflow
    if workflow is not None:
        named = workflow.pin == "allow" or workflow.watched is not None or purpose == "evaluation"
        for step in workflow.steps:
            for model in [AUTO, *admitted.bundle.snapshot.models] if named else [AUTO]:
                facts = Facts(workflow=admitted.key.workflow, step=step, model=model, purpose=purpose)
                planned = plan(facts, Signals(), admitted.state, admitted.bundle.snapshot)
                names |= {rung.model for rung in planned.rungs} if isinstance(planned, Plan) else set()
    created = int(admitted.bundle.payload.issued_at.timestamp())
    return {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": created, "owned_by": "smallfirst"}
            for name in sorted(names, key=lambda name: (name != AUTO, name))
        ],
    }
