"""The palette: every pair of colours in the stylesheets is readable in both schemes, and no other colour is used."""

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "static"
CSS = (STATIC / "app.css").read_text() + (STATIC / "drawings.css").read_text()
HEAD, BODY = CSS.split(":root {", 1)
ROOT, RULES = BODY.split("}", 1)
TOKENS = {
    name: {"light": light, "dark": dark}
    for name, light, dark in re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\);", ROOT)
}
# Set by the .tier-… classes from the tokens; their pairs are listed under the tokens' own names.
BY_TIER = {"c", "c-ink", "c-wash"}
NOT_COLOURS = {"radius", "text", "voice", "code"}


def listed_pairs() -> list[tuple[str, str, float]]:
    """Read the block in the head of app.css: (text, ground, least ratio)."""
    pairs = []
    for texts, grounds, ratio in re.findall(r"^ +([a-z -]+) on ([a-z -]+): ([0-9.]+)$", HEAD, re.MULTILINE):
        pairs += [(text, ground, float(ratio)) for text in texts.split() for ground in grounds.split()]
    return pairs


def ornaments() -> set[str]:
    """Colours that carry no meaning, so that no ratio is asked of them."""
    [names] = re.findall(r"ornament: ([a-z -]+)", HEAD)
    return set(names.split())


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb as WCAG 2.2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two opaque colours, 1 to 21."""
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_contrast_is_the_formula_of_wcag() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground", "least"), listed_pairs())
def test_pair_is_readable(text: str, ground: str, least: float, scheme: str) -> None:
    assert contrast(TOKENS[text][scheme], TOKENS[ground][scheme]) >= least


def test_every_colour_in_use_has_a_pair() -> None:
    used = set(re.findall(r"var\(--([a-z-]+)", RULES)) - BY_TIER - NOT_COLOURS
    paired = {name for text, ground, _ in listed_pairs() for name in (text, ground)} | ornaments()
    assert used - paired == set()
    assert used - TOKENS.keys() == set()


def test_every_token_is_used() -> None:
    assert TOKENS.keys() - set(re.findall(r"var\(--([a-z-]+)", RULES)) == set()


def test_no_colour_is_written_outside_the_tokens() -> None:
    assert re.findall(r"#[0-9a-f]{3,8}\b|\brgba?\(|\bhsla?\(|\boklch\(", RULES) == []


def test_the_four_tiers_can_be_told_apart_without_their_hue() -> None:
    """Neighbours in a bar are parted by a line of sheet colour that stands out from both."""
    for scheme in ("light", "dark"):
        for tier in ("small", "mid", "frontier", "person"):
            assert contrast(TOKENS[tier][scheme], TOKENS["sheet"][scheme]) >= 3
