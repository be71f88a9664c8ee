"""Labelled samples as people upload them: read whole or refused whole, with every fault named by its row."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from governance import canonical
from governance.errors import InvalidInput, clean
from routing.models.samples import MOST_LABELS, MOST_SAMPLES

MOST_BYTES = 5 * 1024 * 1024
MOST_CHARACTERS = 100_000
LABEL_LENGTH = CLUSTER_LENGTH = 200
# So many faults are told at once; who mends these finds the others next.
FAULTS_TOLD = 20
COLUMNS = ("text", "label", "cluster")
DELIMITERS = (",", ";", "\t")


class InvalidSamples(InvalidInput):
    """Nothing of it can be taken; `problems` says why, row by row, at most FAULTS_TOLD of `faults`."""

    def __init__(self, problems: Sequence[str], faults: int | None = None) -> None:
        self.problems = tuple(problems[:FAULTS_TOLD])
        self.faults = faults or len(problems)
        more = self.faults - len(self.problems)
        super().__init__("; ".join(self.problems) + (f"; and {more} more" if more > 0 else ""), field="file")


@dataclass(frozen=True)
class Row:
    """One labelled request: messages in OpenAI's shape, the right answer, and what it has in common with others."""

    messages: list[dict[str, str]]
    label: str
    cluster: str | None = None


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """One message of a sample; samples hold text alone."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, Meta(min_length=1)]


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """One line of a JSON Lines file: `text` or `messages`, never both."""

    label: str
    text: str | None = None
    messages: list[Message] | None = None
    cluster: str | None = None


def read(content: bytes, *, name: str) -> list[Row]:
    """Return the rows of a file whose name ends in .csv or .jsonl. Raises InvalidSamples naming each faulty row."""
    if len(content) > MOST_BYTES:
        raise InvalidSamples([f"The file has {len(content):,} bytes, at most {MOST_BYTES:,} are taken: split the set"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise InvalidSamples([f"line {row}: this is not UTF-8; save the file as UTF-8"]) from error
    kind = name.lower().rpartition(".")[2]
    readers: dict[str, Callable[[str], Iterator[Row | str]]] = {"csv": _csv, "jsonl": _jsonl, "ndjson": _jsonl}
    if kind not in readers:
        raise InvalidSamples(["Upload a file whose name ends in .csv or .jsonl"])
    rows: list[Row] = []
    problems: list[str] = []
    faults = 0
    for found in readers[kind](text):
        if isinstance(found, Row):
            rows.append(found)
        else:
            faults += 1
            problems = [*problems, found] if faults <= FAULTS_TOLD else problems
        if len(rows) + faults > MOST_SAMPLES:
            raise InvalidSamples([f"The file has more than {MOST_SAMPLES:,} rows: split the set"])
    if problems:
        raise InvalidSamples(problems, faults)
    if not rows:
        raise InvalidSamples(["The file holds no sample"])
    return rows


def labels_of(rows: Sequence[Row], wanted: Sequence[str]) -> list[str]:
    """Return the labels of a set: those that were named, else those that its rows have.

    Raises InvalidSamples for rows with another label, and for too many of them.
    """
    named = list(dict.fromkeys(label for each in wanted if (label := clean("labels", each))))
    used = sorted({row.label for row in rows})
    if named:
        strange = [
            f"row {number}: {_quoted(row.label)} is none of the labels"
            for number, row in enumerate(rows, 1)
            if row.label not in named
        ]
        if strange:
            raise InvalidSamples(strange)
    chosen = named or used
    if len(chosen) > MOST_LABELS:
        raise InvalidSamples([f"The set has {len(chosen)} labels, at most {MOST_LABELS} are told apart"])
    alike: dict[str, str] = {}
    for label in chosen:
        if alike.setdefault(label.casefold(), label) != label:
            first = alike[label.casefold()]
            raise InvalidSamples([f"The labels {_quoted(first)} and {_quoted(label)} differ in case alone: write one"])
    return chosen


def digest(rows: Sequence[Row]) -> str:
    """The SHA-256 over the canonical form of all rows, in their order, as 64 hexadecimal digits."""
    whole = sha256()
    for row in rows:
        whole.update(canonical.encode([row.messages, row.label, row.cluster]) + b"\n")
    return whole.hexdigest()


def label_of(text: str, labels: Sequence[str]) -> str | None:
    """The label that an answer is, however it is spelled; None when it is none of them."""
    said = text.strip().casefold()
    return next((label for label in labels if label.casefold() == said), None)


def _csv(text: str) -> Iterator[Row | str]:
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        columns = [column.strip().lower() for column in next(reader, [])]
        _check_columns(columns)
        for number, cells in enumerate(filter(None, reader), 1):
            if len(cells) != len(columns):
                yield f"row {number}: it has {len(cells)} cells, the head has {len(columns)}"
                continue
            named = dict(zip(columns, cells, strict=True))
            yield _row(number, [{"role": "user", "content": named["text"]}], named["label"], named.get("cluster"))
    except csv.Error as error:
        yield f"row {number + 1}: this is not CSV ({error})"


def _check_columns(columns: Sequence[str]) -> None:
    missing = [column for column in COLUMNS[:2] if column not in columns]
    unknown = [column for column in columns if column not in COLUMNS]
    if missing:
        raise InvalidSamples([f"The first line names the columns, and {' and '.join(missing)} is not among them"])
    if unknown or len(set(columns)) < len(columns):
        what = f"unknown: {', '.join(map(_quoted, unknown))}" if unknown else "one of them twice"
        raise InvalidSamples([f"The columns are text, label and, where there is one, cluster ({what})"])


def _jsonl(text: str) -> Iterator[Row | str]:
    # Not splitlines: texts may hold other characters that Unicode calls line ends.
    for number, each in enumerate(text.split("\n"), 1):
        if not each.strip():
            continue
        try:
            line = msgspec.json.decode(each, type=Line)
        except (msgspec.MsgspecError, RecursionError) as error:
            yield f"row {number}: {str(error).replace('`', '')}"
            continue
        if (line.text is None) == (line.messages is None):
            yield f"row {number}: write text or messages, one of them"
            continue
        messages = (
            [{"role": "user", "content": line.text}]
            if line.text is not None
            else [{"role": each.role, "content": each.content} for each in line.messages or ()]
        )
        yield _row(number, messages, line.label, line.cluster)


def _row(number: int, messages: list[dict[str, str]], label: str, cluster: str | None) -> Row | str:
    """One row checked, or what is wrong with it."""
    size = sum(len(message["content"]) for message in messages)
    if not any(message["content"].strip() for message in messages):
        return f"row {number}: the text is missing"
    if size > MOST_CHARACTERS:
        return f"row {number}: the text has {size:,} characters, at most {MOST_CHARACTERS:,} are taken"
    try:
        label, cluster = clean("label", label), clean("cluster", cluster or "") or None
    except InvalidInput as error:
        return f"row {number}: {error}"
    if not label:
        return f"row {number}: the label is missing"
    if len(label) > LABEL_LENGTH or len(cluster or "") > CLUSTER_LENGTH:
        return f"row {number}: label and cluster have at most {LABEL_LENGTH} characters"
    return Row(messages, label, cluster)


def _quoted(text: str) -> str:
    return f"“{text[:40]}…”" if len(text) > 40 else f"“{text}”"


def opened(content: bytes) -> list[dict[str, Any]]:
    """The messages that a box held."""
    return msgspec.json.decode(content, type=list[dict[str, Any]])


def words(messages: Sequence[Mapping[str, Any]]) -> str:
    """The messages of a sample as one text for a reader; a lone one stands without its role."""
    if len(messages) == 1:
        return str(messages[0]["content"])
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)
