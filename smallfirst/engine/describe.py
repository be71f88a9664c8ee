"""A policy in sentences, and the difference between two policies sentence by sentence."""

import difflib
import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Literal

from smallfirst.engine.decision import Output
from smallfirst.engine.policy import (
    ANY_STEP,
    Condition,
    DataClassAtLeast,
    Gate,
    Guards,
    InputTokens,
    LanguageIs,
    ModelIs,
    Policy,
    Review,
    RiskAtLeast,
    Rule,
    SignalBetween,
    Standard,
    Start,
    Step,
    StepIs,
    TagIs,
    Tier,
    rule_key,
)
from smallfirst.engine.words import listed, plural, share

Colour = Tier | Literal["person"]

PINS = {
    "allow": "A model that is asked for by name is used where the guards allow it.",
    "replace": "A model that is asked for by name is replaced by the policy’s own choice.",
    "refuse": "A request that names a model is refused.",
}


# The clauses of a standard's guards, as a sentence calls them.
CLAUSES = {
    "guards.data_class": "the clearance of models",
    "guards.regions": "the regions",
    "guards.hosting": "the hosting",
    "guards.licences": "the licences",
    "guards.models": "the allowed models",
    "guards.max_cost": "the cost of a request",
    "guards.max_latency_ms": "the time of a request",
}


class Part(Output, frozen=True):
    """A piece of a changed sentence: text that stays, that goes (``del``) or that comes (``ins``)."""

    kind: Literal["same", "del", "ins"]
    text: str


class Sentence(Output, frozen=True):
    """A sentence that changed. ``before`` is None where it is new, ``after`` where it is gone; ``path``: its place."""

    path: str
    before: str | None
    after: str | None
    parts: tuple[Part, ...]


class Line(Output, frozen=True):
    """A sentence with its place in the document and a key that stays the same when its neighbours move."""

    key: str
    path: str
    text: str
    colour: Colour | None = None


def sentences(document: Policy) -> list[tuple[str, str, Colour | None]]:
    """Return the policy as sentences in the order of the document: path, sentence, and the tier that it speaks of."""
    return [(line.path, line.text, line.colour) for line in _lines(document)]


def difference(old: Policy | None, new: Policy) -> list[Sentence]:
    """Return the sentences that differ, in the order of the new document and with what is gone last.

    Steps and rules are matched by name, so moving one changes only what is said about the order. Never empty for two
    documents that differ.
    """
    before = {} if old is None else {line.key: line for line in _lines(old)}
    after = {line.key: line for line in _lines(new)}
    changed = []
    for key, line in after.items():
        known = before.get(key)
        if known is None:
            changed.append(Sentence(line.path, None, line.text, (Part("ins", line.text),)))
        elif known.text != line.text:
            changed.append(Sentence(line.path, known.text, line.text, _parts(known.text, line.text)))
    for key, line in before.items():
        if key not in after:
            changed.append(Sentence(line.path, line.text, None, (Part("del", line.text),)))
    if not changed and old != new:
        text = "Something changes that no sentence shows; compare the documents."
        changed.append(Sentence("", None, text, (Part("ins", text),)))
    return changed


def standard_sentences(standard: Standard) -> list[tuple[str, str]]:
    """Return a standard as sentences, each with the name of the part that it tells."""
    clauses = [(f"guards.{name}", f"{text[:1].upper()}{text[1:]}.") for name, text in _guard_clauses(standard.guards)]
    return clauses + [(rule_key(rule.name), _rule_text(rule.as_rule())) for rule in standard.rules]


def part_named(key: str) -> str:
    """Return what a part of a standard is called in a sentence."""
    return CLAUSES.get(key) or f"rule “{key.removeprefix('rules[').removesuffix(']')}”"


