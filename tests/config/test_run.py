"""The command line: which lock each command installs, what it starts, and what it says when it cannot.

`run` is copied beside an installer that only notes which lock was asked for, and a Python that only says how it was
called; the real ones have tests of their own.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REAL = {"DATABASE_URL": "postgresql://database.example/smallfirst", "BROKER_URL": "redis://broker.example"}


class Shell:
    """A checkout in a directory with a space, and a shell to call it from."""

    def __init__(self, path: Path) -> None:
        self.checkout = path / "a checkout"
        (self.checkout / "config" / "up").mkdir(parents=True)
        shutil.copy(ROOT / "run", self.checkout)
        python = self.checkout / "python"
        python.write_text('#!/bin/sh\necho "path=${PYTHONPATH:-}"\necho "in=$PWD"\nfor each; do echo "$each"; done\n')
        python.chmod(0o755)
        (self.checkout / "config" / "up" / "install.py").write_text(
            f"import sys\nprint('lock: ' + sys.argv[1], file=sys.stderr)\nprint({str(python)!r})\n"
        )
        self.home = path / "elsewhere"
        self.home.mkdir()
        self.environment = {"PATH": os.environ["PATH"]}

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Call it, from another directory."""
        return subprocess.run(
            ["/bin/sh", self.checkout / "run", *words],
            cwd=self.home,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """One per test."""
    return Shell(tmp_path)


def test_up_starts_the_supervisor_where_the_user_stands(shell: Shell) -> None:
    """With the demo's lock; a relative --state means the user's directory."""
    done = shell.run("up", "--state", "my data")
    assert done.returncode == 0
    assert done.stderr == "lock: demo\n"
    assert done.stdout.splitlines() == [
        f"path={shell.checkout}",
        f"in={shell.home}",
        *("-m", "config.up", "--state", "my data"),
    ]


@pytest.mark.parametrize(
    ("variables", "lock"),
    [
        ({}, "demo"),
        (REAL, "server"),
        (REAL | {"SMALLFIRST_DEMO": "1"}, "demo"),
        ({"DATABASE_URL": REAL["DATABASE_URL"]}, "demo"),
        ({"BROKER_URL": REAL["BROKER_URL"]}, "demo"),
    ],
)
@pytest.mark.parametrize("command", ["up", "manage"])
def test_lock_follows_what_runs(shell: Shell, command: str, variables: dict[str, str], lock: str) -> None:
    """Where both services are real ones, nothing of the demo is installed."""
    assert shell.run(command, **variables).stderr == f"lock: {lock}\n"


def test_manage_hands_its_arguments_on(shell: Shell) -> None:
    """As they were given."""
    said = shell.run("manage", "shell", "-c", "print('a b')").stdout.splitlines()
    assert said[2:] == [f"{shell.checkout}/manage.py", "shell", "-c", "print('a b')"]


def test_test_with_arguments_is_pytest_alone(shell: Shell) -> None:
    """In the checkout, with the development lock."""
    done = shell.run("test", "-k", "a or b")
    assert done.stderr == "lock: development\n"
    assert done.stdout.splitlines()[1:] == [f"in={shell.checkout}", "-m", "pytest", "-k", "a or b"]


def test_bench_runs_the_benchmarks(shell: Shell) -> None:
    """With the development lock, where the user stands."""
    done = shell.run("bench", "gateway", "--rounds", "1")
    assert done.stderr == "lock: development\n"
    assert done.stdout.splitlines() == [
        f"path={shell.checkout}",
        f"in={shell.home}",
        *("-m", "benchmarks", "gateway", "--rounds", "1"),
    ]


@pytest.mark.parametrize(("words", "code"), [((), 2), (("dance",), 2), (("help",), 0)])
def test_usage(shell: Shell, words: tuple[str, ...], code: int) -> None:
    """No command, an unknown one, and the question for help all show the commands."""
    done = shell.run(*words)
    assert done.returncode == code
    assert "./run up" in done.stdout + done.stderr


def test_missing_python_is_said(shell: Shell, tmp_path: Path) -> None:
    """One sentence, and nothing is run."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("dirname", "uname", "sed"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tools / "python3").chmod(0o755)
    done = shell.run("up", PATH=str(tools))
    assert done.returncode == 1
    assert done.stderr == "Smallfirst needs Python 3.11 or newer, and there is none on PATH.\n"
    assert done.stdout == ""


def test_failed_installation_starts_nothing(shell: Shell) -> None:
    """The installer's code ends it."""
    (shell.checkout / "config" / "up" / "install.py").write_text("raise SystemExit('no room left')")
    done = shell.run("up")
    assert done.returncode == 1
    assert done.stderr == "no room left\n"
    assert done.stdout == ""


def test_windows_is_sent_to_wsl(shell: Shell, tmp_path: Path) -> None:
    """Git's shell there has all the tools, but the services would not run."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "uname").write_text("#!/bin/sh\necho MINGW64_NT-10.0\n")
    (tools / "uname").chmod(0o755)
    done = shell.run("up", PATH=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "WSL" in done.stderr
