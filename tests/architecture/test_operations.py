"""docs/operations.md against the code: each variable that is read is explained, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from config.up import processes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
PRODUCT = ("config", "governance", "ledger", "routing", "smallfirst", "demo")
NAME = r"\b(?:SMALLFIRST_[A-Z0-9_]*[A-Z0-9]|DATABASE_URL|MIGRATION_DATABASE_URL|BROKER_URL)\b"


def read_by_the_code() -> set[str]:
    """The variables that the product and `run` name in quotes or as the shell does."""
    quoted = {
        found
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("*.py")
        for found in re.findall(rf"[\"']({NAME})[\"']", path.read_text())
    }
    shell = set(re.findall(rf"\$\{{({NAME})", (ROOT / "run").read_text()))
    started = (ROOT / "config" / "up" / "install.py").read_text()
    return quoted | shell | set(re.findall(rf"\"({NAME})\"", started))


def test_every_variable_is_explained_and_none_that_is_not_read() -> None:
    read = read_by_the_code()
    assert {"SMALLFIRST_METRICS_TOKEN", "SMALLFIRST_GATEWAY_DRAIN_SECONDS", "SMALLFIRST_SDK_STATE"} <= read
    assert set(re.findall(NAME, PAGE)) == read


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each `./run manage` of the page, with what follows it."""
    for name, rest in re.findall(r"\./run manage (\w+)([^`\n]*)", PAGE):
        yield name, re.findall(r"(?<=\s)--[a-z-]+", rest)


@pytest.mark.parametrize(("name", "options"), list(commands()))
def test_every_command_of_the_page_exists(name: str, options: list[str]) -> None:
    command = load_command_class(get_commands()[name], name)
    known = {option for action in command.create_parser("manage.py", name)._actions for option in action.option_strings}
    assert set(options) <= known


def test_the_processes_are_started_as_up_starts_them() -> None:
    made = [
        processes.web({}, 8000),
        processes.worker({}),
        processes.beat({}),
        processes.gateway({}, 8001),
    ]
    told = re.findall(r"`\.venv/bin/python (-m [^`]+)`", PAGE)
    # What saves a lone worker's start two seconds, several must not be told.
    alone = {"--without-gossip", "--without-mingle"}
    assert [line.split() for line in told] == [
        [word for word in each.command[1:] if word not in alone] for each in made
    ]


def test_every_file_that_it_names_is_there() -> None:
    for name in re.findall(r"\b(?:docs|tests)/[\w/]+\.\w+", PAGE):
        assert (ROOT / name).exists(), name
