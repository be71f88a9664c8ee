"""A measure: what was found, what was aimed at, what a peer needs; as a table for people and as lines for programs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

COLUMNS = ("measure", "value", "unit", "goal", "met", "peer", "peer's value")


class Void(Exception):
    """Something went wrong while measuring: nothing that was found counts. The text says what."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One finding. ``goal`` and ``peer_value`` are in the unit of ``value``; None is not known, or not aimed at.

    ``measure`` names it for programs, ``title`` says it to people. ``at_least``: more is better.
    """

    measure: str
    title: str
    value: float | None
    unit: str
    goal: float | None = None
    at_least: bool = False
    peer: str | None = None
    peer_value: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is no goal, or nothing was measured."""
        if self.value is None or self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def line(self) -> str:
        """The measure as one line of JSON."""
        fields = {
            "measure": self.measure,
            "value": rounded(self.value),
            "unit": self.unit,
            "goal": rounded(self.goal),
            "met": self.met,
            "peer": self.peer,
            "peer_value": rounded(self.peer_value),
        }
        return json.dumps(fields, ensure_ascii=False)

    def cells(self) -> tuple[str, ...]:
        """The measure as a row of the table."""
        sign = "at least " if self.at_least else "at most "
        goal = "" if self.goal is None else sign + shown(self.goal)
        met = {True: "met", False: "missed", None: ""}[self.met]
        return (self.title, shown(self.value), self.unit, goal, met, self.peer or "", shown(self.peer_value))


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Rows in columns under a head; those columns in ``left`` begin at their left, numbers stand to the right."""
    all_rows = [head, *rows]
    widths = [max(len(row[column]) for row in all_rows) for column in range(len(head))]
    lines = []
    for row in all_rows:
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def table(measures: Sequence[Measure]) -> str:
    """The measures in columns."""
    return columns(COLUMNS, [measure.cells() for measure in measures], left=(0, 2, 3, 4, 5))


def report(measures: Sequence[Measure]) -> None:
    """Print the table and, last, one line of JSON a measure."""
    print(f"\n{table(measures)}\n")
    for measure in measures:
        print(measure.line(), flush=True)


def rounded(value: float | None) -> float | None:
    """A number to four significant digits, whole ones from 1,000 on: more would be noise."""
    if value is None:
        return None
    return round(value) if abs(value) >= 1_000 else float(f"{value:.4g}")


def shown(value: float | None) -> str:
    """A number for the table, with a comma between thousands; a dash for what is not known."""
    found = rounded(value)
    return "-" if found is None else f"{found:,.12g}"


def middle(values: Sequence[float]) -> float | None:
    """The median; None without values."""
    return median(values) if values else None


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share (0 to 1) of all values do not exceed. Raises ValueError for none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, -(-round(share * 1_000_000) * len(ordered) // 1_000_000) - 1)]
