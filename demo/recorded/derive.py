"""`python -m demo.recorded.derive DIRECTORY`: figures out of two published sets of graded answers; no text is kept.

DIRECTORY holds `llmrouter_dev.jsonl.gz` (LLMRouter, MIT: a question, its task, and for each of nine open models whether
its answer was right) and `gsm8k_dev.jsonl.gz` (RouteLLM, Apache-2.0: sums in words, with the answers of two models and
whether they were right). README.md beside this file says what the figures are and what they are not.

A confidence is the chance that an answer is right, as a regression says it that has not seen this question: ten folds,
by a hash of the question. For LLMRouter it sees the task and the engine's own signals of the question, for its answers
are not published; for RouteLLM it sees the answer, as demo/recorded/checks.py reads it.
"""

import argparse
import csv
import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from demo.recorded import checks
from demo.recorded.figures import COLUMNS, REFUNDS, STAFF
from smallfirst import signals
from smallfirst.engine import Signals

# What each task is to somebody who asks it at work, and the two models of its ladder.
KINDS = {
    "human_eval": "code",
    "natural_qa": "open question",
    "trivia_qa": "open question",
    "openbook_qa": "choice",
    "arc_challenge": "choice",
    "commonsense_qa": "choice",
    "gpqa": "science",
}
SMALL = "qwen2.5-7b-instruct"
MID = {"code": "llama-3.3-nemotron-super-49b-v1"}
MID_ELSE = "llama-3.1-nemotron-51b-instruct"
FOLDS = 10
Numbers = NDArray[np.float64]


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, each question once, the first time it stands there."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return list({row["prompt"]: row for row in reversed(rows)}.values())[::-1]


def held_out(features: Sequence[Sequence[float]], right: Sequence[bool], questions: Sequence[str]) -> Numbers:
    """For each row the chance that it is right, by a regression fitted to the other folds."""
    seen, labels = np.array(features, float), np.array(right)
    folds = np.array([int(hashlib.sha256(question.encode()).hexdigest()[:8], 16) % FOLDS for question in questions])
    chances = np.zeros(len(labels))
    for fold in range(FOLDS):
        out = folds == fold
        fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.3)).fit(seen[~out], labels[~out])
        chances[out] = fitted.predict_proba(seen[out])[:, 1]
    return chances


def staff(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Figures of the questions that a member of staff might ask; a regression for each step."""
    figures = []
    for of_code in (True, False):
        asked = [row for row in rows if row["task"] in KINDS and (KINDS[row["task"]] == "code") == of_code]
        questions = [row["prompt"] for row in asked]
        read_signals = [_signals(question) for question in questions]
        tasks = sorted({row["task"] for row in asked})
        features = [
            [*(float(row["task"] == task) for task in tasks), *np.log1p(msgspec.structs.astuple(seen)[1:])]
            for row, seen in zip(asked, read_signals, strict=True)
        ]
        mid = MID["code"] if of_code else MID_ELSE
        right = {model: [row["scores"][model] >= 0.5 for row in asked] for model in (SMALL, mid)}
        sure = {model: held_out(features, right[model], questions) for model in right}
        for place, row in enumerate(asked):
            figures.append(
                _counts(f"{row['task']}-{place}", KINDS[row["task"]], read_signals[place])
                | {"small_right": int(right[SMALL][place]), "small_confidence": round(sure[SMALL][place], 4)}
                | {"mid_right": int(right[mid][place]), "mid_confidence": round(sure[mid][place], 4)}
            )
    return figures


def refunds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Figures of the sums in words, with the lengths of both answers."""
    questions = [row["prompt"] for row in rows]
    figures = [_counts(f"gsm8k-{place}", "sum", _signals(question)) for place, question in enumerate(questions)]
    for tier, model in (("small", "mixtral-8x7b"), ("mid", "gpt-4-1106")):
        answers = [row["answer"][model] for row in rows]
        right = [bool(row["correct"][model]) for row in rows]
        seen = [checks.of_answer(*pair) for pair in zip(questions, answers, strict=True)]
        sure = held_out(seen, right, questions)
        for place, figure in enumerate(figures):
            figure[f"{tier}_right"] = int(right[place])
            figure[f"{tier}_confidence"] = round(sure[place], 4)
            figure[f"{tier}_characters"] = len(answers[place])
    return figures


def _signals(question: str) -> Signals:
    return signals.read([{"role": "user", "content": question}])


def _counts(question: str, kind: str, seen: Signals) -> dict[str, Any]:
    counted = msgspec.structs.asdict(seen)
    del counted["version"]
    return {"question": question, "kind": kind, **counted}


def write(path: Path, figures: Iterable[dict[str, Any]]) -> None:
    """Write figures as CSV, what is not known left empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(figures)


def main() -> int:
    """Derive both files; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.recorded.derive", description=__doc__)
    parser.add_argument("directory", type=Path, help="where the two sets are")
    directory: Path = parser.parse_args().directory
    write(STAFF, staff(read(directory / "llmrouter_dev.jsonl.gz")))
    write(REFUNDS, refunds(read(directory / "gsm8k_dev.jsonl.gz")))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
