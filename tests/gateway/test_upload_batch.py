"""Everything recorded reaches the control plane once, also when it is away, slow, forgetful or picky."""

import json
import resource
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from smallfirst.spool import frames
from tests.gateway.world import Control, Models, Process, World, ask, wait


def decisions(control: Control) -> set[str]:
    """The decisions that have come."""
    return {row["id"] for row in control.of_kind("decisions")}


def attempts(control: Control) -> list[str]:
    """The decision of each attempt that has come."""
    return [row["decision"] for row in control.of_kind("events")]


def test_what_happened_while_the_control_plane_was_away_comes_when_it_is_back(
    gateway: Process, control: Control, world: World
) -> None:
    control.down = True
    answers = [gateway.post(world.tokens["open"], ask({})) for _ in range(5)]
    told = {answer.headers["x-smallfirst-decision"] for answer in answers}
    wait(lambda: gateway.health()["upload"]["problem"] is not None)
    assert gateway.health()["spool"]["waiting_bytes"] > 0
    assert not decisions(control)
    control.down = False
    wait(lambda: decisions(control) == told and len(attempts(control)) >= len(told), seconds=30)
    assert sorted(attempts(control)) == sorted(told)
    wait(lambda: gateway.health()["spool"]["waiting_bytes"] == 0)
    assert gateway.health()["upload"]["problem"] is None


def test_a_lost_receipt_repeats_the_batch_and_nothing_counts_twice(
    gateway: Process, control: Control, world: World
) -> None:
    """The control plane stores the batch and dies before it says so."""
    control.lose_receipts = 2
    answer = gateway.post(world.tokens["open"], ask({}))
    decision = answer.headers["x-smallfirst-decision"]
    wait(lambda: attempts(control) == [decision] and control.repeated > 0)
    wait(lambda: gateway.health()["spool"]["waiting_bytes"] == 0)
    assert decisions(control) == {decision}
    assert attempts(control) == [decision]
    assert control.lose_receipts == 0


def test_one_unreadable_record_is_found_among_many(gateway: Process, control: Control, world: World) -> None:
    """The control plane answers 400 to any batch that holds it, without saying which it is."""
    control.down = True
    control.choke_on = "odd"
    steps = ["even"] * 6 + ["odd"] + ["even"] * 5
    answers = [gateway.post(world.tokens["open"], ask({}, metadata={"step": step})) for step in steps]
    told = [answer.headers["x-smallfirst-decision"] for answer in answers]
    control.down = False
    wait(lambda: decisions(control) == set(told) - {told[6]}, seconds=40)
    wait(lambda: gateway.health()["spool"]["waiting_bytes"] == 0)
    assert sorted(attempts(control)) == sorted(set(told) - {told[6]})
    assert gateway.health()["spool"]["refused_records"] == 2


def test_a_refused_record_holds_nobody_up(gateway: Process, control: Control, world: World) -> None:
    control.refuse.add("odd")
    odd = gateway.post(world.tokens["open"], ask({}, metadata={"step": "odd"}))
    even = gateway.post(world.tokens["open"], ask({}, metadata={"step": "even"}))
    wait(lambda: decisions(control) == {even.headers["x-smallfirst-decision"]})
    aside = gateway.state / "spool" / "refused"
    wait(lambda: gateway.health()["spool"]["refused_records"] == 2)
    found = json.loads((aside / f"decision-{odd.headers['x-smallfirst-decision']}.json").read_text())
    assert (found["field"], found["message"]) == ("step", "not known here")
    refused = [line for line in gateway.logs() if line["event"] == "upload.refused"]
    assert {line["kind"] for line in refused} == {"decision", "usage"}
    assert gateway.health()["spool"]["waiting_bytes"] == 0


def test_term_finishes_what_is_running_and_uploads_it(
    gateway: Process, control: Control, world: World, models: Models
) -> None:
    asked = len(models.asked)
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(gateway.post, world.tokens["patient"], ask({"patient": {"text": "done", "delay": 2}}))
        wait(lambda: len(models.asked) > asked)
        assert gateway.stop() in (0, -15)
        answer = slow.result()
    assert answer.json()["choices"][0]["message"]["content"] == "done"
    assert answer.headers["x-smallfirst-decision"] in decisions(control)
    with pytest.raises(httpx2.TransportError):
        gateway.health()
    assert "gateway.stopped" in [line["event"] for line in gateway.logs()]


def test_term_with_the_control_plane_away_leaves_it_for_the_next_run(
    gateway: Process, control: Control, world: World
) -> None:
    control.down = True
    answer = gateway.post(world.tokens["open"], ask({}))
    assert gateway.stop() in (0, -15)
    control.down = False
    gateway.start()
    wait(lambda: decisions(control) == {answer.headers["x-smallfirst-decision"]})
    wait(lambda: gateway.health()["spool"]["waiting_bytes"] == 0)


