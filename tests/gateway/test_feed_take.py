"""A gateway uses only what the root key stands behind, never goes back, and starts from what it kept on disk."""

import json
import logging
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from governance.checkpoints import signed, verification_key
from smallfirst import merkle, seal
from smallfirst.gateway.control import Answer, ControlPlane, Unreachable
from smallfirst.gateway.feed import Feed
from smallfirst.loops import play
from smallfirst.proofs import read_keys
from tests.gateway.world import Control, Process, World, ask, new_id, wait


class Offer(ControlPlane):
    """A control plane that offers what the test says, or nothing."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}
        self.bundle: bytes | None = None
        self.state: bytes | None = None

    async def get(
        self, path: str, *, etag: str | None = None, seen: Mapping[str, str] | None = None, seconds: float = 1
    ) -> Answer:
        """The document of the path."""
        self.seen = dict(seen or {})
        document = self.bundle if path.endswith("bundle") else self.state
        if document is None:
            raise Unreachable("timeout")
        tag = sha256(document).hexdigest()
        return Answer(304, b"", tag) if etag == tag else Answer(200, document, tag)


class Followed:
    """A feed and what is offered to it."""

    def __init__(self, world: World, directory: Path, **options: Any) -> None:
        self.world = world
        self.options = options
        self.directory = directory
        self.offer = Offer()
        self.offer.bundle, self.offer.state = world.bundle(), world.state()
        self.feed = self.fresh()
        self.poll()

    def fresh(self) -> Feed:
        """A feed as a new process makes it."""
        feed = Feed(
            control=self.offer,
            root_key=self.world.signer.root_key,
            directory=self.directory,
            bundle_seconds=1,
            state_seconds=1,
            **self.options,
        )
        feed.start_from_disk()
        return feed

    def poll(self) -> None:
        """Ask once."""
        play(self.feed.poll())

    def serials(self) -> tuple[int | None, int | None]:
        """The serials in use."""
        bundle, state = self.feed.bundle.value, self.feed.state.value
        return (bundle.payload.serial if bundle else None, state.payload.serial if state else None)


@pytest.fixture
def followed(world: World, tmp_path: Path) -> Followed:
    """A feed that has taken the first bundle and the first state."""
    world.bundle_serial = world.state_serial = 5
    found = Followed(world, tmp_path)
    assert found.serials() == (5, 5)
    return found


def test_newer_documents_are_taken_and_kept(followed: Followed) -> None:
    followed.world.bundle_serial, followed.world.state_serial = 6, 7
    followed.world.add("new", {"name": "*", "ladder": [{"model": "small"}]})
    followed.offer.bundle, followed.offer.state = followed.world.bundle(), followed.world.state()
    followed.poll()
    assert followed.serials() == (6, 7)
    assert followed.feed.bundle.age(datetime.now(UTC)) == "fresh"
    followed.feed = followed.fresh()
    assert followed.serials() == (6, 7)
    assert followed.feed.bundle.age(datetime.now(UTC)) == "stale"
    assert (followed.directory / "bundle.json").stat().st_mode & 0o777 == 0o600


def test_an_older_serial_is_refused_also_after_a_restart(followed: Followed) -> None:
    followed.world.bundle_serial = followed.world.state_serial = 4
    followed.offer.bundle, followed.offer.state = followed.world.bundle(), followed.world.state()
    for _ in range(2):
        followed.poll()
        assert followed.serials() == (5, 5)
        for held in (followed.feed.bundle, followed.feed.state):
            assert held.refusal is not None
            assert held.refusal.cause == "older_serial"
        followed.feed = followed.fresh()


def test_two_processes_of_one_directory_keep_the_newest(followed: Followed) -> None:
    """The slower one has an older document in use; it must not lie on disk for the next start."""
    slower = followed.fresh()
    followed.world.bundle_serial = 7
    followed.offer.bundle = followed.world.bundle()
    followed.poll()
    followed.world.bundle_serial = 6
    followed.offer.bundle = followed.world.bundle()
    play(slower.poll())
    assert slower.bundle.value is not None
    assert slower.bundle.value.payload.serial == 6
    followed.feed = followed.fresh()
    assert followed.serials() == (7, 5)


def test_a_refusal_ends_with_the_next_good_document(followed: Followed) -> None:
    good = followed.offer.bundle
    refused(followed, b"{}", "malformed")
    followed.offer.bundle = good
    followed.poll()
    assert followed.serials() == (5, 5)
    assert [held.refusal for held in (followed.feed.bundle, followed.feed.state)] == [None, None]


def refused(followed: Followed, document: bytes, cause: str) -> None:
    """Offer a bundle and see it refused for a cause, with nothing changed."""
    kept = (followed.directory / "bundle.json").read_bytes()
    followed.offer.bundle = document
    followed.poll()
    assert followed.feed.bundle.refusal is not None
    assert followed.feed.bundle.refusal.cause == cause
    assert followed.serials() == (5, 5)
    assert (followed.directory / "bundle.json").read_bytes() == kept


def changed(followed: Followed, **fields: Any) -> bytes:
    """A rightly signed bundle of serial 6 with other fields."""
    followed.world.bundle_serial = 6
    return followed.world.signer.sign(followed.world.bundle_payload() | fields, "bundle")


def test_an_unknown_format_is_refused(followed: Followed) -> None:
    refused(followed, changed(followed, format=2), "unknown_format")


def test_an_unknown_clause_is_refused(followed: Followed) -> None:
    refused(followed, changed(followed, requires=["guards.models", "when.moon_phase"]), "unknown_clause")


def test_an_unknown_part_of_a_policy_is_refused(followed: Followed) -> None:
    followed.world.workflows[0]["policy"]["quorum"] = 3
    refused(followed, changed(followed), "unknown_clause")


def test_a_snapshot_that_is_not_the_named_one_is_refused(followed: Followed) -> None:
    refused(followed, changed(followed, digest="0" * 64), "wrong_digest")


def test_a_state_in_place_of_a_bundle_is_refused(followed: Followed) -> None:
    followed.world.state_serial = 9
    refused(followed, followed.world.state(), "wrong_purpose")
    payload = followed.world.state_payload()
    refused(followed, followed.world.signer.sign(payload, "bundle"), "malformed")


def test_another_environment_is_refused(followed: Followed) -> None:
    environment = {"id": "00000000-0000-7000-8000-000000000000", "name": "production"}
    refused(followed, changed(followed, environment=environment), "other_environment")


def test_another_root_is_refused(followed: Followed, world: World) -> None:
    stranger = World(world.models_url)
    stranger.bundle_serial = 6
    refused(followed, stranger.bundle(), "untrusted_certificate")


def test_an_expired_certificate_is_refused(followed: Followed) -> None:
    signer, now = followed.world.signer, datetime.now(UTC)
    signer.certificate = seal.issue_certificate(
        signer.root,
        key_id="signing-0",
        public_key=seal.signing_public_key(signer.signing),
        not_before=now - timedelta(days=2),
        not_after=now - timedelta(seconds=1),
    )
    refused(followed, changed(followed), "certificate_expired")


def test_a_byte_changed_anywhere_changes_nothing(followed: Followed) -> None:
    """Serial 6 would be taken, were it not for one byte."""
    followed.world.bundle_serial = 6
    good = followed.world.bundle()
    draw = random.Random(7)
    places = {*range(200), *range(len(good) - 900, len(good)), *draw.sample(range(len(good)), 1500)}
    for place in sorted(places):
        tampered = bytearray(good)
        tampered[place] ^= 1 << draw.randrange(7)
        followed.offer.bundle = bytes(tampered)
        followed.poll()
        assert followed.serials() == (5, 5), place
    followed.offer.bundle = good
    followed.poll()
    assert followed.serials() == (6, 5)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b'{"payload":'])
def test_a_damaged_file_on_disk_is_not_used(followed: Followed, damage: bytes) -> None:
    (followed.directory / "bundle.json").write_bytes(damage)
    followed.feed = followed.fresh()
    assert followed.serials() == (None, 5)
    followed.poll()
    assert followed.serials() == (5, 5)


def test_ages(followed: Followed) -> None:
    held, now = followed.feed.state, datetime.now(UTC)
    assert held.age(now) == "fresh"
    assert held.age(now + timedelta(hours=2)) == "expired"
    assert held.confirmed is not None
    held.confirmed -= 60
    assert held.age(now) == "stale"
    held.value = None
    assert held.age(now) == "none"


def test_stops_of_what_the_bundle_does_not_hold_are_nobodys_business(followed: Followed) -> None:
    """They would stand in every decision."""
    small, workflow = followed.world.models["small"]["id"], followed.world.workflow("open")
    followed.world.stops = {"models": [new_id(), small], "endpoints": [new_id()], "workflows": [workflow]}
    followed.world.state_serial = 6
    followed.offer.state = followed.world.state()
    followed.poll()
    state = followed.feed.engine_state(workflow, datetime.now(UTC))
    assert (state.stopped_models, state.stopped_endpoints, state.stopped_workflow) == ((small,), (), True)
    assert not followed.feed.engine_state(followed.world.workflow("gated"), datetime.now(UTC)).stopped_workflow


def test_a_gateway_starts_and_serves_without_its_control_plane(
    gateway: Process, control: Control, world: World
) -> None:
    control.down = True
    assert gateway.stop() in (0, -15)
    gateway.start()
    health = gateway.health()
    assert (health["status"], health["bundle"]["age"], health["bundle"]["serial"]) == ("ok", "stale", 1)
    assert gateway.post(world.tokens["open"], ask({})).status_code == 200
    wait(lambda: gateway.health()["bundle"]["problem"] is not None)
    control.down = False
    wait(lambda: gateway.health()["bundle"]["age"] == "fresh", seconds=40)


def test_a_revoked_key_and_a_stopped_model_are_out_within_a_second(
    gateway: Process, control: Control, world: World
) -> None:
    token = world.tokens["open"]
    assert gateway.post(token, ask({})).json()["model"] == "small"
    world.stops["models"] = [world.models["small"]["id"]]
    world.state_serial = 2
    control.publish(world)
    wait(lambda: gateway.post(token, ask({})).json()["model"] == "mid", "the model was not stopped", seconds=3)
    world.stops["workflows"] = [world.workflow("open")]
    world.state_serial = 3
    control.publish(world)
    wait(lambda: gateway.post(token, ask({})).status_code == 503, "the workflow was not stopped", seconds=3)
    world.stops["workflows"] = []
    world.state_serial = 4
    control.publish(world)
    wait(lambda: gateway.post(token, ask({})).status_code == 200, "the stop was not lifted", seconds=3)
    world.stops["everything"] = True
    world.state_serial = 5
    control.publish(world)
    wait(lambda: gateway.post(token, ask({})).status_code == 503, "not everything was stopped", seconds=3)
    refused = gateway.post(token, ask({})).json()["error"]
    assert (refused["code"], refused["clause"]) == ("no_model_available", "stopped")
    world.keys = [key for key in world.keys if key["id"] != world.key("open")]
    world.state_serial = 6
    control.publish(world)
    wait(lambda: gateway.post(token, ask({})).status_code == 401, "the key was not revoked", seconds=3)


def test_a_new_policy_is_in_force_within_a_second(gateway: Process, control: Control, world: World) -> None:
    token = world.tokens["open"]
    row = next(row for row in world.workflows if row["slug"] == "open")
    row["policy_version"]["number"] = 8
    row["policy"]["steps"][0]["ladder"] = [{"model": "big"}]
    world.bundle_serial = 2
    control.publish(world)
    wait(lambda: gateway.post(token, ask({})).json()["model"] == "big", "the policy is not in force", seconds=3)
    assert gateway.post(token, ask({})).headers["x-smallfirst-policy"] == "8"


def test_a_refused_bundle_is_told_and_logged_once(gateway: Process, control: Control, world: World) -> None:
    world.bundle_serial, world.requires = 2, ["when.moon_phase"]
    control.publish(world)
    wait(lambda: gateway.health()["bundle"]["refused"] == "unknown_clause")
    polls = control.bundle_polls
    wait(lambda: control.bundle_polls > polls + 2)
    lines = [line for line in gateway.logs() if line["event"] == "feed.refused"]
    assert [(line["cause"], line["kept_serial"]) for line in lines] == [("unknown_clause", 1)]
    assert gateway.post(world.tokens["open"], ask({})).status_code == 200
    assert gateway.health()["bundle"]["serial"] == 1


@pytest.mark.parametrize(("when", "status"), [("serve", 200), ("refuse", 503)])
def test_what_happens_after_the_expiry_is_the_operators_choice(
    control: Control, world: World, tmp_path: Path, free_port: Callable[[], int], when: str, status: int
) -> None:
    world.expires_in = timedelta(seconds=-1)
    control.publish(world)
    process = Process(
        control=control.url,
        world=world,
        state=tmp_path / "gateway",
        port=free_port(),
        SMALLFIRST_GATEWAY_WHEN_EXPIRED=when,
    )
    with process as gateway:
        gateway.start()
        health = gateway.health()
        assert (health["status"], health["state"]["age"]) == ("expired", "expired")
        assert gateway.post(world.tokens["open"], ask({})).status_code == status


def test_before_anything_has_come_it_says_so(
    control: Control, world: World, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    process = Process(control=control.url, world=world, state=tmp_path / "gateway", port=free_port())
    with process as gateway:
        gateway.start(ready=False)
        assert gateway.health()["status"] == "starting"
        assert gateway.health()["reason"] == "no bundle and no state yet"
        answer = gateway.post(world.tokens["open"], ask({}))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_model_available")
        assert answer.headers["retry-after"]
        control.publish(world)
        wait(lambda: gateway.health()["status"] == "ok", seconds=30)
        assert json.loads((tmp_path / "gateway" / "bundle.json").read_bytes())["purpose"] == "bundle"


LOG_SECRET = bytes(range(32))
LOG_KEYS = read_keys(verification_key("smallfirst/test", LOG_SECRET))


def proved(world: World, *, secret: bytes = LOG_SECRET, serial: int | None = None) -> bytes:
    """The world's bundle with the proof of a log that holds nothing but its issue."""
    envelope = msgspec.json.decode(world.bundle(), type=seal.Envelope)
    payload = json.loads(envelope.payload)
    issue = {
        "serial": serial or payload["serial"],
        "environment": payload["environment"]["id"],
        "snapshot": payload["digest"],
    }
    entry = json.dumps({"action": "bundles.issue", "after": issue})
    root = merkle.leaf_of(sha256(entry.encode()).hexdigest(), 1)
    note = signed(origin="smallfirst/test", size=1, root=root, at=datetime.now(UTC), secret=secret)
    proof = seal.Proof(entry=entry, xid=1, leaf=0, path=(), checkpoint=note)
    return msgspec.json.encode(msgspec.structs.replace(envelope, proof=proof))


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[tuple[str, Any]]:
    """The level of each line about an event since the last look, with its cause or what the proof came to."""
    found = [record for record in caplog.records if record.getMessage() == event]
    caplog.clear()
    fields = [vars(record)["fields"] for record in found]
    return [(record.levelname, each.get("cause") or each["proof"]) for record, each in zip(found, fields, strict=True)]


