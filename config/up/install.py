"""Makes the virtual environment and fills it from a lock. Standard library only: it runs before anything is there.

`python3 -I config/up/install.py server|demo|development [PID]` installs that lock unless it is installed already, and
prints the environment's Python on standard output. Progress goes to standard error. uv does the work where it is on
PATH, else venv and pip; only files whose hashes stand in the lock are accepted. A second call waits for the first. What
an interrupted one leaves is thrown away by the next.

It ends, with all it has started, when its parent does, or the process PID that it works for: also by kill -9.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
# Each lock holds all that the ones before it hold.
LOCKS = {
    "server": ROOT / "requirements.lock",
    "demo": ROOT / "requirements-demo.lock",
    "development": ROOT / "requirements-development.lock",
}
OLDEST_PYTHON = (3, 11)
# Seconds between two lines of progress, and between two equal ones.
TELL_EVERY, TELL_SAME_EVERY = 3.0, 15.0
POLL = 0.1
# Runs a command with a guard in its process group: when the other end of the guard's pipe is gone, so is the group.
GUARDED = 'exec 3<&0 </dev/null; (read -r _ <&3; kill -s KILL 0) & exec "$@" 3<&-'
STARTED = time.monotonic()


class InstallError(Exception):
    """The installation cannot be made; the text says why and what to do."""


def say(text: str) -> None:
    """A line of progress with the seconds since the start."""
    print(f"{time.monotonic() - STARTED:6.1f} s  {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Install the lock named in the argument."""
    watched = int(sys.argv[2]) if len(sys.argv) > 2 else os.getppid()
    threading.Thread(target=end_with, args=[watched, os.getppid()], daemon=True).start()
    try:
        print(installed(environment_path(), sys.argv[1]))
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def end_with(process: int, parent: int) -> None:
    """End this process when another one, or its own parent, is gone."""
    while os.getppid() == parent and is_there(process):
        time.sleep(POLL)
    os._exit(1)


def is_there(process: int) -> bool:
    """Whether a process exists, whoever it belongs to."""
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return True


def environment_path() -> Path:
    """Where the virtual environment is: SMALLFIRST_VENV, else .venv in the checkout."""
    return Path(os.environ.get("SMALLFIRST_VENV") or ROOT / ".venv").absolute()