def test_what_cannot_be_recorded_is_not_answered(gateway: Process, control: Control, world: World) -> None:
    """A file size limit stands in for a full disk; the spool is the only file that grows."""
    control.down = True
    token = world.tokens["open"]
    for _ in range(20):
        assert gateway.post(token, ask({})).status_code == 200
    (segment,) = (gateway.state / "spool").glob("*/1.log")
    assert gateway.process is not None
    whole = segment.stat().st_size
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (whole + 700, resource.RLIM_INFINITY))
    plain = gateway.post(token, ask({}))
    assert (plain.status_code, plain.json()["error"]["code"]) == (503, "no_model_available")
    stream = gateway.post(token, ask({}, stream=True))
    assert "cannot record" in stream.text
    assert "[DONE]" not in stream.text
    review = gateway.post(world.tokens["mute"], ask({}))
    assert review.status_code == 503
    assert segment.stat().st_size == whole
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert gateway.post(token, ask({})).status_code == 200
    control.down = False
    wait(lambda: gateway.health()["spool"]["waiting_bytes"] == 0, seconds=30)
    assert len(decisions(control)) == len(attempts(control)) == 21


def records_on_disk(state: Path) -> list[dict[str, Any]]:
    """Every whole record in the spool."""
    return [
        {"kind": record.kind, **json.loads(bytes(record.data))}
        for path in sorted((state / "spool").glob("*/*.log"))
        for record, _ in frames(path.read_bytes())
    ]


def wait_for_traffic(told: list[str]) -> None:
    """Wait until a hundred more requests have been answered."""
    before = len(told)
    wait(lambda: len(told) > before + 100, "no traffic", seconds=60)


@pytest.mark.processes
def test_kill_9_under_load_leaves_every_acknowledged_request_once(
    control: Control, world: World, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Fifty clients, the gateway killed thrice: what a client was told is in the spool or the ledger exactly once."""
    control.publish(world)
    process = Process(control=control.url, world=world, state=tmp_path / "gateway", port=free_port())
    told: list[str] = []
    stop = threading.Event()

    def talk(number: int) -> None:
        client = httpx2.Client(timeout=10)
        while not stop.is_set():
            try:
                answer = client.post(
                    f"{process.url}/v1/chat/completions",
                    json=ask({"small": {"status": 500} if number % 5 == 0 else {"text": "x"}}, stream=number % 3 == 0),
                    headers={"Authorization": f"Bearer {world.tokens['open']}"},
                )
            except httpx2.TransportError:
                stop.wait(0.05)
                continue
            if answer.status_code == 200 and (number % 3 or "data: [DONE]" in answer.text):
                told.append(answer.headers["x-smallfirst-decision"])

    with process as gateway:
        gateway.start()
        with ThreadPoolExecutor(50) as pool:
            try:
                for number in range(50):
                    pool.submit(talk, number)
                for _ in range(2):
                    wait_for_traffic(told)
                    gateway.kill()
                    gateway.start()
                control.down = True
                wait_for_traffic(told)
                gateway.kill()
            finally:
                stop.set()
        on_disk = records_on_disk(tmp_path / "gateway")
        known = decisions(control) | {row["id"] for row in on_disk if row["kind"] == "decision"}
        assert set(told) <= known
        assert len(told) == len(set(told))
        control.down = False
        gateway.start()
        wait(lambda: gateway.health()["spool"]["waiting_bytes"] == 0, "the spool was not uploaded", seconds=60)
        assert set(told) <= decisions(control)
        served = [row["decision"] for row in control.of_kind("events") if row["kept"]]
        assert len(served) == len(set(served))
        assert set(told) <= set(served)


@pytest.mark.processes
def test_fifty_clients_get_their_own_answers(gateway: Process, control: Control, world: World) -> None:
    def talk(number: int) -> list[str]:
        with httpx2.Client(timeout=30) as client:
            wrong = []
            for turn in range(6):
                text = f"{number}-{turn}"
                answer = client.post(
                    f"{gateway.url}/v1/chat/completions",
                    json=ask({"patient": {"text": text}}, stream=turn % 2 == 0),
                    headers={"Authorization": f"Bearer {world.tokens['patient']}"},
                )
                if text not in answer.text or answer.status_code != 200:
                    wrong.append(answer.text)
            return wrong

    with ThreadPoolExecutor(50) as pool:
        assert [wrong for found in pool.map(talk, range(50)) for wrong in found] == []
    wait(lambda: len(decisions(control)) == 300 and len(attempts(control)) >= 300)
    assert sorted(attempts(control)) == sorted(decisions(control))