def standing(followed: Followed, later: timedelta = timedelta()) -> str | None:
    """What the proof of the bundle in use comes to, now or later."""
    bundle = followed.feed.bundle.value
    return bundle.proved(datetime.now(UTC) + later) if bundle else None


def test_a_bundle_is_obeyed_before_its_proof_comes_and_then_taken_again(world: World, tmp_path: Path) -> None:
    followed = Followed(world, tmp_path, log_keys=LOG_KEYS)
    assert standing(followed) == "awaited"
    assert standing(followed, timedelta(minutes=2)) == "missing"
    followed.offer.bundle = proved(world)
    followed.poll()
    assert standing(followed) == "proved"
    followed.feed = followed.fresh()
    assert standing(followed) == "proved"


def test_a_bundle_that_the_log_does_not_show_is_obeyed_and_told_of_once(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    followed = Followed(world, tmp_path, log_keys=LOG_KEYS)
    followed.offer.bundle = proved(world, serial=99)
    for _ in range(3):
        followed.poll()
    assert standing(followed) == "other_bundle"
    assert lines(caplog, "bundle.unproved") == [("WARNING", "other_bundle")]


def test_without_a_key_of_the_log_nothing_is_checked(followed: Followed, caplog: pytest.LogCaptureFixture) -> None:
    followed.poll()
    assert standing(followed, timedelta(days=1)) == "unchecked"
    assert lines(caplog, "bundle.unproved") == []


def test_who_refuses_waits_for_the_proof_under_the_last_proved_bundle(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "smallfirst.gateway")
    followed = Followed(world, tmp_path, log_keys=LOG_KEYS, when_unproved="refuse")
    assert followed.serials() == (None, 1)
    followed.offer.bundle = proved(world)
    followed.poll()
    assert followed.serials() == (1, 1)
    assert lines(caplog, "feed.refused") == [("INFO", "awaited")]

    world.bundle_serial = 2
    for offered in (world.bundle(), proved(world, serial=1), proved(world, secret=bytes(32))):
        followed.offer.bundle = offered
        followed.poll()
        followed.poll()
        assert followed.serials() == (1, 1)
    told = [("INFO", "awaited"), ("ERROR", "unproved"), ("ERROR", "unproved")]
    assert lines(caplog, "feed.refused") == told
    assert followed.fresh().bundle.value is not None

    followed.offer.bundle = proved(world)
    followed.poll()
    assert followed.serials() == (2, 1)


def test_a_bundle_on_disk_that_was_never_proved_is_not_started_with(world: World, tmp_path: Path) -> None:
    followed = Followed(world, tmp_path)
    assert followed.serials() == (1, 1)
    followed.options = {"log_keys": LOG_KEYS, "when_unproved": "refuse"}
    followed.feed = followed.fresh()
    assert followed.serials() == (None, 1)


def test_a_poll_says_what_is_in_use_also_while_a_newer_one_is_refused(followed: Followed) -> None:
    followed.poll()
    assert followed.offer.seen == {"Smallfirst-Bundle": "5", "Smallfirst-Proof": "unchecked"}
    good = followed.offer.bundle
    followed.world.bundle_serial = 6
    followed.offer.bundle = followed.world.bundle().replace(b"production", b"Production")
    followed.poll()
    followed.poll()
    assert followed.offer.seen["Smallfirst-Bundle"] == "5"
    assert followed.offer.seen["Smallfirst-Refused"] == "bad_signature"
    # What is held is the newest again: nothing is refused any more.
    followed.offer.bundle = good
    followed.poll()
    followed.poll()
    assert "Smallfirst-Refused" not in followed.offer.seen
    assert followed.feed.bundle.refusal is None
