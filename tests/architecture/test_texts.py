"""What people read is typeset one way: an apostrophe is ’, on pages, in messages and on the command line."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.test_rules import PRODUCT, ROOT, modules, named

# Between letters, or behind the s of many.
STRAIGHT = re.compile(r"(?<=[A-Za-z])'(?=[a-z])|(?<=[a-z]s)'(?= [a-z])")
# Of a template what no browser gets: comments, and of tags all but the texts that they are given.
COMMENTS = re.compile(r"\{#.*?#\}|\{% comment %\}.*?\{% endcomment %\}", re.DOTALL)
TAGS = re.compile(r"\{[%{].*?[%}]\}", re.DOTALL)
GIVEN = re.compile(r'"[^"]*"')
SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|CREATE)\b")


def texts_of_template(path: Path) -> Iterator[str]:
    """What a template says by itself, and what it gives to its parts."""
    shown = COMMENTS.sub("", path.read_text())
    for tag in TAGS.findall(shown):
        yield from GIVEN.findall(tag)
    yield TAGS.sub("", shown)


def texts_of_module(path: Path) -> Iterator[str]:
    """The strings of a module that are no docstring and no SQL."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        said = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if id(node) not in docstrings and not SQL.search(said):
            yield said


def test_an_apostrophe_is_typeset_in_what_people_read() -> None:
    templates, files = sorted((ROOT / "templates").rglob("*.html")), modules(*PRODUCT)
    said = [(path, texts_of_template) for path in templates] + [(path, texts_of_module) for path in files]
    straight = [
        f"{named(path)}: …{text[max(0, found.start() - 30) : found.end() + 20]}…"
        for path, texts in said
        for text in texts(path)
        for found in STRAIGHT.finditer(text)
    ]
    assert straight == []
