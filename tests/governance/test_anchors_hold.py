"""Anchors: each gets every checkpoint, what it holds verifies the log, and one that is away keeps none waiting."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse
from django.utils import timezone

from config import settings as product_settings
from config.celery import app
from governance import anchors, audit_verifier, seals, tasks
from governance.models import Anchor, AuditCheckpoint
from tests.cast import make_cast, make_team
from tests.pages import signed_in, text

NOW = timezone.now()
pytestmark = pytest.mark.django_db


def checkpoint(number: int) -> None:
    """One more entry, and one more checkpoint."""
    make_team(f"Team {number}")
    seals.seal(keys=Path(product_settings.KEYS), now=NOW + number * timedelta(minutes=1))
    assert AuditCheckpoint.objects.count() == number


@pytest.fixture(autouse=True)
def keys(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own keys; entries of the test's own transaction count as committed."""
    monkeypatch.setattr(product_settings, "KEYS", settings.KEYS)
    monkeypatch.setattr(seals, "_NEXT", seals._NEXT.replace("e.xid < pg_snapshot_xmin(pg_current_snapshot())", "true"))


def hold(**places: object) -> dict[str, Anchor]:
    """Give them what they have not yet."""
    anchors.hold(places={kind: str(place) for kind, place in places.items()}, clock=lambda: NOW)
    return Anchor.objects.in_bulk()


def sizes(file: Path) -> list[int]:
    """What the checkpoints in a file count."""
    return [note.size for note in audit_verifier.notes_in(file.read_text())]


def counted() -> list[int]:
    """What the log's own checkpoints count."""
    return list(AuditCheckpoint.objects.order_by("number").values_list("size", flat=True))


@pytest.fixture
def witness() -> Iterator[tuple[str, list[str], list[int]]]:
    """A server that takes checkpoints: its address, what it took, and the answers that it gives first."""
    took: list[str] = []
    answers: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            status = answers.pop(0) if answers else 204
            if status == 204:
                took.append(body)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name of the base)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/take", took, answers
    server.shutdown()
    server.server_close()


def test_a_file_holds_each_once(tmp_path: Path) -> None:
    file = tmp_path / "held.txt"
    checkpoint(1)
    hold(file=file)
    checkpoint(2)
    hold(file=file)
    assert hold(file=file)["file"].held == 2
    assert sizes(file) == counted()
    # The receipt was lost: it is not written a second time.
    Anchor.objects.update(held=0)
    hold(file=file)
    assert sizes(file) == counted()


def test_a_repository_takes_commits_and_hands_them_on(tmp_path: Path) -> None:
    elsewhere, clone = tmp_path / "elsewhere.git", tmp_path / "clone"
    for words in (["init", "--quiet", "--bare", elsewhere], ["clone", "--quiet", elsewhere, clone]):
        subprocess.run(["git", *map(str, words)], check=True, capture_output=True)
    checkpoint(1)
    checkpoint(2)
    assert hold(git=clone)["git"].held == 2
    told = subprocess.run(
        ["git", "-C", str(elsewhere), "log", "--all", "--format=%an: %s"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert f"Smallfirst: Checkpoint 2 over {counted()[1]}" in told
    assert sizes(clone / "checkpoints.txt") == counted()

    # Where it cannot be pushed it is not held, and is once it can.
    elsewhere.rename(tmp_path / "away.git")
    checkpoint(3)
    failed = hold(git=clone)["git"]
    assert (failed.held, failed.failed_at) == (2, NOW)
    assert failed.failure.startswith("git refused: ")
    (tmp_path / "away.git").rename(elsewhere)
    mended = hold(git=clone)["git"]
    assert (mended.held, mended.failure) == (3, "")
    assert sizes(clone / "checkpoints.txt") == counted()


def test_an_address_gets_what_it_missed_and_keeps_none_waiting(
    witness: tuple[str, list[str], list[int]], tmp_path: Path
) -> None:
    url, took, answers = witness
    answers.append(503)
    checkpoint(1)
    held = hold(webhook=url, file=tmp_path / "held.txt", git=tmp_path / "nowhere")
    assert (held["webhook"].held, held["webhook"].failure, held["file"].held) == (0, "It answered 503.", 1)
    assert held["git"].failure == "There is no git repository at this place."
    checkpoint(2)
    assert hold(webhook=url)["webhook"].held == 2
    assert took == list(AuditCheckpoint.objects.order_by("number").values_list("note", flat=True))
    # Only what is set is an anchor, and another place begins with nothing.
    assert list(hold(webhook="http://127.0.0.1:1/")) == ["webhook"]
    assert (Anchor.objects.get().held, Anchor.objects.get().failure) == (0, "It did not answer: ConnectError")


def test_the_page_says_what_is_held_apart(witness: tuple[str, list[str], list[int]], tmp_path: Path) -> None:
    auditor = signed_in(make_cast().auditor)
    checkpoint(1)
    hold(file=tmp_path / "held.txt")
    assert "No checkpoint is held apart from this machine" in text(auditor.get(reverse("audit")))
    hold(webhook=witness[0])
    assert "A webhook apart from this machine holds checkpoint 1" in text(auditor.get(reverse("audit")))
    hold(webhook="http://127.0.0.1:1/", file=tmp_path / "no" / "held.txt")
    page = text(auditor.get(reverse("audit")))
    assert "It did not answer: ConnectError" in page
    assert "The file cannot be written: No such file or directory" in page


def test_it_happens_by_itself(settings: Any, tmp_path: Path) -> None:
    assert app.conf.beat_schedule[tasks.anchor_audit.name]["schedule"] == 10
    settings.AUDIT_ANCHORS = {"file": str(tmp_path / "held.txt"), "git": "", "webhook": ""}
    checkpoint(1)
    tasks.anchor_audit()
    assert Anchor.objects.get().held == 1


@pytest.mark.parametrize("url", ["http://witness.example.com/take", "ftp://witness.example.com", "witness"])
def test_no_checkpoint_goes_in_the_open(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("SMALLFIRST_AUDIT_ANCHOR_WEBHOOK", url)
    with pytest.raises(ImproperlyConfigured):
        product_settings.env_url("SMALLFIRST_AUDIT_ANCHOR_WEBHOOK")
