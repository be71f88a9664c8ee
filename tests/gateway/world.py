"""What the gateway's tests play with: signed documents, a control plane and models that fail on demand, the process.

The control plane here is a double that holds its side of the contract; the real one has tests of its own. The models
are real HTTP servers that do what the request's text says, so every fault is one that a network can bring.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import httpx2
import msgspec
import openai
import uuid_utils
from aiohttp import web

from ledger import batches
from smallfirst import seal
from smallfirst.origins import origin_of
from smallfirst.records import Decision, RefusedRecord, UsageEvent, observed_fault, read_reviews
from tests.gateway.servers import SECRET as SECRET
from tests.gateway.servers import USAGE as USAGE
from tests.gateway.servers import Models as Models
from tests.gateway.servers import Served

ROOT = Path(__file__).parents[2]
CREDENTIAL = "sfg_test-credential"


def new_id() -> str:
    """A fresh UUIDv7."""
    return str(uuid_utils.uuid7())


class Signer:
    """A control plane's keys: signs bundles and states."""

    def __init__(self) -> None:
        self.root, self.signing, self.review = seal.new_secret(), seal.new_secret(), seal.new_secret()
        self.root_key = seal.signing_public_key(self.root)
        self.review_key = seal.box_public_key(self.review)
        now = datetime.now(UTC)
        self.certificate = seal.issue_certificate(
            self.root,
            key_id="signing-1",
            public_key=seal.signing_public_key(self.signing),
            not_before=now - timedelta(days=1),
            not_after=now + timedelta(days=1),
        )

    def sign(self, payload: dict[str, Any], purpose: seal.Purpose) -> bytes:
        """An envelope."""
        return seal.sign_envelope(
            json.dumps(payload), purpose=purpose, certificate=self.certificate, signing_secret=self.signing
        )


def step(name: str = "*", ladder: tuple[str, ...] = ("small", "mid", "big"), **parts: Any) -> dict[str, Any]:
    """A step of a policy."""
    return {"name": name, "ladder": [{"model": model} for model in ladder], **parts}


GATE = {"keep_from": 0.8, "labels": ["positive", "negative"], "stop_reasons": ["stop"]}
REVIEW = {
    "when": "unsure",
    "role": "reviewer",
    "respond_within": 900,
    "expire_after": 3600,
    "on_expiry": {"action": "refuse"},
    "answer": {"type": "label", "options": ["positive", "negative"]},
    "title": "Sentiment",
}