def _lines(policy: Policy) -> Iterator[Line]:
    yield Line("pin", "pin", PINS[policy.pin])
    for name, text in _guard_clauses(policy.guards):
        yield Line(f"guards.{name}", f"guards.{name}", f"{text[:1].upper()}{text[1:]}.")
    every = "every step" if len(policy.steps) == 1 else "every other step"
    names = [every if step.name == ANY_STEP else step.name for step in policy.steps]
    yield Line("steps", "steps", f"The policy covers {listed(names) or 'no step'}.")
    for index, (step, name) in enumerate(zip(policy.steps, names, strict=True)):
        key, path = f"steps[{step.name}]", f"steps[{index}]"
        for line in _step_lines(step):
            yield Line(f"{key}.{line.key}", f"{path}.{line.path}", f"In {name}, {line.text}.", line.colour)
    if len(policy.rules) > 1:
        order = listed([f"“{rule.name}”" for rule in policy.rules])
        yield Line("rules", "rules", f"Where several rules choose, the first does, in the order {order}.")
    for index, rule in enumerate(policy.rules):
        colour = "person" if rule.then.review else rule.then.start
        yield Line(f"rules[{rule.name}]", f"rules[{index}]", _rule_text(rule), colour)


def _step_lines(step: Step) -> Iterator[Line]:
    models = [rung.model for rung in step.ladder]
    yield Line("ladder", "ladder", _ladder_text(models))
    yield from _start_lines(step.start)
    yield Line("gate.keep_from", "gate.keep_from", _keep_text(step))
    for index, rung in enumerate(step.ladder):
        if rung.keep_from is not None:
            text = f"an answer of {rung.model} is kept from confidence {share(rung.keep_from)}"
            yield Line(f"ladder[{rung.model}].keep_from", f"ladder[{index}].keep_from", text)
    if step.gate is not None:
        yield from _gate_lines(step.gate)
    if step.review is None:
        yield Line("review.when", "review", "no person is asked", "person")
    else:
        yield from _review_lines(step.review)
    if step.limits.max_output_tokens is not None:
        tokens = plural(step.limits.max_output_tokens, "token")
        yield Line("limits.max_output_tokens", "limits.max_output_tokens", f"an answer has at most {tokens}")
    text = f"no further model is asked after {_milliseconds(step.limits.deadline_ms)}"
    yield Line("limits.deadline_ms", "limits.deadline_ms", text)


def _ladder_text(models: list[str]) -> str:
    if not models:
        return "no model is asked"
    if len(models) == 1:
        return f"only {models[0]} is asked"
    return f"{models[0]} answers first, then {', then '.join(models[1:])}"


def _start_lines(start: Start | None) -> Iterator[Line]:
    if start is None:
        yield Line("start", "start", "every request starts at the bottom rung")
        return
    for name, tier in (("easy", start.easy), ("medium", start.medium), ("hard", start.hard)):
        article = "an" if name == "easy" else "a"
        yield Line(f"start.{name}", f"start.{name}", f"{article} {name} request starts at {tier}", tier)


def _keep_text(step: Step) -> str:
    """Say from when an answer is kept and what happens below, in one sentence whatever of it changes."""
    if step.gate is None:
        return "the first answer is kept as it is"
    if step.gate.keep_from is None:
        return "an answer is kept whatever its confidence"
    if len(step.ladder) > 1:
        below = "below that the next rung answers"
    else:
        below = "there is no next rung" if step.review is None else "below that a person is asked"
    return f"an answer is kept from confidence {share(step.gate.keep_from)}; {below}"


def _gate_lines(gate: Gate) -> Iterator[Line]:
    if gate.labels is not None:
        text = f"an answer is kept only if it is {listed(gate.labels, 'or') or 'one of no labels'}"
        yield Line("gate.labels", "gate.labels", text)
    if gate.stop_reasons is not None:
        text = f"an answer is kept only if it ended with {listed(gate.stop_reasons, 'or') or 'no reason at all'}"
        yield Line("gate.stop_reasons", "gate.stop_reasons", text)


def _review_lines(review: Review) -> Iterator[Line]:
    when = "releases every answer" if review.when == "always" else "decides when no model that was asked is sure"
    yield Line("review.when", "review.when", f"a person with the role {review.role} {when}", "person")
    text = f"a person answers within {_seconds(review.respond_within)}"
    yield Line("review.respond_within", "review.respond_within", text, "person")
    expiry = review.on_expiry
    told = "refused" if expiry.action == "refuse" else f"answered with “{expiry.answer or ''}”"
    text = f"what nobody decided within {_seconds(review.expire_after)} is {told}"
    yield Line("review.on_expiry", "review.on_expiry", text, "person")
    form = review.answer
    if form.type == "label":
        text = f"the person chooses among {listed(form.options)}"
    elif form.type == "text":
        text = "the person writes a text"
    else:
        fields = (form.schema or {}).get("properties")
        named = f"fills in {listed(list(fields))}" if isinstance(fields, dict) and fields else "fills in a form"
        text = f"the person {named} (schema {_fingerprint(form.schema)})"
    yield Line("review.answer", "review.answer", text, "person")
    if review.title is not None:
        yield Line("review.title", "review.title", f"a case is titled “{review.title}”", "person")


