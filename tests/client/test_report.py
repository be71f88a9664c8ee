"""No report is lost or counted twice: by threads, forks, a dead process, a dead control plane."""

import os
import threading
from typing import Any

import pytest

from smallfirst.client import InvalidKey, NotReady, NotRecorded, Smallfirst
from smallfirst.instances import VERSION
from tests.client.shop import TEXT, Shop
from tests.gateway.world import wait


def once(client: Smallfirst, **said: Any) -> str:
    """Decide and report; the decision's id."""
    d = client.decide(messages=TEXT, **said)
    client.report(d, {"input_tokens": 3, "output_tokens": 1}, "ok")
    return d.id


def ids(shop: Shop, kind: str = "decisions") -> list[str]:
    """What has come, by id; an event by its decision."""
    return [row["id" if kind == "decisions" else "decision"] for row in shop.stored(kind)]


def complete(shop: Shop, told: set[str]) -> bool:
    """Whether exactly these have come, each with its one attempt."""
    return sorted(ids(shop)) == sorted(told) == sorted(ids(shop, "events"))


def test_kill_9_loses_no_report_that_returned(shop: Shop) -> None:
    """The control plane is away; the process dies while it reports; another one of the same directory delivers."""
    shop.run("sf.close()")  # the documents are on disk
    shop.control.down = True
    program = shop.program(
        """
while True:
    print(ask_once(sf), flush=True)
"""
    )
    assert program.stdout is not None
    told = [program.stdout.readline().strip() for _ in range(300)]
    program.kill()
    told += [line.strip() for line in program.stdout if len(line) == 37]
    program.wait(10)
    assert not ids(shop)

    shop.control.down = False
    client = shop.client()
    wait(lambda: set(told) <= set(ids(shop)))
    wait(lambda: not client.status()["spool"]["waiting_bytes"])
    # The one whose report had not returned yet may have been written as well.
    assert len(ids(shop)) == len(set(ids(shop))) <= len(told) + 1
    assert sorted(ids(shop)) == sorted(ids(shop, "events"))


def test_a_program_that_just_ends_delivers_first(shop: Shop) -> None:
    told = shop.run("for _ in range(50): print(ask_once(sf))")
    assert complete(shop, set(told))


