"""/metrics of a real gateway: what it did is counted once, as it was; no caller can make it grow or learn a secret."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from smallfirst.engine.snapshot import Endpoint
from smallfirst.gateway.attempts import Attempt
from smallfirst.gateway.exposition import PREFIX
from smallfirst.gateway.metrics import MOST_MODELS, OTHERS, Metrics
from smallfirst.gateway.upstream import Usage
from tests.gateway.conftest import Site
from tests.gateway.test_chat_answer import UNSURE, said
from tests.gateway.test_embeddings_answer import PATH as EMBEDDINGS
from tests.gateway.test_embeddings_answer import texts
from tests.gateway.world import CREDENTIAL, SECRET, Control, Process, World, ask, wait

LABELS = {"route", "outcome", "status", "model", "tier", "kind", "currency", "document", "le"}


class Scrape:
    """What one GET /metrics told, by name and labels."""

    def __init__(self, process: Process) -> None:
        self.answer = httpx2.get(f"{process.url}/metrics")
        assert self.answer.status_code == 200, self.answer.text
        self.values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in text_string_to_metric_families(self.answer.text):
            for sample in family.samples:
                place = sample.name, frozenset(sample.labels.items())
                assert place not in self.values, f"{place} twice"
                self.values[place] = sample.value

    def get(self, name: str, **labels: str) -> float | None:
        """One value, None where there is none."""
        return self.values.get((PREFIX + name, frozenset(labels.items())))

    def series(self, name: str) -> dict[tuple[str, ...], float]:
        """All values of a name, by the values of their labels in the labels' order."""
        return {
            tuple(value for _, value in sorted(labels)): count
            for (found, labels), count in self.values.items()
            if found == PREFIX + name
        }


def requests_of(process: Process) -> dict[tuple[str, ...], float]:
    """Requests by outcome, route and status; without those that only look."""
    found = Scrape(process).series("requests_total")
    return {labels: count for labels, count in found.items() if labels[1] not in ("healthz", "metrics")}


def test_one_request_is_counted_once_with_all_its_figures(gateway: Process, world: World) -> None:
    assert requests_of(gateway) == {}

    gateway.post(world.tokens["open"], ask({"small": {"delay": 0.3}}))

    wait(lambda: requests_of(gateway) == {("answered", "chat", "200"): 1})
    scrape = Scrape(gateway)
    assert scrape.series("attempts_total") == {("small", "ok", "small"): 1}
    assert scrape.series("tokens_total") == {
        ("input", "small", "small"): 100,
        ("output", "small", "small"): 10,
        ("cache_read", "small", "small"): 0,
        ("cache_write", "small", "small"): 0,
    }
    assert scrape.series("cost_total") == {("USD", "small", "small"): 0.00012}
    assert scrape.get("attempts_unpriced_total", model="small", tier="small") == 0
    for name in ("request_seconds", "first_byte_seconds", "added_seconds"):
        assert scrape.get(f"{name}_count", route="chat") == 1
        assert scrape.get(f"{name}_bucket", route="chat", le="+Inf") == 1
    whole, added = scrape.get("request_seconds_sum", route="chat"), scrape.get("added_seconds_sum", route="chat")
    waited = scrape.get("attempt_seconds_total", model="small", tier="small")
    assert whole is not None
    assert added is not None
    assert waited is not None
    assert waited >= 0.3
    assert scrape.get("request_seconds_bucket", route="chat", le="0.25") == 0
    # What is added is the whole without the model, and without the caller's own time to send the body.
    assert 0 < added <= whole - waited + 1e-6
    assert scrape.get("requests_in_flight") == 0


def test_every_attempt_of_a_climb_is_counted(gateway: Process, world: World) -> None:
    broken = {"status": 500}
    answer = gateway.post(world.tokens["open"], ask({"small": broken, "small-2": broken}))
    assert answer.json()["model"] == "mid"
    gateway.post(world.tokens["reviewed"], ask(dict.fromkeys(("small", "mid", "big"), said("perhaps", UNSURE))))
    gateway.post(world.tokens["short"], ask({"small": {"fault": "hang"}, "small-2": {"fault": "hang"}}))

    assert Scrape(gateway).series("attempts_total") == {
        ("small", "error", "small"): 2,
        ("mid", "ok", "mid"): 2,
        ("small", "ok", "small"): 1,
        ("big", "ok", "frontier"): 1,
        ("small", "timeout", "small"): 1,
    }
    wait(
        lambda: (
            requests_of(gateway)
            == {
                ("answered", "chat", "200"): 1,
                ("review_required", "chat", "422"): 1,
                ("no_model_available", "chat", "503"): 1,
            }
        )
    )
    assert Scrape(gateway).get("reviews_open") == 1


