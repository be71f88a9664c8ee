"""What an installation starts with, made once and completed when something is missing."""

import json
import stat
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from governance import accounts, checkpoints, gateways
from governance.models import AuditEvent, Environment, Gateway, User
from routing import bootstrap, keys
from smallfirst.seal import open_envelope, read_key_file, sign_envelope, signing_public_key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
YEARS_LATER = NOW + timedelta(days=3 * 365)


@pytest.fixture
def state(tmp_path: Path, settings: Settings) -> Path:
    """An installation's empty state directory."""
    settings.STATE, settings.KEYS = tmp_path, tmp_path / "keys"
    return tmp_path


def said(*command: str) -> str:
    """What a command prints."""
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def believed(directory: Path, now: datetime) -> bytes:
    """What a gateway that pinned root.pub reads from something signed with these keys."""
    loaded = keys.load(directory)
    envelope = sign_envelope(
        "{}", purpose="state", certificate=loaded.certificate, signing_secret=loaded.signing_secret
    )
    return open_envelope(envelope, root_public_key=keys.root_public_key(directory), purpose="state", now=now)


def test_keys_are_made_for_their_owner_alone_and_certified(tmp_path: Path) -> None:
    directory = tmp_path / "keys"

    keys.ensure(directory, now=NOW)

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for name in (keys.ROOT, keys.SIGNING, keys.REVIEW, checkpoints.KEY_FILE):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    assert believed(directory, NOW) == b"{}"
    assert keys.root_public_key(directory) == signing_public_key(read_key_file(directory / keys.ROOT))


