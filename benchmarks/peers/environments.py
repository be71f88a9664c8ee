"""Virtual environments of peers, below the state directory: made when first asked for, again when a lock changes."""

import fcntl
import re
import shutil
import subprocess
from pathlib import Path

from config import state as places
from config.up import install

LOCKS = Path(__file__).parent


def python_of(peer: str) -> Path:
    """The Python of an environment that holds a peer's lock. Raises InstallError, as without a package index."""
    environment = places.state_path() / "benchmarks" / peer
    lock = LOCKS / f"{peer}.lock"
    python, stamp = environment / "bin" / "python", environment / "smallfirst" / "installed"
    environment.parent.mkdir(parents=True, exist_ok=True)
    with environment.with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not _is_current(python, stamp, lock):
            uv = shutil.which("uv")
            install.make(environment, uv, held.fileno())
            stamp.parent.mkdir(exist_ok=True)
            install.fill(python, lock, uv, held.fileno())
            stamp.write_text(install.digest(lock))
    return python


def _is_current(python: Path, stamp: Path, lock: Path) -> bool:
    try:
        return (
            stamp.read_text() == install.digest(lock) and not subprocess.run([python, "-c", ""], check=False).returncode
        )
    except OSError:
        return False


def version_of(peer: str) -> str:
    """The peer and its version, as its lock has it."""
    found = re.search(rf"^{peer}(?:\[[^\]]*\])?==(\S+)", (LOCKS / f"{peer}.lock").read_text(), re.MULTILINE)
    return f"{peer} {found[1] if found else 'of no known version'}"