class World:
    """An environment with three models at a server, and one workflow and key for each policy that is added."""

    def __init__(self, models_url: str) -> None:
        self.signer = Signer()
        self.environment = new_id()
        self.models_url = models_url
        self.workflows: list[dict[str, Any]] = []
        self.keys: list[dict[str, Any]] = []
        self.tokens: dict[str, str] = {}
        self.stops: dict[str, Any] = {"models": [], "endpoints": [], "workflows": []}
        self.bundle_serial = self.state_serial = 1
        self.requires: list[str] = []
        self.expires_in = timedelta(hours=1)
        self.models = {name: self.model(name, tier) for name, tier in TIERS.items()}
        self.endpoints = [self.endpoint(name) for name in TIERS]
        self.endpoints.append(self.endpoint("small", upstream="small-2", order=2))
        self.endpoints.append(self.endpoint("mute", upstream="mute", logprobs=False))
        self.models["mute"] = self.model("mute", "mid")
        self.models["patient"] = self.model("patient", "small")
        self.endpoints.append(self.endpoint("patient", timeout_ms=60_000))
        self.models["free"] = self.model("free", "small")
        self.endpoints.append(self.endpoint("free"))
        self.unpriced = {"free"}

    def add(self, slug: str, *steps: dict[str, Any], pin: str = "replace", mode: str = "enforce", **parts: Any) -> str:
        """A workflow with this policy and a key for it; returns the key's token."""
        workflow, version = new_id(), new_id()
        self.workflows.append(
            {
                "id": workflow,
                "slug": slug,
                "mode": mode,
                "risk": "limited",
                "data_class": "internal",
                "policy_version": {"id": version, "number": 7},
                "policy": {"format": 1, "pin": pin, "steps": list(steps), **parts},
            }
        )
        self.tokens[slug] = self.add_key(slug)
        return self.tokens[slug]

    def add_key(self, slug: str, **parts: str) -> str:
        """A further key for a workflow; returns its token."""
        token = f"sf_{slug}_{uuid_utils.uuid4().hex}"
        digest = sha256(token.encode()).hexdigest()
        self.keys.append({"id": new_id(), "sha256": digest, "workflow": self.workflow(slug), **parts})
        return token

    def workflow(self, slug: str) -> str:
        """A workflow's id."""
        return str(next(row["id"] for row in self.workflows if row["slug"] == slug))

    def key(self, slug: str) -> str:
        """The id of a workflow's first key."""
        return str(next(row["id"] for row in self.keys if row["workflow"] == self.workflow(slug)))

    def snapshot(self) -> str:
        """The snapshot's text."""
        prices = [
            {"endpoint": row["id"], "currency": "USD", "input": "1.00", "output": "2.00", "cache_read": "0.10"}
            for row in self.endpoints
            if row["model"] not in self.unpriced
        ]
        return json.dumps(
            {
                "workflows": self.workflows,
                "models": list(self.models.values()),
                "endpoints": self.endpoints,
                "prices": [price | {"cache_write": None} for price in prices],
            }
        )

    def bundle_payload(self) -> dict[str, Any]:
        """The bundle before it is signed."""
        snapshot = self.snapshot()
        return {
            **self._head(self.bundle_serial),
            "environment": {"id": self.environment, "name": "production"},
            "review_key": self.signer.review_key,
            "requires": self.requires,
            "digest": sha256(snapshot.encode()).hexdigest(),
            "snapshot": snapshot,
        }

    def state_payload(self) -> dict[str, Any]:
        """The state before it is signed."""
        return {
            **self._head(self.state_serial),
            "environment": self.environment,
            "keys": self.keys,
            "stops": self.stops,
        }

    def bundle(self) -> bytes:
        """The bundle in its envelope."""
        return self.signer.sign(self.bundle_payload(), "bundle")

    def state(self) -> bytes:
        """The state in its envelope."""
        return self.signer.sign(self.state_payload(), "state")

    def _head(self, serial: int) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {
            "format": 1,
            "serial": serial,
            "issued_at": now.isoformat(),
            "expires_at": (now + self.expires_in).isoformat(),
        }

    def model(self, name: str, tier: str) -> dict[str, Any]:
        """A model as the snapshot holds it."""
        return {
            "id": new_id(),
            "name": name,
            "version": "1",
            "tier": tier,
            "hosting": "self",
            "licence": "Apache-2.0",
            "data_classes": ["public", "internal"],
            "regions": ["local"],
            "context_tokens": None,
        }

    def endpoint(
        self,
        model: str,
        *,
        upstream: str | None = None,
        order: int = 1,
        logprobs: bool = True,
        timeout_ms: int = 1500,
    ) -> dict[str, Any]:
        """A place where the models' server serves one."""
        return {
            "id": new_id(),
            "model": model,
            "provider": "double",
            "url": self.models_url,
            "upstream_model": upstream or model,
            "region": "local",
            "hosting": "self",
            "secret": "env:TEST_MODELS_KEY",
            "logprobs": logprobs,
            "timeout_ms": timeout_ms,
            "order": order,
        }


TIERS = {"small": "small", "mid": "mid", "big": "frontier"}


