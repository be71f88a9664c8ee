"""The settings as an installation's environment makes them: safe in production, or refused with the way out."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config import state as places

ROOT = Path(__file__).parents[2]
SHOW = """
import json
from config import settings
print(json.dumps({name: value for name, value in vars(settings).items() if name.isupper()}, default=str))
"""


@pytest.fixture
def production(tmp_path: Path) -> dict[str, str]:
    """What a production installation sets, and nothing else."""
    places.make_secrets(tmp_path / "keys")
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": "postgresql://smallfirst_app:s%20e@database.example:6432/money?sslmode=verify-full",
        "BROKER_URL": "rediss://broker.example/0",
        "SMALLFIRST_STATE": str(tmp_path),
        "SMALLFIRST_PUBLIC_URL": "https://smallfirst.example",
        "SMALLFIRST_GATEWAY_URL": "https://gateway.smallfirst.example",
    }


def load(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Import the settings in a process with exactly this environment."""
    command = [sys.executable, "-c", SHOW]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def loaded(environment: dict[str, str]) -> dict[str, Any]:
    """The settings, JSON's types."""
    done = load(environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(environment: dict[str, str]) -> str:
    """The refusal, one line."""
    done = load(environment)
    assert done.returncode == 1
    assert "ImproperlyConfigured" in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_production_insists_on_https(production: dict[str, str]) -> None:
    """Plain success: redirect, strict transport, secure cookies, the host alone allowed, no demo, no debugging."""
    settings = loaded(production)
    assert settings["ALLOWED_HOSTS"] == ["smallfirst.example"]
    assert settings["CSRF_TRUSTED_ORIGINS"] == ["https://smallfirst.example"]
    for name in ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS"):
        assert settings[name], name
    assert settings["DEBUG"] is False
    assert "demo" not in settings["INSTALLED_APPS"]


def test_database_address_is_read_whole(production: dict[str, str]) -> None:
    """Also an encoded password and libpq's own parameters."""
    database = loaded(production)["DATABASES"]["default"]
    assert database["USER"] == "smallfirst_app"
    assert database["PASSWORD"] == "s e"
    assert database["HOST"] == "database.example"
    assert database["PORT"] == "6432"
    assert database["NAME"] == "money"
    assert database["OPTIONS"] == {"sslmode": "verify-full"}


def test_pool_is_for_who_asks_for_it(production: dict[str, str]) -> None:
    """With it connections are not kept by Django as well, and are checked before use."""
    database = loaded(production | {"SMALLFIRST_DATABASE_POOL": "7"})["DATABASES"]["default"]
    assert database["OPTIONS"]["pool"]["max_size"] == 7
    assert database["CONN_MAX_AGE"] == 0
    assert database["CONN_HEALTH_CHECKS"] is True


def test_this_machine_may_do_without_https(tmp_path: Path) -> None:
    """Without any address: the embedded services, loopback, cookies that http carries."""
    settings = loaded({"PATH": os.environ["PATH"], "SMALLFIRST_STATE": str(tmp_path)})
    assert settings["SESSION_COOKIE_SECURE"] is False
    assert settings["DATABASES"]["default"]["HOST"] == str(tmp_path / "sockets")
    assert settings["BROKER_URL"] == f"redis+socket://{tmp_path}/sockets/valkey.sock"
    assert "127.0.0.1" in settings["ALLOWED_HOSTS"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SMALLFIRST_PUBLIC_URL", "http://smallfirst.example", "serve it over https"),
        ("SMALLFIRST_PUBLIC_URL", "smallfirst.example", "write an address such as https://"),
        ("SMALLFIRST_PUBLIC_URL", "https://smallfirst.example/app", "write an address such as https://"),
        ("SMALLFIRST_DEBUG", "yes", "write 1 for yes or 0 for no"),
        ("SMALLFIRST_DATABASE_POOL", "-1", "write a whole number"),
        ("SMALLFIRST_REPORTING_TIME_ZONE", "Europe/Nowhere", "write a zone such as Europe/Berlin"),
    ],
)
def test_bad_value_is_refused_by_name(production: dict[str, str], name: str, value: str, message: str) -> None:
    """The variable, what it holds, and the fix."""
    said = refused(production | {name: value})
    assert f'{name} is "{value}"' in said
    assert message in said


def test_where_providers_keys_may_go_is_read_or_refused_with_the_way_to_write_it(production: dict[str, str]) -> None:
    name = "SMALLFIRST_PROVIDER_SECRETS"
    said = refused(production | {name: "ACME_KEY@https://models.example/v1"})
    assert f"{name}: ACME_KEY is bound to 'https://models.example/v1'; write the origin alone" in said
    assert (
        "https://models.example" in loaded(production | {name: "ACME_KEY@https://models.example"})["PROVIDER_SECRETS"]
    )
    assert "https://api.openai.com" in loaded(production)["PROVIDER_SECRETS"]


@pytest.mark.parametrize("value", ["short", "twenty characters and spaces", "x" * 201, "äöü-äöü-äöü-äöü-äöü-äöü"])
def test_a_token_that_could_be_guessed_is_refused_and_not_repeated(production: dict[str, str], value: str) -> None:
    """The name and the fix; never the value. Without one there is none."""
    said = refused(production | {"SMALLFIRST_METRICS_TOKEN": value})
    assert "SMALLFIRST_METRICS_TOKEN must be 20 to 200" in said
    assert value not in said
    assert loaded(production)["METRICS_TOKEN"] == ""
    token = "0123456789-abcdefghij"
    assert loaded(production | {"SMALLFIRST_METRICS_TOKEN": token})["METRICS_TOKEN"] == token


def test_missing_key_is_refused(production: dict[str, str], tmp_path: Path) -> None:
    """No made-up key in production: it would sign out everybody at each restart."""
    (tmp_path / "keys" / "django.key").unlink()
    said = refused(production)
    assert str(tmp_path / "keys" / "django.key") in said
    assert "SMALLFIRST_KEYS" in said
