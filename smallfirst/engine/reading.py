"""A policy or a standard read from JSON, with every fault of its shape named by place."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec

from smallfirst.engine.decision import Output
from smallfirst.engine.policy import (
    DATA_CLASSES,
    RISKS,
    TIERS,
    Clause,
    Hosting,
    Pin,
    Policy,
    Rule,
    SignalName,
    Standard,
    StandardRule,
    Step,
)
from smallfirst.engine.words import listed

# What may stand in a field of fixed words, by the field's name; ``type`` and ``when`` by where they stand.
WORDS = {
    "format": "1",
    "pin": listed(get_args(Pin), "or"),
    "data_class": listed(DATA_CLASSES, "or"),
    "hosting": listed(get_args(Hosting), "or"),
    "easy": listed(TIERS, "or"),
    "medium": listed(TIERS, "or"),
    "hard": listed(TIERS, "or"),
    "start": listed(TIERS, "or"),
    "when": "unsure or always",
    "action": "refuse or answer",
    "name": listed(get_args(SignalName), "or"),
    "at_least": f"{listed(DATA_CLASSES, 'or')} for a data class, {listed(RISKS, 'or')} for a risk",
}
CONDITION_TYPES = "step, data_class, risk, language, tag, input_tokens, signal or model"
ANSWER_TYPES = "label, text or fields"
# msgspec's names for what JSON holds, in plain words.
KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}


class Problem(Output, frozen=True):
    """One thing wrong: where (such as ``steps[0].ladder[1].model``, empty for the whole), what, and how to mend it."""

    path: str
    message: str
    fix: str


class PolicyError(ValueError):
    """A document is not a policy at all; ``problems`` says why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{problem.path}: {problem.message}" for problem in problems))
        self.problems = tuple(problems)


def read_policy(document: bytes | Mapping[str, Any]) -> Policy:
    """Return the policy in a JSON text or in what JSON gives; says nothing about sense, which ``validate`` judges.

    Raises PolicyError with every part that has the wrong shape.
    """
    if isinstance(document, bytes):
        try:
            document = msgspec.json.decode(document)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PolicyError([Problem("", f"not JSON: {error}", "send one JSON object")]) from error
    try:
        return msgspec.convert(document, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(_shape_problems(document, error, Policy, {"steps": Step, "rules": Rule})) from error


def read_standard(document: Mapping[str, Any]) -> Standard:
    """Return the standard in what JSON gives. Raises PolicyError with every part that has the wrong shape."""
    try:
        return msgspec.convert(document, Standard)
    except msgspec.ValidationError as error:
        raise PolicyError(_shape_problems(document, error, Standard, {"rules": StandardRule})) from error


def _shape_problems(
    document: object, whole: msgspec.ValidationError, kind: type[Clause], parts: Mapping[str, type[Clause]]
) -> list[Problem]:
    """Look at each item of some parts by itself, since reading stops at the first fault; else report the whole's."""
    if not isinstance(document, dict):
        return [shape_problem("", whole)]
    problems = []
    frame = dict(document)
    for name, of_item in parts.items():
        items = document.get(name)
        if isinstance(items, list):
            frame[name] = []
            places = ((f"{name}[{index}]", item) for index, item in enumerate(items))
            problems += [problem for path, item in places for problem in _misshapen(path, item, of_item)]
    return problems + _misshapen("", frame, kind) or [shape_problem("", whole)]


def _misshapen(path: str, item: object, kind: type[Clause]) -> list[Problem]:
    try:
        msgspec.convert(item, kind)
    except msgspec.ValidationError as error:
        return [shape_problem(path, error)]
    return []


def shape_problem(prefix: str, error: msgspec.ValidationError) -> Problem:
    """Turn msgspec's one line, such as ``Expected `str`, got `int` - at `$.name```, into a problem below ``prefix``."""
    text, _, where = str(error).partition(" - at `$")
    path = (prefix + where.rstrip("`")).lstrip(".")
    field = re.fullmatch(r"Object (missing required|contains unknown) field `(.*)`", text)
    if field:
        path = f"{path}.{field[2]}".lstrip(".")
        if field[1] == "missing required":
            return Problem(path, "this field is missing", "add it")
        return Problem(path, "there is no such field", "remove it or correct its name")
    value = re.fullmatch(r"Invalid (?:enum )?value (.*)", text)
    if value:
        said = re.sub(r"^'(.*)'$", r"“\1”", value[1])
        return Problem(path, f"{said} is not allowed here", _words_for(path))
    if path.endswith("max_cost"):
        return Problem(path, "not an amount of money", 'write USD as decimal text, such as "0.0100"')
    message = re.sub(r"`([^`]*)`", lambda found: _kinds(found[1]), text)
    return Problem(path, message[:1].lower() + message[1:], "correct the value")


def _words_for(path: str) -> str:
    name = re.sub(r"\[\d+\]", "", path).rpartition(".")[2]
    if name == "type":
        return f"use {CONDITION_TYPES if '.when[' in path else ANSWER_TYPES}"
    return f"use {WORDS[name]}" if name in WORDS else "use one of the documented values"


def _kinds(names: str) -> str:
    return " or ".join(KINDS.get(name, name) for name in names.split(" | "))
