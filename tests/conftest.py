"""The tests' own PostgreSQL, Valkey, web server and browser.

Everything here is the real thing. The cluster starts once per session in a temporary directory; its template database
is migrated as the migrator, then every test connects as smallfirst_app, so what the product may not do in production it
cannot do here either. Tests run in transactions that are rolled back; those that need committed rows or several
connections take `live_database`, a copy of the template, for TRUNCATE is refused by the append-only tables.
"""

import itertools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Browser, Page, sync_playwright
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker
from xdist.scheduler.loadscope import LoadScopeScheduling

from config import state as places
from config.up import services, standing
from config.up.processes import web
from config.up.supervisor import Supervisor
from routing import keys

ROOT = Path(__file__).parents[1]
TEMPLATE = "smallfirst_template"
# Modules whose tests go on where the one before ended.
TOGETHER = ("tests/story/test_spine.py",)
# Nothing of a test cluster needs to survive a power cut.
FORGETFUL = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True)
class LiveDatabase:
    """A database of one test's own. Both addresses are postgresql:// URLs."""

    name: str
    url: str
    migrator_url: str


class Scheduling(LoadScopeScheduling):
    """Each test goes to whichever worker is free; those of a module in TOGETHER follow each other in one.

    pytest-xdist 3.8 has the marker xdist_group for this, which pytest 9.2 no longer heeds: it lets names of tests be.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if module in TOGETHER else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Say how tests are shared out."""
    return Scheduling(config, log)


def pytest_unconfigure() -> None:
    """Remove the tests' state directory, the last thing that happens."""
    if settings.configured:
        shutil.rmtree(settings.STATE, ignore_errors=True)
        shutil.rmtree(places.sockets_path(settings.STATE), ignore_errors=True)


@pytest.fixture(scope="session")
def session_services() -> Iterator[Supervisor]:
    """Runs the session's services; they end with it, also when it is killed."""
    logs = places.make_private(settings.STATE / "log")
    with Supervisor(logs) as running:
        yield running


@pytest.fixture(scope="session")
def postgres(session_services: Supervisor) -> services.Postgres:
    """The session's cluster, running, with its roles."""
    cluster = services.Postgres(
        settings.STATE, services.postgres_binaries(), services.unprivileged_prefix(), settings=FORGETFUL
    )
    cluster.initialise(sync=False)
    session_services.start(cluster.process(os.environ))
    session_services.wait_ready("postgres")
    cluster.bootstrap(TEMPLATE)
    return cluster


@pytest.fixture(scope="session")
def valkey(session_services: Supervisor) -> str:
    """The session's broker, running; its URL."""
    session_services.start(services.Valkey(settings.STATE).process(os.environ))
    session_services.wait_ready("valkey")
    return settings.BROKER_URL


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, postgres: services.Postgres, django_db_blocker: DjangoDbBlocker
) -> None:
    """Replaces pytest-django's: a template migrated by the migrator, and a copy for the tests in transactions.

    Migrating takes longer than most tests: who sets TEST_TEMPLATES to a directory has the result kept there,
    one for each state of the migrations.
    """
    app = {name: connection.settings_dict[name] for name in ("NAME", "USER")}
    kept = os.environ.get("TEST_TEMPLATES")
    dump = Path(kept) / f"{standing.code(demo=False)}.sql" if kept else None
    if dump and dump.exists():
        _run_binary(postgres, "psql", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--file", str(dump))
    else:
        with django_db_blocker.unblock():
            connection.settings_dict.update(NAME=TEMPLATE, USER=places.MIGRATOR_ROLE)
            call_command("migrate", verbosity=0, interactive=False)
            connection.close()
            connection.settings_dict.update(app)
        if dump:
            dump.with_suffix(f".{os.getpid()}").write_bytes(_run_binary(postgres, "pg_dump", "--clean", "--if-exists"))
            dump.with_suffix(f".{os.getpid()}").replace(dump)
    _copy_template(postgres, app["NAME"])


def _run_binary(cluster: services.Postgres, name: str, *words: str) -> bytes:
    url = places.database_url(cluster.state, "postgres", TEMPLATE)
    return subprocess.run([cluster.binaries / name, *words, url], check=True, capture_output=True).stdout


def _copy_template(cluster: services.Postgres, name: str) -> None:
    url = places.database_url(cluster.state, places.MIGRATOR_ROLE, "postgres")
    with psycopg.connect(url, autocommit=True) as server:
        # Copying files is twice as fast as writing a log of them.
        command = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        server.execute(command.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))


_numbers = itertools.count(1)


@pytest.fixture
def live_database(
    django_db_setup: None, postgres: services.Postgres, django_db_blocker: DjangoDbBlocker
) -> Iterator[LiveDatabase]:
    """A migrated database for this test alone: commits are real, other threads and processes see them.

    Django's default connection points at it, in every thread. Not together with `db` or the `django_db` mark.
    """
    if connection.in_atomic_block:
        raise pytest.UsageError("live_database commits for real: take it without db or pytest.mark.django_db")
    name = f"smallfirst_live_{next(_numbers)}"
    _copy_template(postgres, name)
    before = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        connection.close()
        connection.settings_dict["NAME"] = name
        yield LiveDatabase(
            name,
            places.database_url(postgres.state, places.APP_ROLE, name),
            places.database_url(postgres.state, places.MIGRATOR_ROLE, name),
        )
        connection.close()
        connection.settings_dict["NAME"] = before
    with postgres.connect() as server:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def installation_keys(django_test_environment: None) -> Path:
    """The directory of the installation's keys, as bootstrap makes them: the signing key is certified."""
    directory = Path(settings.KEYS)
    keys.ensure(directory, now=timezone.now())
    return directory


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Gives a TCP port on 127.0.0.1 that nothing listens on, another one each time."""
    given: set[int] = set()

    def find() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in given:
                given.add(port)
                return port

    return find


@pytest.fixture(scope="session")
def collected_static(django_test_environment: None) -> Path:
    """Static files collected, hashed and compressed as in production; their directory."""
    subprocess.run(
        [sys.executable, ROOT / "manage.py", "collectstatic", "--no-input", "--verbosity", "0"],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        check=True,
    )
    return Path(settings.STATIC_ROOT)


@pytest.fixture
def live_site(
    live_database: LiveDatabase, valkey: str, collected_static: Path, free_port: Callable[[], int]
) -> Iterator[str]:
    """The real web process on the test's own database; its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": live_database.url,
        "SMALLFIRST_PUBLIC_URL": url,
    }
    with Supervisor(settings.STATE / "log") as supervisor:
        supervisor.start(web(environment, port))
        supervisor.wait_ready("web", timeout=60)
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium: $CHROMIUM, else one on PATH, else playwright's own. REQUIRE_BROWSER=1 forbids to skip."""
    # Playwright keeps an event loop in this thread, where Django would refuse to touch the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        found = os.environ.get("CHROMIUM") or next(
            filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
        )
        program = found or playwright.chromium.executable_path
        if not Path(program).exists():
            reason = "no Chromium: set CHROMIUM, or install it (apt-get install chromium; playwright install chromium)"
            if os.environ.get("REQUIRE_BROWSER") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        # Chromium's sandbox refuses root.
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=program, args=arguments)
        yield chromium
        chromium.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab in a fresh profile, 1280 by 800."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()
