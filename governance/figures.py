"""Figures as a person reads them: money, shares, times and ladders turned into words and coordinates, no HTML."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

NBSP = "\u00a0"
MINUS = "\u2212"

TIERS = ("small", "mid", "frontier", "person")
TIER_WORDS = {"small": "small", "mid": "mid", "frontier": "frontier", "person": "people"}

RungState = Literal["planned", "kept", "climbed", "failed", "left_out", "not_asked", "person"]
RUNG_WORDS: dict[RungState, str] = {
    "planned": "",
    "kept": "kept",
    "climbed": "not sure, climbed",
    "failed": "failed, climbed",
    "left_out": "left out",
    "not_asked": "not asked",
    "person": "asked a person",
}

# Below this a price is noise: one token of the cheapest model costs more than a hundred-millionth of a dollar.
SMALLEST_SHOWN_EXPONENT = -8


def group_thousands(number: int | Decimal) -> str:
    """Return the number with comma thousands and a real minus sign; a Decimal keeps its digits."""
    words = f"{number:,f}" if isinstance(number, Decimal) else f"{number:,}"
    return words.replace("-", MINUS)


def money_digits(amount: Decimal) -> int:
    """Decimals that show an amount honestly: none from 1,000, two from 1, below 1 as many as give three figures."""
    size = abs(amount)
    if size >= 1000:
        return 0
    if size >= 1 or size == 0:
        return 2
    return min(max(2, 2 - size.adjusted()), -SMALLEST_SHOWN_EXPONENT)


def money_digits_alike(amounts: Iterable[Decimal]) -> int:
    """Decimals in which an amount and its bounds are all written: those that the largest of them needs."""
    return money_digits(max((abs(amount) for amount in amounts), default=Decimal(0)))


def money_words(amount: Decimal | int | None, *, digits: int | None = None) -> str:
    """Return an amount without its currency, e.g. ``4,812``, ``2.40``, ``0.0031`` or ``not priced`` for None.

    ``digits`` fixes the decimals (a column); an amount that is not zero is then still never written as zero: a positive
    one reads ``under 0.01``, a negative one gets the digits it needs. Halves are rounded away from zero.
    Raises TypeError for a float (money is Decimal) and ValueError for a number that is not finite.
    """
    if amount is None:
        return "not priced"
    if isinstance(amount, bool) or not isinstance(amount, (Decimal, int)):
        raise TypeError(f"money takes a Decimal, an int or None, not {type(amount).__name__}")
    exact = Decimal(amount)
    if not exact.is_finite():
        raise ValueError(f"money must be finite, got {exact}")
    shown = money_digits(exact) if digits is None else digits
    step = Decimal(1).scaleb(-shown)
    rounded = exact.quantize(step, rounding=ROUND_HALF_UP)
    if rounded == 0 and exact != 0:
        if exact > 0:
            return f"under {group_thousands(step)}"
        if digits is None:
            return f"{MINUS}{step:f} to 0"
        return money_words(exact)
    if digits is None:
        # 0.0400 says no more than 0.04, and 999.996 rounds up into the range that shows no decimals.
        shown = min(shown, money_digits(rounded))
        rounded = rounded.quantize(Decimal(1).scaleb(-shown), rounding=ROUND_HALF_UP)
        while shown > 2 and rounded.as_tuple().digits[-1] == 0:
            shown -= 1
            rounded = rounded.quantize(Decimal(1).scaleb(-shown))
    return group_thousands(rounded if rounded else abs(rounded))


def percent_words(fraction: float | Decimal | None, *, digits: int = 0) -> str:
    """Return a fraction of 1 as ``62 %``; part of something never reads 0 % and not all of it never reads 100 %."""
    if fraction is None:
        return "not known"
    exact = Decimal(str(fraction)) * 100
    step = Decimal(1).scaleb(-digits)
    shown = exact.quantize(step, rounding=ROUND_HALF_UP)
    if shown == 0 and exact > 0:
        return f"under {step}{NBSP}%"
    if shown == 100 and exact < 100:
        return f"over {100 - step}{NBSP}%"
    return f"{group_thousands(shown if shown else abs(shown))}{NBSP}%"


def range_words(low: float, high: float) -> str:
    """Return the bounds of a share, as whole percent, ``61 to 69``; the share itself stands before them."""
    return f"{round(low * 100)} to {round(high * 100)}"


def signed_words(number: int | Decimal | None) -> str:
    """Return a difference with its sign: ``+9``, ``−31``, ``0``; None is ``not known``."""
    if number is None:
        return "not known"
    return f"+{group_thousands(number)}" if number > 0 else group_thousands(number)


def duration_words(milliseconds: int) -> str:
    """Return a time span as ``31 ms``, ``4.2 s``, ``12 s``, ``3 min``, ``2 hours``: two figures, no more."""
    if milliseconds < 1000:
        return f"{milliseconds}{NBSP}ms"
    seconds = milliseconds / 1000
    if seconds < 9.95:
        return f"{seconds:.1f}{NBSP}s"
    if seconds < 59.5:
        return f"{seconds:.0f}{NBSP}s"
    if seconds < 3600:
        return f"{max(seconds // 60, 1):.0f}{NBSP}min"
    if seconds < 86_400:
        return f"1{NBSP}hour" if seconds < 7200 else f"{seconds // 3600:.0f}{NBSP}hours"
    return f"1{NBSP}day" if seconds < 172_800 else f"{seconds // 86_400:.0f}{NBSP}days"


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"a time on a page carries its zone, {moment.isoformat()} has none")
    return moment


def relative_words(moment: datetime, *, now: datetime) -> str:
    """Return the distance of two aware times in words: ``just now``, ``2 hours ago``, ``in 12 min``, ``3 days ago``."""
    seconds = int((_aware(moment) - _aware(now)).total_seconds())
    size = abs(seconds)
    if size < 10:
        return "just now"
    if size < 60:
        words = f"{size} s"
    elif size < 3600:
        words = f"{size // 60} min"
    elif size < 86400:
        words = "1 hour" if size < 7200 else f"{size // 3600} hours"
    else:
        words = "1 day" if size < 172800 else f"{size // 86400} days"
    return f"in {words}" if seconds > 0 else f"{words} ago"


def day_words(day: date, *, today: date) -> str:
    """Return a day as ``22 Nov``, with its year when that is not this one."""
    words = f"{day.day} {day:%b}"
    return words if day.year == today.year else f"{words} {day.year}"


def moment_words(moment: datetime, *, now: datetime, zone: tzinfo) -> str:
    """Return an aware time in a zone as ``14:24``, ``yesterday 14:24``, ``22 Nov 14:24`` or ``22 Nov 2025 14:24``."""
    local = _aware(moment).astimezone(zone)
    today = _aware(now).astimezone(zone).date()
    clock = f"{local:%H:%M}"
    if local.date() == today:
        return clock
    if local.date() == today - timedelta(days=1):
        return f"yesterday {clock}"
    if local.date() == today + timedelta(days=1):
        return f"tomorrow {clock}"
    return f"{day_words(local.date(), today=today)} {clock}"


@dataclass(frozen=True, slots=True)
class Share:
    """One segment of a share bar: what it counts and where it is drawn, in hundredths of a percent of the width."""

    tier: str
    amount: Decimal
    start: int
    width: int

    @property
    def x(self) -> str:
        """Left edge as an SVG percentage."""
        return f"{self.start / 100:.2f}%"

    @property
    def wide(self) -> str:
        """Width as an SVG percentage."""
        return f"{self.width / 100:.2f}%"

    @property
    def end(self) -> str:
        """Right edge as an SVG percentage."""
        return f"{(self.start + self.width) / 100:.2f}%"


def cut_shares(amounts: Iterable[tuple[str, Decimal | int]], *, least: int = 100) -> list[Share]:
    """Cut a bar into segments, smallest tier first, whose widths add up to exactly 100 %.

    Amounts are counts or money, not negative; a segment that is not zero is at least ``least`` hundredths of a percent
    wide, so that it can be seen. Nothing to show gives an empty list. Raises ValueError for a negative amount.
    """
    known = [(tier, Decimal(amount)) for tier, amount in amounts]
    if any(amount < 0 for _, amount in known):
        raise ValueError("a share cannot be negative")
    order = {tier: place for place, tier in enumerate(TIERS)}
    parts = sorted(
        ((tier, amount) for tier, amount in known if amount), key=lambda part: order.get(part[0], len(TIERS))
    )
    total = sum((amount for _, amount in parts), Decimal(0))
    if not parts:
        return []
    widths = [max(least, int(amount * 10000 / total)) for _, amount in parts]
    widest = max(range(len(widths)), key=widths.__getitem__)
    widths[widest] += 10000 - sum(widths)
    shares, start = [], 0
    for (tier, amount), width in zip(parts, widths, strict=True):
        shares.append(Share(tier=tier, amount=amount, start=start, width=width))
        start += width
    return shares


def share_words(shares: Sequence[Share]) -> str:
    """Return what a share bar shows, for those who do not see it: ``small 62 %, mid 24 %, people 14 %``."""
    total = sum((share.amount for share in shares), Decimal(0))
    return ", ".join(
        f"{TIER_WORDS.get(share.tier, share.tier)} {percent_words(share.amount / total)}" for share in shares
    )


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of a ladder as it went, or would go, for a request.

    ``confidence`` and ``threshold`` are between 0 and 1, None where no gate was asked; ``cost`` is in ``currency``,
    None where nothing was charged or no price is known (``priced`` tells which), and ``about`` where it is not settled.
    ``milliseconds`` is how long its answers took. ``why`` is one plain clause; ``word`` replaces the state's own words,
    e.g. "waiting for a person".
    """

    tier: str
    model: str
    state: RungState
    confidence: float | None = None
    threshold: float | None = None
    cost: Decimal | None = None
    currency: str = "USD"
    priced: bool = True
    why: str = ""
    word: str = ""
    about: bool = False
    milliseconds: int | None = None

    @property
    def words(self) -> str:
        """The state in words."""
        return self.word or RUNG_WORDS[self.state]

    @property
    def asked(self) -> bool:
        """Whether a model was called for this rung."""
        return self.state in ("kept", "climbed", "failed")

    @property
    def estimated(self) -> bool:
        """Whether its cost is not what was charged."""
        return self.about or not (self.asked or self.state == "person")


