"""What a person may answer to a review: one of some labels, a text, or the fields of a JSON schema."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import rfc8785

from governance import canonical
from governance.errors import GovernanceError, InvalidInput, clean

MOST_CHARACTERS = 20_000
MOST_BYTES = 100_000
# Rust's own expressions take linear time, whatever pattern a schema brings.
PATTERNS = jsonschema_rs.RegexOptions()


class InvalidAnswer(GovernanceError):
    """The answer is not what the review asks for; `field` is its part: label, text, fields or a path below fields."""


def check(answer: Mapping[str, Any], *, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer as it is kept: `{"label": …}`, `{"text": …}` or `{"fields": {…}}`, whichever the shape asks for.

    `shape` is the review's `{"type", "options", "schema"}`. Raises InvalidAnswer naming field and fix.
    """
    kind = shape["type"]
    if set(answer) != {_NAMES[kind]}:
        raise InvalidAnswer(f"{_NAMES[kind]}: answer with this field, and no other", field=_NAMES[kind])
    match kind:
        case "label":
            return {"label": _label(answer["label"], shape["options"])}
        case "text":
            return {"text": _text(answer["text"])}
        case _:
            return {"fields": _fields(answer["fields"], shape["schema"])}


def schema_fault(schema: Mapping[str, Any] | None) -> str:
    """What is wrong with a JSON schema of fields, or an empty text."""
    try:
        _rules(schema)
    except ValueError as error:
        return str(getattr(error, "message", error))
    return ""


_NAMES = {"label": "label", "text": "text", "fields": "fields"}


def _label(said: Any, options: list[str]) -> str:
    if not isinstance(said, str) or said not in options:
        raise InvalidAnswer(f"label: choose one of {', '.join(options)}", field="label")
    return said


def _text(said: Any) -> str:
    if not isinstance(said, str):
        raise InvalidAnswer("text: write a text", field="text")
    try:
        text = clean("text", said)
    except InvalidInput as error:
        raise InvalidAnswer(str(error), field="text") from error
    if not text:
        raise InvalidAnswer("text: write an answer", field="text")
    if len(text) > MOST_CHARACTERS:
        raise InvalidAnswer(f"text: write at most {MOST_CHARACTERS:,} characters, not {len(text):,}", field="text")
    return text


def _fields(said: Any, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise InvalidAnswer("fields: write a JSON object", field="fields")
    try:
        size = len(canonical.encode(said))
    except (rfc8785.CanonicalizationError, ValueError) as error:
        raise InvalidAnswer(f"fields: {error}; write large or exact numbers as text", field="fields") from error
    if size > MOST_BYTES:
        raise InvalidAnswer(f"fields: write at most {MOST_BYTES:,} bytes, not {size:,}", field="fields")
    broken = schema_fault(schema)
    if broken:
        raise InvalidAnswer(
            f"fields: the schema of this case is itself wrong ({broken}); ask the governance lead to cancel the case",
            field="fields",
        )
    for fault in _rules(schema).iter_errors(said):
        field = ".".join(["fields", *map(str, fault.instance_path)])
        raise InvalidAnswer(f"{field}: {fault.message}", field=field)
    return said


def _rules(schema: Mapping[str, Any] | None) -> jsonschema_rs.Validator:
    # An application may have written the schema: it must not make this server fetch anything.
    return jsonschema_rs.validator_for(dict(schema or {}), offline=True, pattern_options=PATTERNS)
