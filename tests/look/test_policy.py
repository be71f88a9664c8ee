"""The content security policy forbids inline script and style, so no template, script or stylesheet may need either."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
FORBIDDEN = {
    "a style attribute": r"\sstyle\s*=",
    "a style element": r"<style\b",
    "an inline script": r"<script(?![^>]*\bsrc=)",
    "an event attribute": r"\son[a-z]+\s*=\s*[\"']",
    "hx-on": r"\bhx-on\b",
    "javascript in an attribute": r"javascript:|[\"']js:",
    "a foreign address": r"<(?:script|link|img)[^>]*(?:src|href)=[\"']https?://",
    "text marked safe": r"\|\s*safe\b|autoescape off",
}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_template_needs_nothing_the_policy_forbids(template: Path) -> None:
    source = re.sub(r"\{#.*?#\}|\{% comment %\}.*?\{% endcomment %\}", "", template.read_text(), flags=re.DOTALL)
    assert [name for name, pattern in FORBIDDEN.items() if re.search(pattern, source, re.IGNORECASE)] == []


def test_script_evaluates_nothing() -> None:
    source = (ROOT / "static" / "app.js").read_text()
    assert (
        re.findall(r"\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\.style\b", source)
        == []
    )


@pytest.mark.parametrize("sheet", sorted((ROOT / "static").glob("*.css")), ids=lambda path: path.name)
def test_stylesheet_loads_nothing_and_keeps_its_size(sheet: Path) -> None:
    """At most 500 lines a file, as for Python: split by what it draws before that."""
    source = sheet.read_text()
    assert re.findall(r"url\(|@import", source) == []
    assert source.count("\n") <= 500


@pytest.mark.parametrize("part", sorted((ROOT / "templates" / "_parts").glob("*.html")), ids=lambda path: path.name)
def test_part_says_how_it_is_used(part: Path) -> None:
    assert part.read_text().startswith("{# ")
