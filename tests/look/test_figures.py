"""Numbers become words without lying: no zero for some, no hundred for not all, no total that drifts."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance import figures
from governance.figures import MINUS, NBSP, Rung

NOW = datetime(2026, 11, 22, 13, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "0.00"),
        ("4812.44", "4,812"),
        ("999.996", "1,000"),
        ("571.2", "571.20"),
        ("0.0127", "0.0127"),
        ("0.0031", "0.0031"),
        ("0.0400", "0.04"),
        ("0.5", "0.50"),
        ("0.00312345", "0.00312"),
        ("0.0000021", "0.0000021"),
        ("0.00000021", "0.00000021"),
        ("0.000000001", "under 0.00000001"),
        ("-63", f"{MINUS}63.00"),
        ("-1234567", f"{MINUS}1,234,567"),
        ("-0.004", f"{MINUS}0.004"),
    ],
)
def test_money_shows_as_many_digits_as_it_needs(amount: str, words: str) -> None:
    assert figures.money_words(Decimal(amount)) == words


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "0.00"),
        ("0.004", "under 0.01"),
        ("0.005", "0.01"),
        ("-0.004", f"{MINUS}0.004"),
        ("1204.505", "1,204.51"),
        ("0.999", "1.00"),
    ],
)
def test_money_in_a_column_keeps_its_digits(amount: str, words: str) -> None:
    assert figures.money_words(Decimal(amount), digits=2) == words


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12),
    st.sampled_from([None, 0, 2, 4]),
)
def test_money_that_is_not_zero_never_reads_as_zero(amount: Decimal, digits: int | None) -> None:
    words = figures.money_words(amount, digits=digits)
    reads_as_zero = (
        not words.startswith("under ")
        and not words.endswith(" to 0")
        and not any(sign in words for sign in "123456789")
    )
    assert reads_as_zero == (amount == 0)


def test_money_without_a_price_says_so() -> None:
    assert figures.money_words(None) == "not priced"


@pytest.mark.parametrize("wrong", [0.1, "1.20", True])
def test_money_is_never_a_float(wrong: Any) -> None:
    with pytest.raises(TypeError, match="Decimal"):
        figures.money_words(wrong)


@pytest.mark.parametrize("wrong", ["NaN", "Infinity"])
def test_money_is_finite(wrong: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        figures.money_words(Decimal(wrong))


@pytest.mark.parametrize(
    ("fraction", "digits", "words"),
    [
        (0, 0, "0"),
        (1, 0, "100"),
        (0.62, 0, "62"),
        (0.0001, 0, "under 1"),
        (0.9999, 0, "over 99"),
        (0.9999, 1, "over 99.9"),
        (0.984, 1, "98.4"),
        (-0.41, 0, f"{MINUS}41"),
        (Decimal("0.125"), 0, "13"),
    ],
)
def test_percent_says_some_for_some_and_all_for_all(fraction: float, digits: int, words: str) -> None:
    assert figures.percent_words(fraction, digits=digits) == f"{words}{NBSP}%"


def test_what_is_not_known_is_not_zero() -> None:
    assert figures.percent_words(None) == "not known"
    assert figures.signed_words(None) == "not known"


def test_difference_carries_its_sign() -> None:
    assert [figures.signed_words(number) for number in (9, -31, 0, 1200)] == ["+9", f"{MINUS}31", "0", "+1,200"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (-30, "30 s ago"),
        (-120, "2 min ago"),
        (-3600, "1 hour ago"),
        (-7200, "2 hours ago"),
        (720, "in 12 min"),
        (86400, "in 1 day"),
        (-259200, "3 days ago"),
    ],
)
def test_relative_time(seconds: int, words: str) -> None:
    assert figures.relative_words(NOW + timedelta(seconds=seconds), now=NOW) == words


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (datetime(2026, 11, 22, 13, 24, tzinfo=UTC), "14:24"),
        (datetime(2026, 11, 21, 23, 30, tzinfo=UTC), "00:30"),
        (datetime(2026, 11, 21, 13, 24, tzinfo=UTC), "yesterday 14:24"),
        (datetime(2026, 11, 23, 13, 24, tzinfo=UTC), "tomorrow 14:24"),
        (datetime(2026, 7, 1, 12, 0, tzinfo=UTC), "1 Jul 14:00"),
        (datetime(2025, 11, 22, 13, 24, tzinfo=UTC), "22 Nov 2025 14:24"),
    ],
)
def test_moment_is_read_in_the_zone_of_the_viewer(moment: datetime, words: str) -> None:
    assert figures.moment_words(moment, now=NOW, zone=ZoneInfo("Europe/Berlin")) == words


def test_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        figures.relative_words(datetime(2026, 11, 22), now=NOW)  # noqa: DTZ001
    with pytest.raises(ValueError, match="zone"):
        figures.moment_words(datetime(2026, 11, 22), now=NOW, zone=UTC)  # noqa: DTZ001


def test_day_shows_its_year_when_it_is_another() -> None:
    assert figures.day_words(date(2026, 11, 22), today=NOW.date()) == "22 Nov"
    assert figures.day_words(date(2025, 11, 22), today=NOW.date()) == "22 Nov 2025"


def test_shares_stand_in_the_order_of_the_tiers() -> None:
    shares = figures.cut_shares([("person", 5), ("frontier", 9), ("small", 62), ("mid", 24)])
    assert [share.tier for share in shares] == ["small", "mid", "frontier", "person"]
    assert figures.share_words(shares) == f"small 62{NBSP}%, mid 24{NBSP}%, frontier 9{NBSP}%, people 5{NBSP}%"


@given(st.dictionaries(st.sampled_from(figures.TIERS), st.integers(0, 10**9)))
def test_shares_fill_the_bar_exactly_and_hide_nobody(amounts: dict[str, int]) -> None:
    shares = figures.cut_shares(amounts.items())
    assert {share.tier for share in shares} == {tier for tier, amount in amounts.items() if amount}
    assert sum(share.width for share in shares) == (10000 if shares else 0)
    assert all(share.width >= 100 for share in shares)
    end = 0
    for share in shares:
        assert share.start == end
        end += share.width


def test_negative_share_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        figures.cut_shares([("small", -1)])


def test_ladder_rises_and_fills_to_the_confidence() -> None:
    first, second, third = figures.draw_ladder(
        [
            Rung("small", "lexicon", "climbed", confidence=0.5, threshold=0.75),
            Rung("mid", "minilm", "kept", confidence=1.0, threshold=0.75),
            Rung("person", "Customer care", "not_asked"),
        ]
    )
    assert first.height < second.height < third.height
    assert first.fill_height == first.height / 2
    assert first.mark is not None
    assert first.mark == first.height / 4
    assert second.fill_top == 0
    assert third.fill_height == 0
    assert third.mark is None


def test_person_alone_is_still_drawn_as_one() -> None:
    [alone] = figures.draw_ladder([Rung("person", "Customer care", "person")])
    assert alone.height == figures.LOWEST_PERSON


def test_ladder_of_any_length_keeps_inside_its_drawing() -> None:
    for length in range(1, 12):
        drawn = figures.draw_ladder([Rung("small", "m", "climbed", confidence=7.0, threshold=-1.0)] * length)
        assert all(figures.LOWEST_BAR <= rung.height <= figures.HIGHEST_BAR for rung in drawn)
        assert all(rung.fill_top >= 0 and rung.fill_height <= rung.height for rung in drawn)
        assert all(rung.mark == rung.height for rung in drawn)


@given(st.text(alphabet="ab 0.5-;é\n", max_size=30), st.text(alphabet="ab 0.5-;é\n", max_size=30))
def test_comparison_loses_no_word(before: str, after: str) -> None:
    passages = figures.compare_words(before, after)
    assert "".join(passage.text for passage in passages if passage.kind != "added") == before
    assert "".join(passage.text for passage in passages if passage.kind != "removed") == after


def test_comparison_marks_a_number_whole() -> None:
    passages = figures.compare_words("kept from 0.62; below", "kept from 0.55; below")
    assert [(passage.kind, passage.text) for passage in passages] == [
        ("same", "kept from "),
        ("removed", "0.62"),
        ("added", "0.55"),
        ("same", "; below"),
    ]
