"""The installation: hashes decide, an interruption is repaired, concurrent calls wait, a second call does nothing.

A tiny package of one module stands for the product's own, in a folder of files instead of an index.
"""

import fcntl
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from config.up.lock import is_alive

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
SYSTEM_PYTHON = Path(sys.base_prefix) / "bin" / "python3"
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="looks for leftovers in /proc")
# A package that pip has to build, in a process of its own that says when it is there, and that never ends.
ENDLESS = {
    "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'endless'\nbackend-path = ['.']\n",
    "endless.py": "import os, time\nopen(os.environ['HOME'] + '/building', 'w').close()\ntime.sleep(3600)\n",
    "PKG-INFO": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
}


class Checkout:
    """A directory that looks like a checkout to config/up/install.py."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.script = path / "config" / "up" / "install.py"
        self.script.parent.mkdir(parents=True)
        shutil.copy(ROOT / "config" / "up" / "install.py", self.script)
        shutil.copy(ROOT / "run", path)
        self.files = path / "files"
        self.files.mkdir()
        self.environment = path / ".venv"
        bare = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(path), "LANG": "C.UTF-8"}
        # pip looks nowhere but in our folder.
        self.variables = bare | {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.files.as_uri(),
            "PIP_CONFIG_FILE": os.devnull,
        }
        for group in ("", "-demo", "-development"):
            (path / f"requirements{group}.lock").touch()

    def lock(self, version: str, *, digest: str | None = None, group: str = "") -> None:
        """Make that version of the package and lock it, with a false digest if given."""
        name = f"tiny-{version}"
        wheel = self.files / f"{name}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as content:
            content.writestr("tiny.py", f"VERSION = {version!r}\n")
            content.writestr(f"{name}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n")
            content.writestr(
                f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            content.writestr(f"{name}.dist-info/RECORD", "")
        self._lock(wheel, version, digest, group)

    def lock_endless(self) -> None:
        """Lock the package whose installation never ends."""
        archive = self.files / "tiny-1.0.tar.gz"
        with tarfile.open(archive, "w:gz") as content:
            for name, text in ENDLESS.items():
                member = tarfile.TarInfo(f"tiny-1.0/{name}")
                member.size = len(text)
                content.addfile(member, io.BytesIO(text.encode()))
        self._lock(archive, "1.0", None, "-demo")

    def _lock(self, file: Path, version: str, digest: str | None, group: str) -> None:
        found = digest or hashlib.sha256(file.read_bytes()).hexdigest()
        (self.path / f"requirements{group}.lock").write_text(f"tiny=={version} \\\n    --hash=sha256:{found}\n")

    def start(self, group: str = "server") -> subprocess.Popen[str]:
        """Start an installation."""
        return subprocess.Popen(
            [SYSTEM_PYTHON, "-I", self.script, group],
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Who runs the tests in the background of a shell ignores Ctrl-C, and what he starts would too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def start_run(self) -> subprocess.Popen[str]:
        """Start `./run up`, which installs the demo's lock first."""
        tools = self.path / "tools"
        tools.mkdir()
        (tools / "python3").symlink_to(SYSTEM_PYTHON)
        return subprocess.Popen(
            ["/bin/sh", self.path / "run", "up"],
            env=self.variables | {"PATH": f"{tools}:/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def processes(self) -> dict[int, str]:
        """Every process of this checkout, known by its home: pid to command line."""
        mark = f"HOME={self.path}".encode()
        found = {}
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                marked = mark in (directory / "environ").read_bytes().split(b"\0")
                if marked and is_alive(int(directory.name)):
                    found[int(directory.name)] = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found

    def install(self, group: str = "server") -> tuple[int, str, str]:
        """Run an installation: its code, what it printed, and its progress."""
        process = self.start(group)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def version(self) -> str:
        """What the environment holds."""
        python = self.environment / "bin" / "python"
        command: list[str | Path] = [python, "-c", "import tiny; print(tiny.VERSION)"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()


@pytest.fixture
def bare_checkout(tmp_path: Path) -> Checkout:
    """One whose path has a space and a letter beyond ASCII."""
    return Checkout(tmp_path / "mein Prüfstand")


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing but pip; making one takes seconds."""
    path = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", path], check=True)
    return path


@pytest.fixture
def checkout(bare_checkout: Checkout, empty_environment: Path) -> Checkout:
    """One that has its virtual environment already, empty."""
    shutil.copytree(empty_environment, bare_checkout.environment, symlinks=True)
    return bare_checkout


def test_installs_and_prints_the_python(bare_checkout: Checkout) -> None:
    """Plain success, with progress on the other stream; the second call says nothing and does nothing."""
    checkout = bare_checkout
    checkout.lock("1.0")
    code, out, err = checkout.install()
    assert (code, out) == (0, f"{checkout.environment}/bin/python\n")
    assert "installing requirements.lock with pip" in err
    assert checkout.version() == "1.0"
    before = (checkout.environment / "smallfirst" / "install.log").stat().st_mtime_ns
    assert checkout.install() == (0, out, "")
    assert (checkout.environment / "smallfirst" / "install.log").stat().st_mtime_ns == before


def test_changed_lock_is_installed(checkout: Checkout) -> None:
    """The stamp is the lock's digest."""
    checkout.lock("1.0")
    checkout.install()
    checkout.lock("1.1")
    assert checkout.install()[0] == 0
    assert checkout.version() == "1.1"


def test_larger_lock_covers_the_smaller(checkout: Checkout) -> None:
    """After the development lock, `up` has nothing left to install."""
    checkout.lock("1.0", group="-development")
    assert checkout.install("development")[0] == 0
    assert checkout.install("demo")[2] == ""
    assert checkout.install("server")[2] == ""


def test_smaller_lock_does_not_cover_the_larger(checkout: Checkout) -> None:
    """`test` after `up` installs what is missing."""
    checkout.install("server")
    assert "requirements-development.lock" in checkout.install("development")[2]


def test_wrong_hash_is_refused(checkout: Checkout) -> None:
    """The error shows what pip said; nothing is stamped, and a mended lock goes on."""
    checkout.lock("1.0", digest="0" * 64)
    code, out, err = checkout.install()
    assert (code, out) == (1, "")
    assert "DO NOT MATCH THE HASHES" in err
    checkout.lock("1.0")
    assert checkout.install()[0] == 0
    assert checkout.version() == "1.0"


def until(true: Callable[[], bool]) -> None:
    """Wait up to 30 s."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_installation_is_repaired(checkout: Checkout) -> None:
    """kill -9 in the middle: the next call throws the remains away and begins anew."""
    checkout.lock("1.0")
    first = checkout.start()
    until((checkout.environment / "smallfirst" / "unfinished").exists)
    (checkout.environment / "remains").touch()
    first.kill()
    first.communicate()
    assert checkout.install()[0] == 0
    assert checkout.version() == "1.0"
    assert not (checkout.environment / "remains").exists()


def test_half_made_environment_is_repaired(bare_checkout: Checkout) -> None:
    """As kill -9 leaves one of which Python does not know yet that it is one."""
    bare_checkout.lock("1.0")
    (bare_checkout.environment / "smallfirst").mkdir(parents=True)
    (bare_checkout.environment / "bin").mkdir()
    assert bare_checkout.install()[0] == 0
    assert bare_checkout.version() == "1.0"


@LINUX_ONLY
@pytest.mark.parametrize("killed", ["/run up", "install.py demo", "pip install"])
def test_kill_leaves_nothing(checkout: Checkout, killed: str) -> None:
    """kill -9 of the command, of the installer, or of pip, while a process that pip has started builds a package."""
    checkout.lock_endless()
    run = checkout.start_run()
    try:
        until((checkout.path / "building").exists)
        running = checkout.processes()
        kinds = ("/run up", "install.py demo", "smallfirst-guard", "pip install", "_in_process.py")
        assert [kind for kind in kinds if kind not in " ".join(running.values())] == []
        os.kill(min(pid for pid, command in running.items() if killed in command), signal.SIGKILL)
        run.communicate(timeout=30)
        until(lambda: checkout.processes() == {})
        assert run.returncode != 0
    finally:
        for pid in checkout.processes():
            os.kill(pid, signal.SIGKILL)


@LINUX_ONLY
def test_kill_while_waiting_for_another_leaves_nothing(checkout: Checkout) -> None:
    """The installer would otherwise begin when the other has ended."""
    checkout.lock("1.0", group="-demo")
    with checkout.environment.with_name(".venv.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        run = checkout.start_run()
        assert run.stderr
        assert "waiting for another ./run" in run.stderr.readline()
        run.kill()
        run.communicate(timeout=30)
        until(lambda: checkout.processes() == {})


def test_second_call_waits_for_the_first(checkout: Checkout) -> None:
    """Both end well, and one of them installed."""
    checkout.lock("1.0")
    first = checkout.start()
    until(checkout.environment.with_name(".venv.lock").exists)
    until(checkout.environment.exists)
    second = checkout.start()
    waited = second.communicate(timeout=120)[1]
    installed = first.communicate(timeout=120)[1]
    assert (first.returncode, second.returncode) == (0, 0)
    assert "waiting for another ./run" in waited
    assert "installing" not in waited.replace("that is installing", "")
    assert "installing requirements.lock" in installed


def test_ctrl_c_ends_it(checkout: Checkout) -> None:
    """No traceback, and nothing stays behind."""
    checkout.lock("1.0")
    process = checkout.start()
    until((checkout.environment / "smallfirst" / "unfinished").exists)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert not is_alive(process.pid)


def test_foreign_directory_is_left_alone(checkout: Checkout) -> None:
    """SMALLFIRST_VENV on a folder with something else in it."""
    precious = checkout.path / "precious"
    precious.mkdir()
    (precious / "letter").touch()
    checkout.variables["SMALLFIRST_VENV"] = str(precious)
    code, _out, err = checkout.install()
    assert code == 1
    assert "is no virtual environment" in err
    assert (precious / "letter").exists()


def test_broken_environment_is_made_anew(checkout: Checkout) -> None:
    """The Python it was made with is gone, as after a system upgrade."""
    checkout.lock("1.0")
    checkout.install()
    python = checkout.environment / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    assert checkout.install()[0] == 0
    assert checkout.version() == "1.0"


def test_pip_of_the_system_stands_in(bare_checkout: Checkout, tmp_path: Path) -> None:
    """Without ensurepip, as on Debian without python3-venv; and a clear word where there is no pip either."""
    checkout = bare_checkout
    checkout.lock("1.0")
    # A Python that lacks a module: its wrapper names it as missing before anything else runs.
    wrapper = tmp_path / "python3"

    def without(*modules: str) -> None:
        blocked = "".join(f"sys.modules[{module!r}]=None;" for module in modules)
        wrapper.write_text(
            f'#!/bin/sh\nif [ "$1" = -c ]; then exec {SYSTEM_PYTHON} -c "import sys;{blocked}$2"; fi\n'
            f'exec {SYSTEM_PYTHON} "$@"\n'
        )
        wrapper.chmod(0o755)

    script = checkout.script.read_text().replace("sys.executable", repr(str(wrapper)))
    checkout.script.write_text(script)
    without("ensurepip", "pip")
    code, _out, err = checkout.install()
    assert code == 1
    assert "apt-get install python3-venv" in err
    assert not checkout.environment.exists()
    without("ensurepip")
    assert checkout.install()[0] == 0
    assert checkout.version() == "1.0"
    assert not list(checkout.environment.glob("lib/*/site-packages/pip"))
