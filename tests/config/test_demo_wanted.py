"""When `up` brings the demo along: never beside an installation of one's own, nor where it was removed."""

import argparse
from pathlib import Path

import pytest

from config.state import make_secrets
from config.up.__main__ import UnusableError, beside, block, prepare, wants_demo
from demo import removal


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that says nothing of a database or of the demo."""
    for name in ("DATABASE_URL", "SMALLFIRST_DEMO", "SMALLFIRST_DEMO_TRAFFIC"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("there", "empty", "wanted"),
    [
        ([], False, True),
        (["demo-password"], False, True),
        (["first-person"], False, False),
        ([removal.MARK], False, False),
        ([], True, False),
        ([removal.MARK], True, False),
    ],
)
def test_what_stands_in_the_state_directory_decides(
    tmp_path: Path, there: list[str], empty: bool, wanted: bool
) -> None:
    for name in there:
        (tmp_path / name).touch()
    assert wants_demo(tmp_path, empty) is wanted


def test_a_database_of_ones_own_gets_no_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://smallfirst_app@database.example/smallfirst")
    assert wants_demo(tmp_path, empty=False) is False


def test_both_in_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo-password").touch()
    with pytest.raises(UnusableError, match="holds the demo"):
        wants_demo(tmp_path, empty=True)


@pytest.mark.parametrize(
    ("said", "empty", "goes_on"), [(None, False, True), ("1", False, True), ("0", False, False), ("1", True, False)]
)
def test_traffic_is_the_demos_and_can_be_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, empty: bool, goes_on: bool
) -> None:
    if said is not None:
        monkeypatch.setenv("SMALLFIRST_DEMO_TRAFFIC", said)
    monkeypatch.setenv("SMALLFIRST_STATE", str(tmp_path))
    options = argparse.Namespace(port=8000, gateway_port=8001, empty=empty, state=tmp_path)
    assert prepare(options).traffic is goes_on


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("name", ["SMALLFIRST_DEMO", "SMALLFIRST_DEMO_TRAFFIC"])
@pytest.mark.parametrize("said", ["yes", "true", "no"])
def test_a_switch_that_says_neither_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, name: str, empty: bool
) -> None:
    monkeypatch.setenv(name, said)
    monkeypatch.setenv("SMALLFIRST_STATE", str(tmp_path))
    with pytest.raises(UnusableError, match=f'{name} is "{said}"; write 1 for yes or 0 for no'):
        prepare(argparse.Namespace(port=8000, gateway_port=8001, empty=empty, state=tmp_path))


@pytest.mark.parametrize(
    ("kept", "told", "hidden"),
    [
        ("first@shop.example\ns3cret", "Sign in as first@shop.example with the password s3cret", "chosen since"),
        ("first@shop.example", "first@shop.example signs in with the password that was chosen since", "Sign in as"),
    ],
)
def test_the_block_tells_the_first_password_only_while_it_opens_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str, told: str, hidden: str
) -> None:
    monkeypatch.setenv("SMALLFIRST_STATE", str(tmp_path))
    (tmp_path / "first-person").write_text(kept)
    (tmp_path / "first-person").chmod(0o600)
    said = block(prepare(argparse.Namespace(port=8000, gateway_port=8001, empty=True, state=tmp_path)))
    assert told in said
    assert hidden not in said
    # Commands find an installation elsewhere by this alone.
    assert f"SMALLFIRST_STATE={tmp_path} ./run manage" in said


def test_what_fills_the_demo_takes_nothing_down_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALLFIRST_STATE", str(tmp_path))
    installation = prepare(argparse.Namespace(port=8000, gateway_port=8001, empty=False, state=tmp_path))
    make_secrets(installation.keys)
    assert {each.name: (each.once, each.vital) for each in beside(installation)} == {
        "demo_traffic": (True, False),
        "demo_fill": (True, False),
    }
