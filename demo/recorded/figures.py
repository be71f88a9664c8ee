"""The figures as they are kept: one row a question, without its text."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from smallfirst.engine import Signals

HERE = Path(__file__).parent
STAFF, REFUNDS = HERE / "staff.csv", HERE / "refunds.csv"
_SIGNALS = ("input_tokens", "characters", "words", "sentences", "questions", "digits", "code")
_ANSWER = ("right", "confidence", "characters")
COLUMNS = ("question", "kind", *_SIGNALS, *(f"{tier}_{each}" for tier in ("small", "mid") for each in _ANSWER))


@dataclass(frozen=True)
class Answer:
    """What a model made of a question: right or not, how likely that looked, and its length where it is known."""

    right: bool
    confidence: float
    characters: int | None


@dataclass(frozen=True)
class Figures:
    """A question that was measured: its name, kind and signals, and the answers of the small and of the mid model."""

    question: str
    kind: str
    signals: Signals
    answers: tuple[Answer, Answer]


@cache
def read(path: Path) -> tuple[Figures, ...]:
    """The rows of STAFF or REFUNDS, in their order."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            Figures(
                row["question"],
                row["kind"],
                msgspec.convert({name: int(row[name]) for name in _SIGNALS}, Signals),
                (_answer(row, "small"), _answer(row, "mid")),
            )
            for row in csv.DictReader(file)
        )


def _answer(row: dict[str, str], tier: str) -> Answer:
    characters = row[f"{tier}_characters"]
    return Answer(
        row[f"{tier}_right"] == "1", float(row[f"{tier}_confidence"]), int(characters) if characters else None
    )
