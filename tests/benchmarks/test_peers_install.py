"""The peers: what their locks may hold, and when an environment is made again."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gateway import PEERS
from benchmarks.peers import environments
from config.up import install


@pytest.mark.parametrize("peer", PEERS)
def test_lock_holds_hashes_and_no_address(peer: str) -> None:
    """Where a package comes from is the installing machine's business."""
    text = (environments.LOCKS / f"{peer}.lock").read_text()

    assert "://" not in text
    entries = [entry for entry in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE) if "==" in entry]
    assert entries
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.fullmatch(rf"{peer} \d[\w.]*", environments.version_of(peer))


def test_two_releases_are_never_installed() -> None:
    assert environments.version_of("litellm") not in ("litellm 1.82.7", "litellm 1.82.8")
    assert "!=1.82.7,!=1.82.8" in (environments.LOCKS / "litellm.in").read_text()


def test_an_environment_is_made_once_for_each_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[str] = []

    def make(environment: Path, uv: str | None, held: int) -> None:
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)

    monkeypatch.setenv("SMALLFIRST_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(environments, "LOCKS", tmp_path)
    monkeypatch.setattr(install, "make", make)
    monkeypatch.setattr(install, "fill", lambda python, lock, uv, held: filled.append(lock.read_text()))
    (tmp_path / "other.lock").write_text("other==1")

    first = environments.python_of("other")
    assert subprocess.run([first, "-c", ""], check=False).returncode == 0
    assert environments.python_of("other") == first
    assert filled == ["other==1"]

    (tmp_path / "other.lock").write_text("other==2")
    environments.python_of("other")
    assert filled == ["other==1", "other==2"]

    first.unlink()
    environments.python_of("other")
    assert filled == ["other==1", "other==2", "other==2"]


def test_what_was_interrupted_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stamp comes last."""
    monkeypatch.setenv("SMALLFIRST_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(environments, "LOCKS", tmp_path)
    monkeypatch.setattr(install, "make", lambda environment, uv, held: environment.mkdir(parents=True))

    def fail(python: Path, lock: Path, uv: str | None, held: int) -> None:
        raise install.InstallError("no index")

    monkeypatch.setattr(install, "fill", fail)
    (tmp_path / "other.lock").write_text("other==1")
    with pytest.raises(install.InstallError, match="no index"):
        environments.python_of("other")
    assert not list((tmp_path / "state").rglob("installed"))