@dataclass(frozen=True, slots=True)
class DrawnRung:
    """A rung with the geometry of its bar, in SVG pixels from the top of its own drawing.

    ``mark`` is the line that the confidence had to reach, None where no gate was set.
    """

    rung: Rung
    height: int
    fill_top: int
    fill_height: int
    mark: int | None


LOWEST_BAR, HIGHEST_BAR = 40, 124
# A person has a head and shoulders also where nobody was asked before.
LOWEST_PERSON = 72


def draw_ladder(rungs: Sequence[Rung]) -> list[DrawnRung]:
    """Lay the rungs out as bars that rise from the first to the last, each filled to its confidence."""
    rise = (HIGHEST_BAR - LOWEST_BAR) / max(len(rungs) - 1, 2)
    drawn = []
    for place, rung in enumerate(rungs):
        height = round(LOWEST_BAR + rise * place)
        if rung.tier == "person":
            height = max(height, LOWEST_PERSON)
        if rung.state == "person":
            full = 1.0
        elif rung.asked:
            full = 1.0 if rung.confidence is None else min(max(rung.confidence, 0.0), 1.0)
        else:
            full = 0.0
        fill = round(height * full)
        mark = None if rung.threshold is None else height - round(height * min(max(rung.threshold, 0.0), 1.0))
        drawn.append(DrawnRung(rung=rung, height=height, fill_top=height - fill, fill_height=fill, mark=mark))
    return drawn


