"""Where one installation keeps its files, and the addresses of the embedded services that live there."""

import hashlib
import os
import re
import secrets
from pathlib import Path
from urllib.parse import quote

import platformdirs

DATABASE = "smallfirst"
APP_ROLE = "smallfirst_app"
MIGRATOR_ROLE = "smallfirst_migrator"

# Random text each. The key pairs beside them are made by routing.keys.
SECRETS = ("django.key", "demo-models.key")

# sun_path holds 104 bytes on macOS, 108 on Linux; the longest name below the directory is `.s.PGSQL.5432.lock`.
_SOCKET_DIRECTORY_LIMIT = 80
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")


def state_path() -> Path:
    """The state directory: SMALLFIRST_STATE, else the user's own place for such files. It need not exist."""
    given = os.environ.get("SMALLFIRST_STATE")
    return Path(given).expanduser().absolute() if given else usual_path()


def usual_path() -> Path:
    """The user's own place for such files: the state directory where nothing else is said."""
    return platformdirs.user_state_path("smallfirst").absolute()


def sockets_path(state: Path) -> Path:
    """The directory of the unix sockets. A long or odd state path gets a short one of its own below /tmp."""
    inside = state / "sockets"
    if len(os.fsencode(inside)) <= _SOCKET_DIRECTORY_LIMIT and _PLAIN_PATH.fullmatch(str(inside)):
        return inside
    name = hashlib.sha256(os.fsencode(os.path.realpath(state))).hexdigest()[:16]
    return Path(f"/tmp/smallfirst-{os.getuid()}-{name}")  # noqa: S108 (made 0700, owner checked by make_private)


def postgres_socket(state: Path) -> Path:
    """Where the embedded PostgreSQL listens while it runs."""
    return sockets_path(state) / ".s.PGSQL.5432"


def database_url(state: Path, role: str = APP_ROLE, name: str = DATABASE) -> str:
    """The address of the embedded PostgreSQL for a role, over its unix socket."""
    return f"postgresql://{role}@/{name}?host={quote(str(sockets_path(state)), safe='')}&port=5432"


def broker_url(state: Path) -> str:
    """The address of the embedded Valkey, over its unix socket."""
    return f"redis+socket://{sockets_path(state)}/valkey.sock"


def make_private(directory: Path) -> Path:
    """Make a directory that only its owner may enter. Raises PermissionError if someone else's stands there."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if found.st_uid != os.getuid() or directory.is_symlink():
        raise PermissionError(f"{directory} belongs to another user; remove it, or choose another state directory")
    directory.chmod(0o700)
    return directory


def make_secrets(directory: Path) -> None:
    """Write every secret that is missing, readable by its owner alone. Those that exist stay as they are."""
    make_private(directory)
    for name in SECRETS:
        if not (directory / name).exists():
            write_secret(directory / name, secrets.token_urlsafe(48))


def write_secret(path: Path, text: str) -> None:
    """Write a secret whole or not at all, readable by its owner alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_secret(path: Path) -> str:
    """The text of a secret file without the line's end. Raises FileNotFoundError."""
    return path.read_text().strip()