def test_many_threads_share_one(shop: Shop) -> None:
    client = shop.client()
    told: list[str] = []

    def work() -> None:
        told.extend([once(client) for _ in range(100)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.flush(30)
    assert len(told) == 800
    assert complete(shop, set(told))


def test_a_fork_goes_on_on_both_sides(shop: Shop) -> None:
    """While other threads report: no lock, no spool and no thread of the parent's is the child's."""
    told = shop.run(
        """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
going = True
def say(told):
    os.write(1, (told + "\\n").encode())  # print has a lock of its own, which a fork would copy
def busy():
    while going:
        say(ask_once(sf))
        time.sleep(0.001)
threads = [threading.Thread(target=busy) for _ in range(3)]
for thread in threads: thread.start()
children = []
for _ in range(6):
    time.sleep(0.05)
    child = os.fork()
    if not child:
        for _ in range(20):
            say(ask_once(sf))
        sf.close(30)
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
going = False
for thread in threads: thread.join()
say(ask_once(sf))
assert sf.flush(30)
"""
    )
    assert len(set(told)) == len(told) > 120
    assert complete(shop, set(told))
    assert shop.control.repeated == 0
    # Each of the seven processes goes by a name of its own.
    assert len({name for name, program, _ in shop.control.polled_by if program == f"smallfirst-sdk/{VERSION}"}) == 7


def test_the_control_plane_may_be_away_after_the_first_answer(shop: Shop) -> None:
    client = shop.client()
    shop.control.down = True
    wait(lambda: client.status()["state"]["problem"] is not None)
    told = {once(client) for _ in range(10)}
    client.close(0)

    restarted = shop.client()
    told |= {once(restarted) for _ in range(10)}
    assert not restarted.flush(0.2)
    assert restarted.status()["spool"]["waiting_bytes"] > 0
    shop.control.down = False
    assert restarted.flush(30)
    assert complete(shop, told)


def test_a_lost_receipt_repeats_and_nothing_counts_twice(shop: Shop) -> None:
    client = shop.client()
    shop.control.lose_receipts = 2
    told = once(client)
    wait(lambda: shop.control.repeated > 0 and client.flush(0.1))
    assert complete(shop, {told})


def test_one_record_that_is_refused_holds_nobody_up(shop: Shop) -> None:
    client = shop.client()
    shop.control.refuse.add("odd")
    odd, even = once(client, step="odd"), once(client, step="even")
    assert client.flush()
    assert ids(shop) == [even] != [odd]
    assert client.status()["spool"]["refused_records"] == 2


def test_older_and_unsigned_documents_change_nothing(shop: Shop) -> None:
    shop.world.bundle_serial = 5
    shop.control.publish(shop.world)
    client = shop.client()
    older, forged = 3, shop.world.bundle().replace(b'"signature":"', b'"signature":"AAAA', 1)
    shop.world.bundle_serial = older
    shop.control.bundle = shop.world.bundle()
    wait(lambda: client.status()["bundle"]["refused"] == "older_serial")
    assert client.status()["bundle"]["serial"] == 5
    shop.control.bundle = forged
    wait(lambda: client.status()["bundle"]["refused"] in ("bad_signature", "malformed"))
    assert client.status()["bundle"]["serial"] == 5
    assert client.decide(messages=TEXT).action == "ask"


def test_a_new_policy_is_followed(shop: Shop) -> None:
    client = shop.client("open")
    d = client.decide(messages=TEXT)
    shop.world.workflows[0]["policy"]["steps"][0]["ladder"] = [{"model": "big"}]
    shop.world.bundle_serial = 2
    shop.control.publish(shop.world)
    wait(lambda: client.status()["bundle"]["serial"] == 2)
    assert client.decide(messages=TEXT).ask.model == "big"
    # What began under the old one ends under it.
    assert d.ask.model == "small"
    client.report(d, {}, "ok")
    assert client.flush()


def test_a_revoked_key_decides_nothing_more(shop: Shop) -> None:
    client = shop.client()
    told = once(client)
    assert client.flush()
    shop.control.credential = "sf_another"
    wait(lambda: client.status()["key"] == "turned away")
    with pytest.raises(InvalidKey):
        client.decide(messages=TEXT)
    client.close(0)

    # Nor after a restart while nobody can be asked.
    shop.control.down = True
    again = shop.client(wait_seconds=1)
    shop.control.credential = "sf_another"
    with pytest.raises(NotReady):
        again.decide(messages=TEXT)
    assert ids(shop) == [told]


def test_a_key_that_left_the_state_decides_nothing_more(shop: Shop) -> None:
    client = shop.client()
    shop.world.keys.clear()
    shop.world.state_serial = 2
    shop.control.publish(shop.world)
    wait(lambda: client.status()["key"] == "unknown")
    with pytest.raises(InvalidKey):
        client.decide(messages=TEXT)


def test_nothing_is_decided_before_the_first_policies(shop: Shop) -> None:
    shop.control.down = True
    client = shop.client(wait_seconds=0.2)
    with pytest.raises(NotReady, match="No policies have come yet"):
        client.decide(messages=TEXT)
    shop.control.down = False
    wait(lambda: client.status()["key"] == "known" and client.status()["bundle"]["serial"] is not None)
    assert client.decide(messages=TEXT).action == "ask"


def test_past_its_expiry_it_serves_or_refuses_as_told(shop: Shop) -> None:
    shop.world.expires_in *= 0
    shop.control.publish(shop.world)
    assert shop.client().decide(messages=TEXT).action == "ask"
    with pytest.raises(NotReady, match="expired"):
        shop.client(when_expired="refuse").decide(messages=TEXT)


def test_a_full_disk_is_said_and_the_report_can_be_repeated(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    client = shop.client()
    d = client.decide(messages=TEXT)
    d.next()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(NotRecorded):
            client.report(d)
    client.report(d)
    assert client.flush()
    assert ids(shop) == [d.id]


def test_closed_is_closed(shop: Shop) -> None:
    with shop.client() as client:
        d = client.decide(messages=TEXT)
        told = once(client)
    assert ids(shop) == [told]
    client.close()
    with pytest.raises(NotReady):
        client.decide(messages=TEXT)
    with pytest.raises(NotReady):
        client.report(d, {}, "ok")


def test_another_keys_documents_and_reports_are_its_own(shop: Shop) -> None:
    """Exchanged in the same directory, a new key neither obeys nor delivers what is the old one's."""
    old = shop.client("open")
    shop.control.down = True
    told = once(old)
    old.close(0)
    shop.control.down = False
    new = shop.client("gated")
    assert new.decide(messages=TEXT).ask.confidence
    assert new.flush()
    assert ids(shop) == []
    assert shop.client("open").flush(30)
    wait(lambda: ids(shop) == [told])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"url": "smallfirst.example"}, "url"),
        ({"url": "ftp://smallfirst.example"}, "url"),
        ({"key": "sk-123"}, "key"),
        ({"key": "sf_a\r\nX: y"}, "key"),
        ({"root_key": ""}, "root_key"),
        ({"root_key": "AAAA"}, "root_key"),
        ({"state_seconds": 0}, "state_seconds"),
        ({"when_expired": "never"}, "when_expired"),
    ],
)
def test_what_it_is_made_with_is_checked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], named: str
) -> None:
    monkeypatch.delenv("SMALLFIRST_ROOT_KEY", raising=False)
    options = {"root_key": shop.world.signer.root_key, "state_dir": shop.state, **given}
    url, key = options.pop("url", "http://127.0.0.1:9"), options.pop("key", "sf_key")
    with pytest.raises(ValueError, match=rf"^{named}: "):
        Smallfirst(url, key, **options)
    assert not shop.state.exists()
