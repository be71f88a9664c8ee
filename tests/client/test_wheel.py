"""The wheel alone, in an empty environment with what it requires and nothing else: it decides and reports."""

import json
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.client.shop import HEAD, Shop
from tests.gateway.world import ROOT

FOREIGN = ("aiohttp", "celery", "django", "psycopg", "rest_framework", "uvicorn")


def required(name: str) -> Iterator[str]:
    """What a distribution requires, and what that requires, by name; nothing optional."""
    for line in distribution(name).requires or ():
        if "extra ==" not in line and (found := re.match(r"[\w.-]+", line)):
            yield found.group()
            yield from required(found.group())


def lay(name: str, into: Path) -> None:
    """Put an installed distribution's files where another environment finds them."""
    for file in distribution(name).files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = into / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.symlink_to(Path(str(file.locate())))


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an environment that has the wheel and its three requirements."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "empty", with_pip=False)
    (packages,) = (tmp_path / "empty").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(packages)
        metadata = content.read(next(name for name in content.namelist() if name.endswith("METADATA"))).decode()
    declared = re.findall(r"^Requires-Dist: ([\w.-]+)[^;\n]*$", metadata, re.MULTILINE)
    assert sorted(declared) == ["cryptography", "msgspec", "uuid-utils"]
    for name in {*declared, *(further for each in declared for further in required(each))}:
        lay(name, packages)
    return tmp_path / "empty" / "bin" / "python"


def test_the_wheel_alone_decides_and_reports(shop: Shop, python: Path) -> None:
    shop.control.credential = shop.world.tokens["open"]
    given = {
        "url": shop.control.url,
        "key": shop.world.tokens["open"],
        "root_key": shop.world.signer.root_key,
        "state": str(shop.state),
    }
    program = f"""{HEAD}
told = ask_once(sf)
assert sf.flush(30)
sf.close()
import importlib.util
print(json.dumps([told, [name for name in {FOREIGN!r} if importlib.util.find_spec(name)]]))
"""
    done = subprocess.run(
        [python, "-I", "-c", program, json.dumps(given)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    told, foreign = json.loads(done.stdout)
    assert foreign == []
    assert [each["id"] for each in shop.stored()] == [told]