class Control(Served):
    """The control plane's side of the contract, in memory; `down` makes it answer nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.credential = CREDENTIAL
        self.bundle: bytes | None = None
        self.state: bytes | None = None
        self.down = False
        self.stored: dict[str, dict[str, Any]] = {}
        self.kinds: dict[str, str] = {}
        self.repeated = 0
        self.faults: list[RefusedRecord] = []
        self.refuse: set[str] = set()
        self.choke_on: str | None = None
        self.lose_receipts = 0
        self.standings: dict[str, dict[str, Any]] = {}
        self.delivered: list[str] = []
        self.bundle_polls = 0
        self.polled_by: list[tuple[str | None, ...]] = []

    def check(self) -> None:
        """Every record was one that the control plane can read."""
        assert self.faults == []

    def publish(self, world: World) -> None:
        """Offer the world as it is now."""
        self.bundle, self.state = world.bundle(), world.state()

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """What was stored of a kind: decisions, events, reviews."""
        return [data for name, data in self.stored.items() if self.kinds[name] == kind]

    def end_review(self, review: str, status: str, **outcome: Any) -> None:
        """End a review as a person or the clock would."""
        ended = {"ended_at": datetime.now(UTC).isoformat(), **outcome} if outcome else None
        self.standings[review] |= {"status": status, "outcome": ended}

    def routes(self) -> list[web.RouteDef]:
        """The API for gateways."""
        return [
            web.get("/api/v1/bundle", self._document),
            web.get("/api/v1/state", self._document),
            web.post("/api/v1/decisions", self._batch),
            web.post("/api/v1/usage", self._batch),
            web.post("/api/v1/reviews", self._batch),
            web.get("/api/v1/reviews/{id}", self._review),
        ]

    def _check(self, request: web.Request) -> None:
        if self.down:
            assert request.transport is not None
            request.transport.close()
            raise web.HTTPServiceUnavailable
        if request.headers.get("Authorization") != f"Bearer {self.credential}":
            raise web.HTTPUnauthorized

    async def _document(self, request: web.Request) -> web.Response:
        self._check(request)
        self.bundle_polls += request.path.endswith("bundle")
        said = ("Smallfirst-Instance", "User-Agent", "Smallfirst-Proof")
        self.polled_by.append(tuple(request.headers.get(name) for name in said))
        document = self.bundle if request.path.endswith("bundle") else self.state
        if document is None:
            raise web.HTTPNotFound
        etag = f'"{sha256(document).hexdigest()}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(body=document, headers={"ETag": etag})

    async def _batch(self, request: web.Request) -> web.Response:
        self._check(request)
        accepted, repeated, refused = 0, 0, []
        batch = await request.json()
        self.faults += faults_of(request.path, await request.read())
        if any(row.get("step") == self.choke_on for rows in batch.values() for row in rows if self.choke_on):
            raise web.HTTPBadRequest
        for kind, rows in batch.items():
            for row in rows:
                if kind == "delivered":
                    self.delivered.append(row["review"])
                    accepted += 1
                elif row["id"] in self.refuse or row.get("step") in self.refuse:
                    refused.append({"id": row["id"], "field": "step", "message": "not known here"})
                elif row["id"] in self.stored:
                    repeated += 1
                else:
                    self.stored[row["id"]], self.kinds[row["id"]] = row, kind
                    accepted += 1
                    if kind == "reviews":
                        names = ("id", "workflow", "key", "decision", "opened_at", "respond_by", "expires_at")
                        told = {name: row[name] for name in names}
                        self.standings[row["id"]] = told | {"status": "open", "outcome": None}
        self.repeated += repeated
        if self.lose_receipts:
            self.lose_receipts -= 1
            raise web.HTTPBadGateway
        return web.json_response({"accepted": accepted, "repeated": repeated, "refused": refused})

    async def _review(self, request: web.Request) -> web.Response:
        self._check(request)
        standing = self.standings.get(request.match_info["id"])
        if standing is None:
            raise web.HTTPNotFound
        return web.json_response(standing)


def faults_of(path: str, body: bytes) -> list[RefusedRecord]:
    """What the control plane's own readers find wrong with a batch, whatever it knows of keys and endpoints."""
    if path.endswith("reviews"):
        opened_ones, delivered = read_reviews(body)
        return [*opened_ones.refused, *delivered.refused]
    ((name, sent),) = msgspec.json.decode(body, type=dict[str, list[msgspec.Raw]]).items()
    if name == "events":
        return batches.decode(sent, UsageEvent)[1]
    decisions, refused = batches.decode(sent, Decision)
    wrong = ((each, _contradiction(each)) for each in decisions)
    return refused + [RefusedRecord(id=each.id, field=fault[0], message=fault[1]) for each, fault in wrong if fault]


def _contradiction(decision: Decision) -> tuple[str, str] | None:
    """What in a decision contradicts itself: no gateway says such a thing."""
    facts, kept = decision.facts, decision.outcome == "kept"
    if (decision.workflow, decision.step, decision.run) != (facts.workflow, facts.step, facts.run):
        return "facts", "differs from what the decision says of workflow, step and run"
    if (decision.kept_model is not None, decision.tier is not None) != (kept, kept):
        return "kept_model", "stands, with its tier, exactly where the outcome is 'kept'"
    if (decision.outcome == "person") != (decision.review is not None):
        return "review", "stands exactly where the outcome is 'person'"
    return observed_fault(decision)


