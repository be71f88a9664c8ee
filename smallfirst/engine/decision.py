"""What comes out of the engine: a plan or a refusal, the move after each attempt, the stored decision, its reasons."""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from smallfirst.engine.facts import AttemptSignals, Facts, Id, Input, Signals, State
from smallfirst.engine.policy import Difficulty, Gate, Limits, Name, Names, Review, Tier

# Clauses that leave a candidate out for now; all others, bar the second line, are the guards' doing.
STATE_CLAUSES = ("stopped", "breaker_open")
MISSING_CLAUSES = ("unregistered", "no_endpoint", "suspended")

Outcome = Literal["kept", "person", "failed", "refused"]
RefusalCode = Literal["not_allowed", "no_model_available", "unknown_model"]

Figures = dict[str, str | int | float | None]


class Output(msgspec.Struct, frozen=True):
    """Base of what the engine hands back: immutable."""


class Reason(Output, frozen=True):
    """One sentence for a person, its code for a program, and the figures it names."""

    code: str
    sentence: str
    facts: Figures = {}


class LeftOut(Output, frozen=True):
    """A candidate that is not asked: its model's name, the clause that left it out, and that in words."""

    model: str
    clause: str
    text: str


class PlannedEndpoint(Output, frozen=True):
    """One place where a rung's model may be asked.

    The amounts (USD) are worked out only under a cost ceiling: the price of the estimated input, that of one output
    token, and ``most``, what one attempt can cost.
    """

    id: str
    input_cost: Decimal = Decimal(0)
    output_rate: Decimal = Decimal(0)
    most: Decimal = Decimal(0)


class PlannedRung(Output, frozen=True):
    """One rung of the ladder: endpoints in the order they are asked; ``keep_from`` None asks no confidence."""

    model: str
    tier: Tier
    endpoints: tuple[PlannedEndpoint, ...]
    keep_from: float | None


class PolicyNumber(Output, frozen=True):
    """The policy version behind a plan: its id and the number that people use."""

    id: str
    number: int


class Observed(Input, frozen=True, kw_only=True):
    """What a policy that is only watched would have done, had the choice of the model been left to it.

    ``model`` and ``tier`` are of the rung where it would have started, ``ladder`` the models from there up. Where it
    would have refused, ``clause`` says by what, and there is no model.
    """

    model: Name | None = None
    tier: Tier | None = None
    ladder: Names = ()
    clause: Name | None = None


class Plan(Output, frozen=True):
    """The ladder of one request after every guard; ``start`` is the index of the rung that is asked first.

    ``rules`` are the names of all rules that fired, ``left_out`` every candidate that is not in ``rungs``. ``gate`` is
    None when the first rung that answers is kept. ``review`` is None when no person is ever asked, and its ``when`` is
    ``always`` when ``review_rule`` asks for a person. ``start_rule`` is the rule that chose the start, where one did.
    ``limits`` are those in force; ``max_cost`` is the narrowest ceiling, USD. ``observed`` stands where the policy was
    only watched.
    """

    policy_version: PolicyNumber
    step: str
    rules: tuple[str, ...]
    triage: Difficulty
    rungs: tuple[PlannedRung, ...]
    left_out: tuple[LeftOut, ...]
    start: int
    start_rule: str | None
    gate: Gate | None
    review: Review | None
    review_rule: str | None
    limits: Limits
    max_cost: Decimal | None
    observed: Observed | None = None


class Refusal(Output, frozen=True):
    """No model may be asked; ``clause`` says what refused, ``text`` says it in words.

    ``not_allowed``: a guard or rule forbids it. ``no_model_available``: may pass by itself. ``unknown_model``: the
    request names a model that is not registered.
    """

    policy_version: PolicyNumber | None
    step: str
    rules: tuple[str, ...]
    triage: Difficulty
    code: RefusalCode
    clause: str
    text: str
    left_out: tuple[LeftOut, ...] = ()
    observed: Observed | None = None


class Keep(Output, frozen=True):
    """The answer of this rung is the request's answer."""

    rung: int


class Climb(Output, frozen=True):
    """Ask this rung at this endpoint next: the first rung, the same one elsewhere, or a higher one."""

    rung: int
    endpoint: str


class Person(Output, frozen=True):
    """A person decides; ``rung`` holds the answer that is proposed to him."""

    reason: Reason
    rung: int


class Fail(Output, frozen=True):
    """No answer and nothing left to ask."""

    reason: Reason


Move = Keep | Climb | Person | Fail


class Decision(Input, frozen=True, kw_only=True):
    """A decision as it is stored and sent: all that went into it, and what came out; the reasons are found by replay.

    ``at`` is RFC 3339 in UTC with microseconds; ``key``, ``environment`` and ``workflow`` are ids, ``snapshot`` is a
    SHA-256 in hex. ``outcome``: ``kept`` a model's answer, ``person`` (then ``review`` is the review's id), ``failed``
    or ``refused``. ``observed`` stands exactly where the policy was only watched.
    """

    id: Id
    at: Annotated[str, Meta(pattern=r"\A20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z\Z")]
    workflow: Id
    environment: Id
    key: Id
    step: Name
    run: Name | None
    facts: Facts
    signals: Signals
    state: State
    snapshot: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    policy_version: Id | None
    attempts: Annotated[tuple[AttemptSignals, ...], Meta(max_length=200)]
    outcome: Outcome
    kept_model: Name | None
    tier: Tier | None
    review: Id | None
    triage: Difficulty
    observed: Observed | None = None
