"""Models that do what the request's text says: real HTTP servers, so every fault is one that a network can bring."""

import asyncio
import json
import threading
from typing import Any, Self

from aiohttp import web

SECRET = "models-secret"


class Served:
    """An aiohttp application in a thread of its own; `url` is its address."""

    def __init__(self) -> None:
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self.check()

    def check(self) -> None:
        """Say what was wrong with what came, when the test is over."""

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.add_routes(self.routes())
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()


class Models(Served):
    """Models that do what the last message says: a JSON map from a model to what it answers, or how it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.cancelled: list[str] = []

    def routes(self) -> list[web.RouteDef]:
        """OpenAI's wire."""
        return [web.post("/v1/chat/completions", self._chat), web.post("/v1/embeddings", self._chat)]

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw)
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        if request.headers.get("Authorization") != f"Bearer {SECRET}":
            raise web.HTTPUnauthorized
        try:
            said = body["messages"][-1]["content"] if "messages" in body else body["input"][0]
            script = json.loads(said).get(body["model"], {})
        except (ValueError, AttributeError, TypeError):
            script = {}
        try:
            return await self._act(request, body, script)
        except asyncio.CancelledError:
            self.cancelled.append(body["model"])
            raise

    async def _act(self, request: web.Request, body: dict[str, Any], script: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(script.get("delay", 0))
        fault = script.get("fault")
        if fault == "hang":
            await asyncio.sleep(30)
        if fault == "close":
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if fault == "garbage":
            return web.Response(body=b'{"choices": [{"mess', content_type="application/json")
        if fault == "cut":
            response = web.StreamResponse(headers={"Content-Length": "5000"})
            await response.prepare(request)
            await response.write(b'{"choices": [')
            assert request.transport is not None
            request.transport.close()
            return response
        if "status" in script:
            error = {"error": {"message": script.get("message", "no"), "type": "x", "code": "x", "param": None}}
            return web.json_response(error, status=script["status"], headers=script.get("headers", {}))
        if request.path.endswith("embeddings"):
            return web.json_response(embeddings(body, script), headers={"x-request-id": "req-3"})
        if body.get("stream"):
            return await self._stream(request, body, script)
        return web.json_response(completion(body, script), headers={"x-request-id": "req-1"})

    async def _stream(self, request: web.Request, body: dict[str, Any], script: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "x-request-id": "req-2"})
        await response.prepare(request)
        words = script.get("text", "one two three").split()
        usage = {"usage": None} if body.get("stream_options", {}).get("include_usage") else {}
        for number, word in enumerate(words):
            if script.get("break_after") == number:
                if script.get("break_with") == "error":
                    await response.write(b'data: {"error": {"message": "overloaded", "code": "overloaded"}}\n\n')
                    return response
                if script.get("break_with") == "hang":
                    await asyncio.sleep(30)
                assert request.transport is not None
                request.transport.close()
                return response
            delta = {"role": "assistant", "content": word} if number == 0 else {"content": f" {word}"}
            await response.write(_event(body, [{"index": 0, "delta": delta, "finish_reason": None}], **usage))
            await asyncio.sleep(script.get("pause", 0))
        await response.write(_event(body, [{"index": 0, "delta": {}, "finish_reason": "stop"}], **usage))
        if usage:
            await response.write(_event(body, [], usage=USAGE))
        await response.write(b"data: [DONE]\n\n")
        return response


USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


def completion(body: dict[str, Any], script: dict[str, Any]) -> dict[str, Any]:
    """A whole answer of OpenAI's shape."""
    logprobs = None
    if body.get("logprobs") and "logprob" in script:
        token = {"token": script.get("text", ""), "logprob": script["logprob"], "bytes": None, "top_logprobs": []}
        logprobs = {"content": [token], "refusal": None}
    message = {"role": "assistant", "content": script.get("text", "one two three"), "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": script.get("served", body["model"] + "-2026-01"),
        "choices": [
            {
                "index": 0,
                "message": message | script.get("message_fields", {}),
                "logprobs": logprobs,
                "finish_reason": script.get("finish", "stop"),
            }
        ],
        "usage": script.get("usage", USAGE),
        "system_fingerprint": "fp",
    }


def embeddings(body: dict[str, Any], script: dict[str, Any]) -> dict[str, Any]:
    """The embeddings of each input: its place, and how many numbers were wanted, in OpenAI's shape."""
    inputs = body["input"] if isinstance(body["input"], list) and not isinstance(body["input"][0], int) else [0]
    rows = [
        {
            "object": "embedding",
            "index": place,
            "embedding": script.get("embedding", [place + 0.5, body.get("dimensions", 0)]),
        }
        for place, _ in enumerate(inputs)
    ]
    return {
        "object": "list",
        "data": rows[: script.get("count", len(rows))],
        "model": script.get("served", body["model"] + "-2026-01"),
        "usage": script.get("usage", {"prompt_tokens": 40, "total_tokens": 40}),
    }


def _event(body: dict[str, Any], choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1, "model": body["model"] + "-2026-01"}
    return b"data: " + json.dumps(chunk | {"choices": choices} | more).encode() + b"\n\n"