# Of a day in a chart of days: its width with the gap, and the height of the highest.
DAY_WIDTH, DAY_GAP, DAY_HEIGHT = 10, 2, 96


@dataclass(frozen=True, slots=True)
class DayPart:
    """The part of a day's bar that a tier takes, in the units of the chart."""

    tier: str
    x: int
    y: float
    width: int
    height: float


def stack_days(days: Sequence[Mapping[str, int]]) -> list[list[DayPart]]:
    """Return each day's bar from the bottom up, small first; the highest day fills the chart, any count can be seen."""
    most = max((sum(counts.values()) for counts in days), default=0)
    columns = []
    for place, counts in enumerate(days):
        column, top = [], float(DAY_HEIGHT)
        for tier in TIERS:
            number = counts.get(tier, 0)
            if number:
                height = round(max(DAY_HEIGHT * number / most, 1), 2)
                top = round(max(top - height, 0), 2)
                column.append(DayPart(tier, place * DAY_WIDTH, top, DAY_WIDTH - DAY_GAP, height))
        columns.append(column)
    return columns


@dataclass(frozen=True, slots=True)
class Passage:
    """A run of words of a compared sentence: the same, removed or added."""

    kind: Literal["same", "removed", "added"]
    text: str


# A number keeps its point and commas, a word its hyphens; other signs stand alone.
WORDS = re.compile(r"\s+|\d+(?:[.,]\d+)*|\w+(?:[-'’]\w+)*|[^\w\s]")


def compare_words(before: str, after: str) -> list[Passage]:
    """Compare two sentences word by word; joining same + removed gives ``before``, same + added gives ``after``."""
    old, new = WORDS.findall(before), WORDS.findall(after)
    passages: list[Passage] = []
    removed = added = ""

    def flush() -> None:
        nonlocal removed, added
        space = " " if removed.endswith(" ") and added.endswith(" ") else ""
        if len(removed) > len(space):
            passages.append(Passage("removed", removed.removesuffix(space)))
        if len(added) > len(space):
            passages.append(Passage("added", added.removesuffix(space)))
        if space:
            passages.append(Passage("same", space))
        removed = added = ""

    for kind, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        was, now = "".join(old[i1:i2]), "".join(new[j1:j2])
        if kind == "equal" and (was.strip() or not (removed or added)):
            flush()
            passages.append(Passage("same", was))
        else:
            # A lone space between two changed words belongs to the change, so that it reads as one.
            removed, added = removed + was, added + now
    flush()
    return passages