def installed(environment: Path, group: str) -> Path:
    """The Python of an environment that holds a group's lock, installed now if need be. Raises InstallError."""
    python = environment / "bin" / "python"
    stamp = environment / "smallfirst" / group
    if is_current(python, stamp, group):
        return python
    try:
        environment.parent.mkdir(parents=True, exist_ok=True)
        lock = environment.with_name(f"{environment.name}.lock").open("w")
    except OSError as error:
        raise InstallError(
            f"{environment} cannot be made ({error.strerror}): set SMALLFIRST_VENV to another place"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another ./run that is installing")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current(python, stamp, group):
            install(environment, group, lock.fileno())
    return python


def is_current(python: Path, stamp: Path, group: str) -> bool:
    """Whether the group's lock, as it reads now, is installed and the environment's Python still works."""
    try:
        if stamp.read_text() != digest(LOCKS[group]):
            return False
        return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def digest(lock: Path) -> str:
    """What a stamp holds."""
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def install(environment: Path, group: str, lock: int) -> None:
    """Make the environment where it is missing or broken, fill it, and stamp it last."""
    stamps = environment / "smallfirst"
    unfinished = stamps / "unfinished"
    python = environment / "bin" / "python"
    uv = shutil.which("uv")
    broken = subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode if python.exists() else 1
    if unfinished.exists() or broken:
        make(environment, uv, lock)
    stamps.mkdir(exist_ok=True)
    unfinished.touch()
    fill(python, LOCKS[group], uv, lock)
    groups = list(LOCKS)
    for each in groups[: groups.index(group) + 1]:
        (stamps / each).write_text(digest(LOCKS[each]))
    unfinished.unlink()
    say("installed")


def make(environment: Path, uv: str | None, lock: int) -> None:
    """Make an empty virtual environment; one of ours that stands there goes first. Raises InstallError."""
    ours = (environment / "pyvenv.cfg").exists() or (environment / "smallfirst").exists()
    if environment.exists() and any(environment.iterdir()) and not ours:
        raise InstallError(f"{environment} is no virtual environment: move it away, or set SMALLFIRST_VENV")
    shutil.rmtree(environment, ignore_errors=True)
    say(f"making a virtual environment with Python {sys.version.split()[0]}")
    if uv:
        command = [uv, "venv", "--quiet", "--no-project", "--allow-existing", "--python", sys.executable]
    else:
        # ensurepip is a package of its own on Debian; the system's pip can stand in for it.
        pip = [] if has_module("ensurepip") else ["--without-pip"]
        if pip and not has_module("pip"):
            raise InstallError(
                "This Python has neither ensurepip nor pip. Install one of them (on Debian and Ubuntu: "
                "apt-get install python3-venv), or uv, and start again."
            )
        command = [sys.executable, "-m", "venv", *pip]
    # First, so that what is left of one that is killed is known as ours.
    (environment / "smallfirst").mkdir(parents=True)
    with tempfile.TemporaryFile("w+") as said:
        if run([*command, str(environment)], output=said, lock=lock):
            said.seek(0)
            shutil.rmtree(environment, ignore_errors=True)
            raise InstallError(f"The virtual environment cannot be made:\n{said.read().strip()}")


def run(command: list[str], *, output: IO[str], lock: int, meanwhile: Callable[[], None] = lambda: None) -> int:
    """Run a command to its end; return its code. Neither it nor its children outlive this process.

    They hold the descriptor `lock` too: should this process be killed, the next waits until they are gone.
    """
    process = subprocess.Popen(
        ["/bin/sh", "-c", GUARDED, "smallfirst-guard", *command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=[lock],
        start_new_session=True,
    )
    with process:
        try:
            while process.poll() is None:
                time.sleep(POLL)
                meanwhile()
        finally:
            # The guard at least.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode


def has_module(name: str) -> bool:
    """Whether this Python can run a module."""
    return subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False).returncode == 0


def fill(python: Path, requirements: Path, uv: str | None, lock: int) -> None:
    """Install a lock file into an environment. Raises InstallError with the end of what the installer said."""
    if uv:
        command = [uv, "pip", "install", "--python", str(python), "--no-deps", "--require-hashes"]
    else:
        own = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
        pip = [str(python), "-m", "pip"] if own else [sys.executable, "-m", "pip", "--python", str(python)]
        command = [*pip, "install", "--no-deps", "--require-hashes", "--progress-bar", "off"]
        command += ["--disable-pip-version-check", "--no-input"]
        # Most modules are never imported; the others are compiled when they are.
        command += ["--no-compile"]
    command += ["-r", str(requirements)]
    say(f"installing {requirements.name} with {'uv' if uv else 'pip'}")
    log = python.parents[1] / "smallfirst" / "install.log"
    told, text = time.monotonic(), ""

    def tell() -> None:
        nonlocal told, text
        waited = time.monotonic() - told
        if waited < TELL_EVERY:
            return
        now = progress(log.read_text(errors="replace").splitlines())
        if now != text or waited > TELL_SAME_EVERY:
            told, text = time.monotonic(), now
            say(f"  {text}")

    with log.open("w") as output:
        code = run(command, output=output, lock=lock, meanwhile=tell)
    if code:
        tail = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-15:])
        raise InstallError(f"The installation failed:\n{tail}\nNothing is lost: mend the cause and start again.")


def progress(said: list[str]) -> str:
    """How far pip or uv has come, from what it has said."""
    fetched = [line for line in said if line.startswith("Collecting ")]
    if any(line.startswith("Installing collected packages") for line in said):
        return f"{len(fetched)} packages fetched, unpacking them"
    kept = [line for line in said if line.startswith("Requirement already satisfied")]
    if fetched or kept:
        return f"{len(fetched)} packages fetched" + (f", {len(kept)} there already" if kept else "")
    return said[-1].strip() if said else "asking the package index"


if __name__ == "__main__":
    if sys.version_info < OLDEST_PYTHON:
        sys.exit("Smallfirst needs Python 3.11 or newer.")
    sys.exit(main())
