"""The policy document: what one workflow's traffic may use, in which order, and when an answer is good enough."""

from collections.abc import Container
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

DataClass = Literal["public", "internal", "confidential", "restricted"]
Risk = Literal["minimal", "limited", "high", "unacceptable"]
Tier = Literal["small", "mid", "frontier"]
Hosting = Literal["self", "hosted"]
Difficulty = Literal["easy", "medium", "hard"]
Pin = Literal["allow", "replace", "refuse"]
SignalName = Literal["input_tokens", "characters", "words", "sentences", "questions", "digits", "code"]

# Each tuple is an order: from harmless to grave, from cheap to dear.
DATA_CLASSES: tuple[DataClass, ...] = ("public", "internal", "confidential", "restricted")
RISKS: tuple[Risk, ...] = ("minimal", "limited", "high", "unacceptable")
TIERS: tuple[Tier, ...] = ("small", "mid", "frontier")

DATA_CLASS_RANK: dict[str, int] = {name: rank for rank, name in enumerate(DATA_CLASSES)}
RISK_RANK: dict[str, int] = {name: rank for rank, name in enumerate(RISKS)}
TIER_RANK: dict[str, int] = {name: rank for rank, name in enumerate(TIERS)}

# The model name that leaves the choice to the policy, and the step name that stands for every step.
AUTO = "auto"
ANY_STEP = "*"

# Control characters have no place in a name, and PostgreSQL stores no NUL.
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\A[^\x00-\x1f\x7f]+\Z")]
Text = Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"\A[^\x00]+\Z")]
Names = Annotated[tuple[Name, ...], Meta(max_length=200)]
# Decimal text, so that no amount of money ever passes through a float.
MoneyText = Annotated[str, Meta(pattern=r"\A[0-9]{1,10}(\.[0-9]{1,10})?\Z")]
Tokens = Annotated[int, Meta(ge=0, le=100_000_000)]
Milliseconds = Annotated[int, Meta(ge=1, le=3_600_000)]
Seconds = Annotated[int, Meta(ge=1, le=2_592_000)]