def test_what_is_not_answered_says_why(gateway: Process, world: World) -> None:
    token = world.tokens["open"]
    gateway.post("sf_nobody", ask({}))
    gateway.post(token, b"{")
    gateway.post(world.tokens["refusing"], ask({}) | {"model": "big"})
    gateway.get(token, "/v1/models")
    gateway.post(token, ask({}), path="/v1/models")
    gateway.get(token, "/v1/reviews/00000000-0000-8000-8000-000000000000")
    gateway.get(token, "/nowhere/at/all")
    gateway.post(token, {"model": "auto", "input": texts()}, path=EMBEDDINGS)

    expected = {
        ("invalid_api_key", "chat", "401"): 1,
        ("invalid_request", "chat", "400"): 1,
        ("not_allowed", "chat", "403"): 1,
        ("answered", "models", "200"): 1,
        ("invalid_request", "models", "405"): 1,
        ("invalid_request", "review", "404"): 1,
        ("invalid_request", "other", "404"): 1,
        ("answered", "embeddings", "200"): 1,
    }
    wait(lambda: requests_of(gateway) == expected, f"{requests_of(gateway)}")
    # Times are told of those alone for which a model was asked.
    assert set(Scrape(gateway).series("request_seconds_count")) == {("embeddings",)}


def test_a_stream_is_timed_to_its_first_byte_and_to_its_end(gateway: Process, world: World) -> None:
    token = world.tokens["open"]
    client = gateway.client(token)
    for _ in client.chat.completions.create(stream=True, **ask({"small": {"pause": 0.2}})):
        pass
    gateway.post(token, ask({"small": {"break_after": 1}}) | {"stream": True})

    wait(
        lambda: (
            requests_of(gateway)
            == {("answered", "chat_stream", "200"): 1, ("no_model_available", "chat_stream", "200"): 1}
        )
    )
    scrape = Scrape(gateway)
    whole, first = scrape.series("request_seconds_sum"), scrape.series("first_byte_seconds_sum")
    assert scrape.series("first_byte_seconds_count") == {("chat_stream",): 2}
    assert whole["chat_stream",] - first["chat_stream",] >= 0.5
    assert scrape.series("attempts_total") == {("small", "ok", "small"): 1, ("small", "error", "small"): 1}
    # Nobody knows what the broken one cost: it adds no zero.
    assert scrape.get("attempts_unpriced_total", model="small", tier="small") == 1


def test_a_caller_who_leaves_is_counted_and_no_longer_in_flight(gateway: Process, world: World) -> None:
    request = ask({"patient": {"fault": "hang"}})
    headers = {"Authorization": f"Bearer {world.tokens['patient']}"}

    def leave() -> None:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{gateway.url}/v1/chat/completions", json=request, headers=headers, timeout=3)

    caller = threading.Thread(target=leave)
    caller.start()
    wait(lambda: Scrape(gateway).get("requests_in_flight") == 1)
    caller.join()
    wait(lambda: requests_of(gateway) == {("left", "chat", "none"): 1})
    scrape = Scrape(gateway)
    assert scrape.get("requests_in_flight") == 0
    assert scrape.series("attempts_total") == {("patient", "aborted", "small"): 1}
    assert scrape.series("first_byte_seconds_count") == {("chat",): 0}


def test_a_cost_that_is_not_known_is_no_zero(gateway: Process, world: World) -> None:
    gateway.post(world.tokens["free"], ask({}))
    scrape = Scrape(gateway)
    assert scrape.get("attempts_unpriced_total", model="free", tier="small") == 1
    assert scrape.series("cost_total") == {}
    assert scrape.get("tokens_total", model="free", tier="small", kind="input") == 100