def test_keys_that_exist_stay(tmp_path: Path) -> None:
    keys.ensure(tmp_path, now=NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert keys.ensure(tmp_path, now=NOW + timedelta(days=30)) == []

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_certificate_is_renewed_before_it_ends(tmp_path: Path) -> None:
    keys.ensure(tmp_path, now=NOW)
    root = keys.root_public_key(tmp_path)

    assert keys.CERTIFICATE in keys.ensure(tmp_path, now=YEARS_LATER)

    assert keys.root_public_key(tmp_path) == root
    assert believed(tmp_path, YEARS_LATER) == b"{}"


def test_a_new_signing_key_gets_a_certificate(tmp_path: Path) -> None:
    keys.ensure(tmp_path, now=NOW)
    (tmp_path / keys.SIGNING).unlink()

    keys.ensure(tmp_path, now=NOW)

    assert believed(tmp_path, NOW) == b"{}"


def test_a_root_key_kept_elsewhere_is_not_needed_until_it_is(tmp_path: Path) -> None:
    keys.ensure(tmp_path, now=NOW)
    (tmp_path / keys.ROOT).unlink()

    assert keys.ensure(tmp_path, now=NOW) == []
    with pytest.raises(keys.KeysMissingError, match=r"root\.key"):
        keys.ensure(tmp_path, now=YEARS_LATER)

    # Gateways pinned the first one: a second must never appear.
    assert not (tmp_path / keys.ROOT).exists()


@pytest.mark.django_db
def test_bootstrap_makes_keys_and_environments_once(state: Path) -> None:
    first = said("bootstrap")
    events = AuditEvent.objects.count()

    second = said("bootstrap")

    needed = dict(Environment.objects.values_list("name", "votes_needed"))
    assert needed == {"development": 0, "production": 1}
    assert "added the environment production" in first
    assert "nothing was missing" in second
    assert "register_gateway" in second
    assert AuditEvent.objects.count() == events
    assert not Gateway.objects.exists()
    assert believed(state / "keys", timezone.now()) == b"{}"


@pytest.mark.django_db
def test_beside_up_a_gateway_gets_its_credential(state: Path) -> None:
    (state / "up.lock").touch()

    output = said("bootstrap")

    path = state / "gateway.credential"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    credential = path.read_text().strip()
    gateway = gateways.authenticate(credential)
    assert gateway is not None
    assert (gateway.name, gateway.environment.name) == ("embedded", "production")
    assert credential not in output

    said("bootstrap")

    assert path.read_text().strip() == credential
    assert Gateway.objects.count() == 1


@pytest.mark.django_db
def test_a_lost_credential_is_replaced_and_accepted_no_more(state: Path) -> None:
    (state / "up.lock").touch()
    said("bootstrap")
    lost = (state / "gateway.credential").read_text().strip()
    (state / "gateway.credential").unlink()

    said("bootstrap")

    assert gateways.authenticate(lost) is None
    found = gateways.authenticate((state / "gateway.credential").read_text().strip())
    assert found is not None
    assert found.name == "embedded 2"


@pytest.mark.django_db
def test_a_credential_that_cannot_be_written_registers_nothing(state: Path) -> None:
    bootstrap.run(directory=state / "keys", now=NOW)
    with pytest.raises(FileNotFoundError):
        bootstrap.ensure_embedded_gateway(state / "missing" / "gateway.credential", "http://127.0.0.1:8001")
    assert not Gateway.objects.exists()


@pytest.mark.django_db
def test_register_gateway_prints_the_credential_alone(state: Path) -> None:
    said("bootstrap")

    credential = said("register_gateway", "Near the shop", "--environment", "development").strip()

    gateway = gateways.authenticate(credential)
    assert gateway is not None
    assert (gateway.name, gateway.environment.name) == ("Near the shop", "development")


@pytest.mark.django_db
def test_register_gateway_names_what_is_wrong(state: Path) -> None:
    said("bootstrap")
    with pytest.raises(CommandError, match="there is development, production"):
        said("register_gateway", "Near the shop", "--environment", "staging")
    said("register_gateway", "Near the shop")
    with pytest.raises(CommandError, match="name"):
        said("register_gateway", "Near the shop")
    assert Gateway.objects.count() == 1


@pytest.mark.django_db
def test_register_gateway_says_where_it_is_reached(state: Path) -> None:
    said("bootstrap")
    said("register_gateway", "Near the shop", "--url", "https://gateway.example/")
    assert Environment.objects.get(name="production").gateway_url == "https://gateway.example"
    # What is no address registers nothing.
    with pytest.raises(CommandError, match="Write the address without a path"):
        said("register_gateway", "Far away", "--url", "nowhere")
    assert Environment.objects.get(name="production").gateway_url == "https://gateway.example"
    assert [gateway.name for gateway in Gateway.objects.all()] == ["Near the shop"]


@pytest.mark.django_db
def test_revoke_gateway_shuts_it_out_once(state: Path) -> None:
    said("bootstrap")
    credential = said("register_gateway", "Near the shop").strip()
    assert said("revoke_gateway", "Near the shop", "--reason", "stolen") == "revoked the gateway Near the shop\n"
    assert gateways.authenticate(credential) is None
    with pytest.raises(CommandError, match="revoked already"):
        said("revoke_gateway", "Near the shop")
    with pytest.raises(CommandError, match="there is no gateway Nobody"):
        said("revoke_gateway", "Nobody")
    entry = AuditEvent.objects.get(action="gateways.revoke")
    assert (entry.reason, entry.auth_method) == ("stolen", "command")


def test_root_key_prints_the_public_half_alone(state: Path) -> None:
    with pytest.raises(CommandError, match="bootstrap"):
        said("root_key")
    keys.ensure(state / "keys", now=NOW)
    assert said("root_key") == signing_public_key(read_key_file(state / "keys" / keys.ROOT)) + "\n"


def test_the_certificate_file_holds_no_secret(tmp_path: Path) -> None:
    keys.ensure(tmp_path, now=NOW)
    text = (tmp_path / keys.CERTIFICATE).read_text()
    assert json.loads(json.loads(text)["text"])["public_key"]
    for name in (keys.ROOT, keys.SIGNING, keys.REVIEW):
        assert (tmp_path / name).read_text().strip() not in text


@pytest.mark.django_db
def test_the_first_person_can_set_up_and_grants_himself_nothing(state: Path) -> None:
    said("bootstrap", "--first-person")
    email, password = (state / "first-person").read_text().split()
    first = User.objects.get()
    assert (first.email, first.check_password(password)) == (email, True)
    assert (state / "first-person").stat().st_mode & 0o777 == 0o600
    for act in ("accounts.edit", "registry.edit", "workflows.create", "changes.propose", "reviews.take", "prices.edit"):
        assert accounts.can(first, act, accounts.ORGANISATION), act
    with pytest.raises(accounts.NotPermitted):
        accounts.grant(user=first, role="owner", by=first)

    assert "nothing was missing" in said("bootstrap", "--first-person")
    assert User.objects.count() == 1
    assert (state / "first-person").read_text().split() == [email, password]


@pytest.mark.django_db
def test_the_first_password_is_told_no_longer_once_it_opens_nothing(state: Path) -> None:
    said("bootstrap", "--first-person")
    email, _ = (state / "first-person").read_text().split()
    first = User.objects.get()
    accounts.set_password(person=first, password="a longer one of my own", by=first)

    said("bootstrap", "--first-person")

    assert (state / "first-person").read_text() == f"{email}\n"
    assert (state / "first-person").stat().st_mode & 0o777 == 0o600
    said("bootstrap", "--first-person")
    assert (state / "first-person").read_text() == f"{email}\n"


@pytest.mark.django_db
def test_a_person_is_added_from_a_shell(state: Path) -> None:
    said("bootstrap")
    password = said("create_person", "ann@shop.example", "Ann", "--role", "lead").strip()
    made = User.objects.get()
    assert (made.name, made.check_password(password)) == ("Ann", True)
    assert [grant.role for grant in made.grants.all()] == ["lead"]
    with pytest.raises(CommandError, match="email"):
        said("create_person", "ann@shop.example", "Ann again")
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_development_has_a_gateway_of_its_own_where_one_runs(state: Path, settings: Settings) -> None:
    (state / "up.lock").touch()
    said("bootstrap")
    assert not (state / "gateway-development.credential").exists()
    settings.DEVELOPMENT_GATEWAY_URL = "http://127.0.0.1:8002"
    said("bootstrap")
    credential = (state / "gateway-development.credential").read_text().strip()
    made = gateways.authenticate(credential)
    assert made is not None
    assert (made.environment.name, made.environment.gateway_url) == ("development", "http://127.0.0.1:8002")
    assert "nothing was missing" in said("bootstrap")