class Process:
    """A gateway as a process of its own, on a state directory that outlives it."""

    def __init__(self, *, control: str, world: World, state: Path, port: int, **environ: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.state = state
        self.port = port
        credential = state.parent / "gateway.credential"
        credential.write_text(CREDENTIAL)
        self._environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "SMALLFIRST_CONTROL_URL": control,
            "SMALLFIRST_GATEWAY_CREDENTIAL_FILE": str(credential),
            "SMALLFIRST_ROOT_KEY": world.signer.root_key,
            "SMALLFIRST_PROVIDER_SECRETS": f"TEST_MODELS_KEY@{origin_of(world.models_url)}",
            "SMALLFIRST_GATEWAY_STATE": str(state),
            "SMALLFIRST_GATEWAY_URL": self.url,
            "SMALLFIRST_GATEWAY_BUNDLE_SECONDS": "0.1",
            "SMALLFIRST_GATEWAY_STATE_SECONDS": "0.1",
            "SMALLFIRST_GATEWAY_UPLOAD_SECONDS": "0.05",
            "SMALLFIRST_GATEWAY_REVIEW_SECONDS": "60",
            "TEST_MODELS_KEY": SECRET,
            **environ,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True) -> Self:
        """Start it and wait until it answers; with `ready`, until it can decide."""
        with self._log().open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "smallfirst.gateway", "--port", str(self.port)],
                env=self._environ,
                cwd=ROOT,
                stderr=log,
            )
        wait(lambda: self._answers(ready), f"the gateway is not up: {self._log()}")
        return self

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """TERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(40)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def pause(self, *, resume: bool = False) -> None:
        """Stop its clock, or let it run again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT if resume else signal.SIGSTOP)

    def health(self) -> dict[str, Any]:
        """What /healthz says."""
        found: dict[str, Any] = httpx2.get(f"{self.url}/healthz").json()
        return found

    def client(self, token: str) -> openai.OpenAI:
        """The official client."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=token, max_retries=0, timeout=20)

    def post(self, token: str, body: object, *, path: str = "/v1/chat/completions", **options: Any) -> httpx2.Response:
        """A request by hand, for a chat unless said; `body` is JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return httpx2.post(f"{self.url}{path}", content=content, headers=headers, timeout=20, **options)

    def get(self, token: str, path: str) -> httpx2.Response:
        """A GET by hand."""
        return httpx2.get(f"{self.url}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=20)

    def logs(self) -> list[dict[str, Any]]:
        """The lines that it has logged; every one is JSON."""
        return [json.loads(line) for line in self._log().read_text().splitlines()]

    def files(self) -> bytes:
        """All that it has on disk and in its log, to look for what must not be there."""
        found = [path.read_bytes() for path in self.state.rglob("*") if path.is_file()]
        return b"".join([*found, self._log().read_bytes()])

    def _log(self) -> Path:
        return self.state.parent / "gateway.log"

    def _answers(self, ready: bool) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self._log().read_text()
        try:
            return httpx2.get(f"{self.url}/healthz").status_code in ((200,) if ready else (200, 503))
        except httpx2.TransportError:
            return False


def wait(holds: Callable[[], bool], what: str = "this did not come true", seconds: float = 20) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def ask(script: dict[str, Any] | str, *, run: str | None = None, **more: Any) -> dict[str, Any]:
    """A chat request whose text tells the models what to do; `nonce` in it makes each request another."""
    text = script if isinstance(script, str) else json.dumps({"nonce": new_id()} | script)
    metadata = more.pop("metadata", {}) | ({"run": run} if run else {})
    return {"model": "auto", "messages": [{"role": "user", "content": text}], "metadata": metadata, **more}


def opened(signer: Signer, review: dict[str, Any]) -> dict[str, Any]:
    """The body of an uploaded review, as only the control plane can read it."""
    sealed = base64.urlsafe_b64decode(review["body"] + "=" * (-len(review["body"]) % 4))
    plain: dict[str, Any] = msgspec.json.decode(seal.open_box(signer.review, sealed, UUID(review["id"]).bytes))
    return plain