def test_spool_and_documents_tell_of_a_silent_control_plane(gateway: Process, control: Control, world: World) -> None:
    def told(name: str, **labels: str) -> float:
        value = Scrape(gateway).get(name, **labels)
        assert value is not None
        return value

    for document in ("bundle", "state"):
        assert told("document_serial", document=document) == 1
        assert told("document_failing", document=document) == 0
        assert told("document_age_seconds", document=document) < 5
        assert told("document_expires_timestamp_seconds", document=document) > 1_700_000_000
    assert (told("spool_bytes"), told("spool_oldest_seconds")) == (0, 0)

    control.down = True
    gateway.post(world.tokens["open"], ask({}))
    wait(lambda: told("upload_failing") == 1 and told("document_failing", document="bundle") == 1)
    assert told("spool_bytes") > 0
    wait(lambda: told("spool_oldest_seconds") > 1 and told("document_age_seconds", document="state") > 1)
    assert told("upload_lag_seconds_count") == 0

    control.down = False
    wait(lambda: told("spool_bytes") == 0 and told("upload_failing") == 0, seconds=30)
    assert told("spool_oldest_seconds") == 0
    assert told("upload_lag_seconds_count") == 1
    assert told("upload_lag_seconds_sum") > 1
    wait(
        lambda: told("document_failing", document="bundle") == 0 and told("document_age_seconds", document="state") < 1
    )

    world.bundle_serial = 4
    control.publish(world)
    wait(lambda: told("document_serial", document="bundle") == 4)


def test_it_tells_before_anything_can_be_decided(
    control: Control, world: World, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    made = Process(control=control.url, world=world, state=tmp_path / "gateway", port=free_port())
    with made as process:
        process.start(ready=False)
        assert process.post("sf_x", ask({})).status_code == 503
        wait(lambda: Scrape(process).get("document_failing", document="bundle") == 1)
        scrape = Scrape(process)
        assert scrape.get("document_serial", document="bundle") is None
        assert scrape.get("requests_total", route="chat", outcome="no_model_available", status="503") == 1
        assert scrape.values["process_resident_memory_bytes", frozenset()] > 1e6


def test_it_asks_for_no_key_and_tells_no_secret(site: Site) -> None:
    secret = "words-of-a-customer"
    answer = site.process.post(site.token("open"), ask({}, run=secret, metadata={secret: secret}) | {"user": secret})
    scrape = Scrape(site.process)
    text = scrape.answer.text

    assert scrape.answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert scrape.answer.headers["cache-control"] == "no-store"
    known = [
        *(secret, SECRET, CREDENTIAL, "sf_", "sfg_", answer.headers["x-smallfirst-decision"]),
        *site.world.tokens.values(),
        *(row["id"] for row in (*site.world.workflows, *site.world.keys, *site.world.endpoints)),
        *(site.world.environment, site.models.url, str(site.process.state)),
    ]
    assert [word for word in known if word in text] == []
    assert {name for _, labels in scrape.values for name, _ in labels} <= LABELS
    assert site.process.post(site.token("open"), {}, path="/metrics").status_code == 405


def test_no_caller_makes_it_grow(site: Site) -> None:
    def different(number: int) -> None:
        token = site.token("open")
        site.process.get(token, f"/v1/x{number}")
        site.process.get(token, f"/v1/reviews/x{number}")
        site.process.get(f"sf_{number}", "/v1/models")
        site.process.post(token, ask({}, run=f"r-{number}", metadata={"step": f"s{number}", f"t{number}": "x"}))
        site.process.post(token, ask({}) | {"model": f"no-model-{number}"})
        site.process.post(
            site.token("pinning"),
            ask({"big": {"served": f"served-{number}", "finish": f"f{number}"}}) | {"model": "big"},
        )

    # A scrape counts itself when it is over, so the next one tells of it.
    Scrape(site.process)
    different(0)
    before = set(Scrape(site.process).values)
    for number in range(1, 6):
        different(number)
    assert set(Scrape(site.process).values) == before


def test_many_models_share_one_name_in_the_end(world: World) -> None:
    metrics = Metrics()

    def attempt(model: str) -> Attempt:
        place = msgspec.convert(world.endpoint("small"), Endpoint)
        endpoint = msgspec.structs.replace(place, model=model)
        return Attempt(
            rung=0, endpoint=endpoint, tier="small", began=datetime.now(UTC), usage=Usage(3, 4), outcome="ok"
        )

    for number in range(MOST_MODELS + 50):
        metrics.attempted(attempt(f"m{number}"), 0.5, None)
    metrics.attempted(attempt("m0"), 0.5, None)

    assert len(metrics.models) == MOST_MODELS + 1
    assert metrics.models[OTHERS, "small"].outcomes["ok"] == 50
    assert metrics.models["m0", "small"].tokens["output"] == 8
    assert metrics.models["m0", "small"].unpriced == 2