def _guard_clauses(guards: Guards) -> Iterator[tuple[str, str]]:
    """Yield each guard that narrows something as the words of a clause."""
    if guards.data_class is not None:
        yield "data_class", f"only models cleared for {guards.data_class} data are asked"
    if guards.regions is not None:
        yield "regions", f"only endpoints in {_allowed(guards.regions)} are asked"
    if guards.hosting is not None:
        names = ["self-hosted" if hosting == "self" else "hosted" for hosting in guards.hosting]
        yield "hosting", f"only {_allowed(names)} models are asked"
    if guards.licences is not None:
        yield "licences", f"only models under {_allowed(guards.licences)} are asked"
    if guards.models is not None:
        yield "models", f"of all models only {_allowed(guards.models)} may be asked"
    if guards.max_cost is not None:
        yield "max_cost", f"one request may cost at most USD {guards.max_cost}"
    if guards.max_latency_ms is not None:
        yield "max_latency_ms", f"one request asks no further model after {_milliseconds(guards.max_latency_ms)}"


def _rule_text(rule: Rule) -> str:
    conditions = listed([_condition_text(condition) for condition in rule.when])
    then = rule.then
    effects = []
    if then.refuse is not None:
        effects.append(f"the request is refused with “{then.refuse}”")
    if then.guards is not None:
        effects += [text for _, text in _guard_clauses(then.guards)]
    if then.start is not None:
        effects.append(f"the ladder starts at {then.start}")
    if then.keep_from is not None:
        effects.append(f"an answer is kept from confidence {share(then.keep_from)}")
    if then.review:
        effects.append("a person releases the answer")
    when = f"when {conditions}" if conditions else "always"
    return f"Rule “{rule.name}”: {when}, {listed(effects) or 'nothing happens'}."


def _condition_text(condition: Condition) -> str:
    match condition:
        case StepIs(is_=names):
            return f"the step is {listed(names, 'or')}"
        case DataClassAtLeast(at_least=data_class):
            return f"the data is {data_class} or graver"
        case RiskAtLeast(at_least=risk):
            return f"the risk is {risk} or graver"
        case LanguageIs(is_=names):
            return f"the language is {listed(names, 'or')}"
        case TagIs(name=name, is_=values):
            return f"the tag {name} is {listed(values, 'or')}"
        case InputTokens(at_least=least, at_most=most):
            return f"the input has {_bounds(least, most)} tokens"
        case SignalBetween(name=name, at_least=least, at_most=most):
            return f"the signal {name} is {_bounds(least, most)}"
        case ModelIs(is_=names):
            return f"the model asked for is {listed(names, 'or')}"


def _bounds(least: float | None, most: float | None) -> str:
    words = []
    if least is not None:
        words.append(f"at least {least:,}")
    if most is not None:
        words.append(f"at most {most:,}")
    return listed(words) or "any number of"


def _allowed(names: tuple[str, ...] | list[str]) -> str:
    return listed(names) or "none"


def _seconds(seconds: int) -> str:
    """Write a time in the largest unit that leaves nothing over."""
    for size, noun in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return plural(seconds // size, noun)
    return plural(seconds, "second")


def _milliseconds(milliseconds: int) -> str:
    if milliseconds % 1000 == 0:
        return _seconds(milliseconds // 1000)
    return f"{milliseconds:,} ms"


def _fingerprint(schema: object) -> str:
    """Return eight digits that change with the schema, since its fields' names alone would hide an edit."""
    return sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()[:8]


def _parts(before: str, after: str) -> tuple[Part, ...]:
    """Compare two sentences word by word; a number is one word."""
    old, new = (re.findall(r"\s+|\w[\w.,]*\w|\w|[^\w\s]", text) for text in (before, after))
    parts: list[Part] = []
    for tag, start, end, new_start, new_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            parts.append(Part("same", "".join(old[start:end])))
            continue
        if end > start:
            parts.append(Part("del", "".join(old[start:end])))
        if new_end > new_start:
            parts.append(Part("ins", "".join(new[new_start:new_end])))
    return tuple(parts)
