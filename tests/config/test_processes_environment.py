"""What each process is told: of the environment's keys only those of providers go to an endpoint that is tried."""

import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from config import state as places
from config.up.processes import CONTROL_ONLY, Installation, Ports, answers, web
from routing import keys as key_files
from smallfirst.origins import ProviderSecrets

NAMED = "SMALLFIRST_PROVIDER_SECRETS"


def installation(state: Path, *, demo: bool) -> Installation:
    """One whose keys are there."""
    (state / "keys").mkdir()
    places.write_secret(state / "keys" / "demo-models.key", "models-key")
    return Installation(state, Ports(1, 2, 3, 4, 5), demo)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (NAMED, "SMALLFIRST_KEYS", "SMALLFIRST_PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOMEONE_API_KEY", "secret")
    monkeypatch.setenv("UNRELATED_TOKEN", "secret")


def test_without_a_list_each_suppliers_key_goes_to_its_supplier_alone(tmp_path: Path) -> None:
    installed = installation(tmp_path, demo=False)
    key_files.ensure(tmp_path / "keys", now=datetime.now(UTC))
    for given in (installed.control(), installed.data_plane()):
        bound = ProviderSecrets.read(given.get(NAMED))
        assert bound.origins("OPENAI_API_KEY") == {"https://api.openai.com"}
        assert bound.origins("SOMEONE_API_KEY") == bound.origins("UNRELATED_TOKEN") == frozenset()
        assert "SMALLFIRST_DEMO_MODELS_KEY" not in given


def test_a_list_of_ones_own_is_the_whole_list_of_both_planes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAMED, "UNRELATED_TOKEN@https://models.example")
    installed = installation(tmp_path, demo=False)
    key_files.ensure(tmp_path / "keys", now=datetime.now(UTC))
    assert {installed.control()[NAMED], installed.data_plane()[NAMED]} == {"UNRELATED_TOKEN@https://models.example"}


def test_what_only_the_control_plane_may_know_reaches_no_model_and_no_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CONTROL_ONLY:
        monkeypatch.setenv(name, str(tmp_path / "keys"))
    installed = installation(tmp_path, demo=True)
    key_files.ensure(tmp_path / "keys", now=datetime.now(UTC))

    assert installed.control().keys() >= set(CONTROL_ONLY)
    for given in (installed.data_plane(), installed.models()):
        assert not given.keys() & set(CONTROL_ONLY)


def test_under_a_public_name_the_web_server_is_asked_by_it_and_gateways_go_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Named(BaseHTTPRequestHandler):
        """Answers to its own name alone, as ALLOWED_HOSTS does."""

        def do_GET(self) -> None:
            self.send_response(200 if self.headers["Host"] == "smallfirst.example" else 400)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
            """Say nothing."""

    monkeypatch.setenv("SMALLFIRST_PUBLIC_URL", "https://smallfirst.example")
    installed = installation(tmp_path, demo=False)
    key_files.ensure(tmp_path / "keys", now=datetime.now(UTC))
    assert installed.data_plane()["SMALLFIRST_CONTROL_URL"] == "https://smallfirst.example"
    with HTTPServer(("127.0.0.1", 0), Named) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        ready = web(installed.control(), port).ready
        assert ready is not None
        assert ready(0)
        assert not answers(port, "/readyz")
        server.shutdown()

    monkeypatch.delenv("SMALLFIRST_PUBLIC_URL")
    assert installed.data_plane()["SMALLFIRST_CONTROL_URL"] == "http://127.0.0.1:1"


@pytest.mark.parametrize("own", ["", "UNRELATED_TOKEN@https://models.example"])
def test_the_demo_binds_the_key_of_its_models_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    monkeypatch.setenv(NAMED, own)
    installed = installation(tmp_path, demo=True)
    key_files.ensure(tmp_path / "keys", now=datetime.now(UTC))
    for given in (installed.control(), installed.data_plane()):
        bound = ProviderSecrets.read(given[NAMED])
        assert bound.origins("SMALLFIRST_DEMO_MODELS_KEY") == {"http://127.0.0.1:3", "http://127.0.0.1:4"}
        assert bound.origins("UNRELATED_TOKEN") == ({"https://models.example"} if own else frozenset())
        assert bool(bound.origins("OPENAI_API_KEY")) is not bool(own)
        assert given["SMALLFIRST_DEMO_MODELS_KEY"] == "models-key"