class Clause(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every part of a policy: immutable, and an unknown field is an error, never ignored."""


class Guards(Clause, frozen=True, kw_only=True):
    """What may be used at all; None narrows nothing, an empty list allows nothing. Guards only ever add up.

    ``data_class``: models must be cleared for at least this class, whatever the request says. ``regions``, ``hosting``,
    ``licences`` and ``models`` list what is allowed. ``max_cost``: USD that one request may cost with all its attempts.
    ``max_latency_ms``: milliseconds after which one request asks no further model.
    """

    data_class: DataClass | None = None
    regions: Names | None = None
    hosting: tuple[Hosting, ...] | None = None
    licences: Names | None = None
    models: Names | None = None
    max_cost: MoneyText | None = None
    max_latency_ms: Milliseconds | None = None


class Rung(Clause, frozen=True, kw_only=True):
    """One model of a ladder; ``keep_from`` (0 to 1) replaces the gate's for this model's answers."""

    model: Name
    keep_from: float | None = None


class Start(Clause, frozen=True, kw_only=True):
    """The tier at which triage lets a request enter the ladder."""

    easy: Tier
    medium: Tier
    hard: Tier


class Gate(Clause, frozen=True, kw_only=True):
    """When an answer is good enough: confidence, label and stop reason must all hold; None asks nothing."""

    keep_from: float | None = None
    labels: Names | None = None
    stop_reasons: Names | None = ("stop",)


class Expiry(Clause, frozen=True, kw_only=True):
    """What the application is told when nobody decided in time; ``answer`` is the text of the action ``answer``."""

    action: Literal["refuse", "answer"]
    answer: Text | None = None


class AnswerForm(Clause, frozen=True, kw_only=True):
    """What a reviewer fills in: one label of ``options``, a text, or the fields of a JSON ``schema``."""

    type: Literal["label", "text", "fields"]
    options: Names = ()
    schema: dict[str, Any] | None = None


class Review(Clause, frozen=True, kw_only=True):
    """When and how a person decides; times in seconds from the moment the review opens."""

    when: Literal["unsure", "always"]
    role: Name
    respond_within: Seconds
    expire_after: Seconds
    on_expiry: Expiry
    answer: AnswerForm
    title: Name | None = None


class Limits(Clause, frozen=True, kw_only=True):
    """Bounds of one request: output tokens of an answer, milliseconds for all attempts together."""

    max_output_tokens: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    deadline_ms: Milliseconds = 30_000


class Step(Clause, frozen=True, kw_only=True):
    """How the requests of one step are answered; the name ``*`` takes every step that has no part of its own."""

    name: Name
    ladder: Annotated[tuple[Rung, ...], Meta(max_length=20)]
    start: Start | None = None
    gate: Gate | None = None
    review: Review | None = None
    limits: Limits = Limits()


class StepIs(Clause, frozen=True, kw_only=True, tag_field="type", tag="step"):
    """The step that the request names is one of these."""

    is_: Names = msgspec.field(name="is")


class DataClassAtLeast(Clause, frozen=True, kw_only=True, tag_field="type", tag="data_class"):
    """The data class in force is this or a graver one."""

    at_least: DataClass


class RiskAtLeast(Clause, frozen=True, kw_only=True, tag_field="type", tag="risk"):
    """The risk in force is this or a graver one."""

    at_least: Risk


class LanguageIs(Clause, frozen=True, kw_only=True, tag_field="type", tag="language"):
    """The language that the request names is one of these."""

    is_: Names = msgspec.field(name="is")


class TagIs(Clause, frozen=True, kw_only=True, tag_field="type", tag="tag"):
    """The request carries this tag with one of these values."""

    name: Name
    is_: Names = msgspec.field(name="is")


class InputTokens(Clause, frozen=True, kw_only=True, tag_field="type", tag="input_tokens"):
    """The estimated input tokens lie between the bounds, both included."""

    at_least: Tokens | None = None
    at_most: Tokens | None = None


class SignalBetween(Clause, frozen=True, kw_only=True, tag_field="type", tag="signal"):
    """A signal of the text lies between the bounds, both included."""

    name: SignalName
    at_least: float | None = None
    at_most: float | None = None


class ModelIs(Clause, frozen=True, kw_only=True, tag_field="type", tag="model"):
    """The model that the request names is one of these (``auto`` when it leaves the choice to the policy)."""

    is_: Names = msgspec.field(name="is")


Condition = StepIs | DataClassAtLeast | RiskAtLeast | LanguageIs | TagIs | InputTokens | SignalBetween | ModelIs


class Then(Clause, frozen=True, kw_only=True):
    """What a rule does. Restrictions (``guards``, ``review``, ``refuse``) of all rules that fire add up.

    Choices (``start``, ``keep_from``) are made by the first rule that fires and makes them. ``refuse`` is the reason
    told to the application.
    """

    guards: Guards | None = None
    start: Tier | None = None
    review: bool = False
    refuse: Text | None = None
    keep_from: float | None = None


class Rule(Clause, frozen=True, kw_only=True):
    """When all conditions hold, the rule fires; a rule without conditions always fires."""

    name: Name
    when: Annotated[tuple[Condition, ...], Meta(max_length=20)] = ()
    then: Then


class Restriction(Clause, frozen=True, kw_only=True):
    """What a rule of a standard does: what ``Then`` does but for its choices, which are the policy's."""

    guards: Guards | None = None
    review: bool = False
    refuse: Text | None = None


class StandardRule(Clause, frozen=True, kw_only=True):
    """A rule of a standard: it fires as a policy's does, and only restricts."""

    name: Name
    when: Annotated[tuple[Condition, ...], Meta(max_length=20)] = ()
    then: Restriction

    def as_rule(self) -> Rule:
        """Return it as a rule that a policy could have."""
        then = Then(guards=self.then.guards, review=self.then.review, refuse=self.then.refuse)
        return Rule(name=self.name, when=self.when, then=then)


class Standard(Clause, frozen=True, kw_only=True):
    """What holds for every workflow of an organisation or a team, whatever their policies say."""

    format: Literal[1]
    guards: Guards = Guards()
    rules: Annotated[tuple[StandardRule, ...], Meta(max_length=50)] = ()

    def without(self, parts: Container[str]) -> "Standard":
        """Return what is left of it for a workflow that is excepted from some parts, named as ``part_keys`` does."""
        clauses = {name: None for name in Guards.__struct_fields__ if f"guards.{name}" in parts}
        rules = tuple(rule for rule in self.rules if rule_key(rule.name) not in parts)
        return msgspec.structs.replace(self, guards=msgspec.structs.replace(self.guards, **clauses), rules=rules)

    def part_keys(self) -> tuple[str, ...]:
        """Return the names of its parts, such as ``guards.regions`` and ``rules[NAME]``."""
        clauses = [f"guards.{name}" for name, value in msgspec.structs.asdict(self.guards).items() if value is not None]
        return (*clauses, *(rule_key(rule.name) for rule in self.rules))


def rule_key(name: str) -> str:
    """Return the name of a rule as a part of a document."""
    return f"rules[{name}]"


class Policy(Clause, frozen=True, kw_only=True):
    """A whole policy document. ``pin``: what a model named in the request means."""

    format: Literal[1]
    pin: Pin
    guards: Guards = Guards()
    steps: Annotated[tuple[Step, ...], Meta(max_length=100)]
    rules: Annotated[tuple[Rule, ...], Meta(max_length=200)] = ()
