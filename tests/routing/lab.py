"""What evaluations are tested with: a step with a live ladder, a sample set, and a gateway that says what it is told.

The gateway here is a real HTTP server that holds its side of the contract; the real one is asked in
tests/story/test_crash.py.
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.utils import timezone

from governance import registry
from governance.models import AuditEvent, Environment, Step
from governance.models.ids import new_id
from routing import evaluations, measuring, sample_sets
from routing.models import (
    Evaluation,
    EvaluationChunk,
    EvaluationResult,
    EvaluationSchedule,
    EvaluationScore,
    Sample,
    SampleSet,
)
from routing.samples import Row
from tests.cast import BOOTSTRAP, Cast, make_cast, make_live

NOW = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)
LADDER = ("lexicon", "tf-idf", "smollm2")
# Per model: dollars a call, so that a sum tells who was asked.
COSTS = {"lexicon": "0.001", "tf-idf": "0.01", "smollm2": "0.1"}


@dataclass(frozen=True)
class Lab:
    """The cast with a live policy (keep from 0.8, then a person), and the step that is measured."""

    cast: Cast
    step: Step

    @property
    def production(self) -> Environment:
        """Where it is live."""
        return self.cast.production

    def set(self, rows: Sequence[Row], name: str = "Held out", **given: Any) -> SampleSet:
        """A sample set of the step, uploaded by the owner."""
        facts: dict[str, Any] = {"source": "Last month's mails", "licence": "our own", "by": self.cast.owner}
        return sample_sets.create(step=self.step, name=name, rows=rows, **(facts | given))

    def start(self, sample_set: SampleSet, **given: Any) -> Evaluation:
        """An evaluation of it in production, started by the owner."""
        facts: dict[str, Any] = {"environment": self.production, "by": self.cast.owner, "now": NOW}
        return evaluations.start(sample_set=sample_set, **(facts | given))


def make_lab(keep_from: float = 0.8, gateway_url: str = "http://127.0.0.1:9") -> Lab:
    """A cast whose policy is live in an environment with a gateway at this address."""
    return lab_of(make_cast(), keep_from, gateway_url)


def lab_of(cast: Cast, keep_from: float = 0.8, gateway_url: str = "http://127.0.0.1:9") -> Lab:
    """The same around a cast that is there already."""
    make_live(cast, keep_from)
    registry.set_gateway_url(environment=cast.production, url=gateway_url, by=BOOTSTRAP)
    cast.production.refresh_from_db()
    return Lab(cast, cast.workflow.steps.get(name="sentiment"))


def row(text: str, label: str = "positive", cluster: str | None = None) -> Row:
    """A labelled text."""
    return Row([{"role": "user", "content": text}], label, cluster)


def script(label: str, **models: Any) -> Row:
    """A sample whose text tells the gateway below what each model answers: a label and a confidence, or a fault."""
    said = {name.replace("tfidf", "tf-idf"): answer for name, answer in models.items()}
    return row(json.dumps({"nonce": str(new_id()), **said}), label)


def rows_in_tables() -> dict[str, int]:
    """How many rows there are of everything an evaluation writes."""
    tables = (SampleSet, Sample, Evaluation, EvaluationChunk, EvaluationResult, EvaluationScore, EvaluationSchedule)
    return {table.__name__: table._default_manager.count() for table in (*tables, AuditEvent)}


@dataclass
class Gateway:
    """What a gateway is asked, and how it answers: `refuse` is the error for all, while `hold` is not set all wait.

    `looked` are the reviews whose standing was asked for.
    """

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    refuse: Mapping[str, Any] | None = None
    unknown_key: int = 0
    hold: threading.Event | None = None
    begun: threading.Event = field(default_factory=threading.Event)
    reviews: dict[str, dict[str, Any]] = field(default_factory=dict)
    looked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
        """The status, headers and body for a request."""
        if self.refuse is not None:
            error = {"message": "refused here", **self.refuse}
            return int(error.pop("status")), error.pop("headers", {}), {"error": error}
        said = json.loads(body["messages"][-1]["content"]).get(body["model"], ["positive", 0.9])
        headers = {"x-smallfirst-decision": str(new_id()), "x-smallfirst-attempts": "1", "x-smallfirst-policy": "1"}
        if isinstance(said, dict):
            said = dict(said)
            status, more = int(said.pop("status", 503)), said.pop("headers", {})
            error = {"message": "no", "code": "no_model_available", **said}
            return status, headers | more, {"error": error}
        label, confidence = said
        headers["x-smallfirst-cost"] = COSTS.get(body["model"], "0.001")
        if confidence is not None:
            headers["x-smallfirst-confidence"] = str(confidence)
        message = {"role": "assistant", "content": label}
        usage = {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13}
        return 200, headers, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}


@contextmanager
def gateway() -> Iterator[Gateway]:
    """A gateway that listens."""
    made = Gateway()

    class Listener(BaseHTTPRequestHandler):
        """Answers as `made` says."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """One chat request."""
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with made.lock:
                made.asked.append(body)
                made.tokens.append(self.headers["authorization"])
                unknown = made.unknown_key > 0
                made.unknown_key -= unknown
            made.begun.set()
            if made.hold is not None:
                made.hold.wait(30)
            status, headers, answer = made.answer(body)
            if unknown:
                status, headers, answer = 401, {}, {"error": {"code": "invalid_api_key", "message": "no such key"}}
            content = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            """How a review stands."""
            made.looked.append(self.path.removeprefix("/v1/reviews/"))
            known = made.reviews.get(made.looked[-1])
            content = json.dumps(known or {"error": {"code": "not_found", "message": "no such review"}}).encode()
            self.send_response(200 if known else 404)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def work_off(most: int = 50) -> None:
    """Work until nothing is left that may be taken."""
    for _ in range(most):
        if not measuring.work():
            return
    raise AssertionError("there is no end to it")


def bring_home() -> None:
    """Score every evaluation whose answers are all written, without a gateway."""
    while (taken := measuring.take(timezone.now())) is not None:
        measuring.finish(*taken, now=timezone.now())


def measured(lab: Lab, rows: Sequence[Row], results: Mapping[str, Sequence[Mapping[str, Any]]]) -> Evaluation:
    """An evaluation whose answers are written without a gateway: for each model, in turn, what it made of each row."""
    evaluation = lab.start(lab.set(rows, name=f"Set {new_id()}"))
    write(evaluation, results)
    return Evaluation.objects.for_list().get(pk=evaluation.pk)


def alike(answers: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[Mapping[str, Any]]]:
    """The same answers from every model of the ladder."""
    return dict.fromkeys(LADDER, answers)


def write(evaluation: Evaluation, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write answers: `label`, `confidence` and whatever else of EvaluationResult; an `error` or `timeout` outcome."""
    samples = list(evaluation.sample_set.samples.order_by("position"))
    EvaluationResult.objects.bulk_create(
        _result(evaluation, sample, model, answer)
        for model, answers in results.items()
        for sample, answer in zip(samples, answers, strict=True)
    )


def _result(evaluation: Evaluation, sample: Sample, model: str, answer: Mapping[str, Any]) -> EvaluationResult:
    label = answer.get("label")
    facts: dict[str, Any] = {
        "outcome": "ok",
        "stop_reason": "stop",
        "latency_ms": 10,
        "input_tokens": 12,
        "output_tokens": 1,
        "cost": Decimal(COSTS.get(model, "0.001")),
        "currency": "USD",
        "decision": new_id(),
        "asked_at": NOW,
        "correct": label is not None and label == sample.label,
    }
    return EvaluationResult(evaluation=evaluation, sample=sample, model=model, **{**facts, **answer})
