"""Trials: a request that a person types, sent to an environment's gateway as any application sends one.

What is typed and answered is kept nowhere here; the decision and its attempts come in as those of every request.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.core import signing
from django.db.models import QuerySet

from governance import accounts, policies
from governance.errors import InvalidInput
from governance.models import ApiKey, Environment, Mode, PolicyHead, Review, User, Workflow
from governance.models.accounts import in_scope
from routing import asking
from routing.asking import Answer, NotReached
from smallfirst.engine.policy import ANY_STEP, AUTO, Step
from smallfirst.seal import SealError

# Longer than any policy lets a request take; what a gateway has not said by then it will not say.
SECONDS = 120.0
ASK_SECONDS = 5.0
# A new key reaches its gateways with their next look at the state, one to five seconds later.
TRIES = 10
TICKET_AGE = timedelta(days=1)
SALT = "routing.trials"


class State(StrEnum):
    """What came of a trial."""

    ANSWERED = "answered"
    PERSON = "person"
    NOT_YET = "not_yet"
    REFUSED = "refused"
    BROKEN = "broken"


TITLES = {
    "budget_exhausted": "The budget is used up",
    "invalid_request": "The gateway refused the request as it is",
    "no_model_available": "No model answered",
    "not_allowed": "Not allowed",
    "review_cancelled": "The case of this request was cancelled",
    "review_expired": "Nobody decided on this request in time",
    "review_refused": "A person refused this request",
}


@dataclass(frozen=True)
class Place:
    """Where a request may be tried: a step of a workflow whose policy is live in an environment."""

    workflow: Workflow
    environment: Environment
    step: Step
    mode: str

    @property
    def value(self) -> str:
        """How a form names it."""
        return f"{self.workflow.slug}/{self.environment.name}/{self.step.name}"

    @property
    def label(self) -> str:
        """How a person reads it, where all are in one environment."""
        step = "any other step" if self.step.name == ANY_STEP else self.step.name
        return f"{self.workflow.name}, {step}{' (only watched)' if self.mode == Mode.OBSERVE else ''}"


@dataclass(frozen=True)
class Request:
    """What is sent; an empty fact is left to the workflow, an empty model to the policy."""

    text: str
    data_class: str = ""
    risk: str = ""
    model: str = ""

    def body(self, step: str) -> dict[str, Any]:
        """As an application would write it."""
        facts = {"step": "" if step == ANY_STEP else step, "data_class": self.data_class, "risk": self.risk}
        return {
            "model": self.model or AUTO,
            "messages": [{"role": "user", "content": self.text}],
            "metadata": {name: value for name, value in facts.items() if value},
        }


@dataclass(frozen=True)
class Trial:
    """What came of a request that was tried: a title, the answer or what was said instead, and where to go on."""

    state: State
    title: str
    text: str
    decision: UUID | None = None
    review: UUID | None = None
    model: str = ""
    tier: str = ""


@dataclass(frozen=True)
class Ticket:
    """Whose trial waits for a person: only who typed it gets the answer."""

    decision: UUID
    review: UUID
    user: UUID


def places(user: User, *, workflow: str = "") -> list[Place]:
    """Return where a person may try a request, of one workflow or of all; one query."""
    heads = live(user)
    if workflow:
        heads = heads.filter(workflow__slug=workflow)
    return [
        Place(head.workflow, head.environment, step, head.mode)
        for head in heads.select_related("workflow", "environment", "version")
        for step in policies.read(head.version.document).steps
    ]


def live(user: User) -> QuerySet[PolicyHead]:
    """Return the live policies that a person may try: in use, and where something is served."""
    heads = PolicyHead.objects.filter(environment__recorded=False, workflow__retired_at=None)
    found = in_scope(heads, user, "trials.send", "workflow__team", environment="environment")
    return found.order_by("workflow__name", "environment__position")


def send(*, place: Place, request: Request, by: User) -> Trial:
    """Ask the environment's gateway with the key for trials. Raises NotPermitted. Makes that key if there is none."""
    try:
        _key, token = accounts.own_key(
            workflow=place.workflow, environment=place.environment, purpose=ApiKey.Purpose.TRIAL, by=by
        )
        answer = asking.ask(place.environment, token=token, body=request.body(place.step.name), seconds=SECONDS)
    except InvalidInput as error:
        return Trial(State.REFUSED, "This workflow takes no requests", str(error))
    except SealError:
        text = "It was sealed with another review key than this installation has now. Revoke it, and try again."
        return Trial(State.BROKEN, "The key for trials cannot be opened", text)
    except NotReached as error:
        return Trial(State.BROKEN, "No gateway was reached", str(error))
    return _read(answer)


def ticket(trial: Trial, user: User) -> str:
    """Return what proves that this person's trial waits for a person's answer."""
    return signing.dumps([str(trial.decision), str(trial.review), str(user.pk)], salt=SALT)


def redeem(text: str) -> Ticket | None:
    """Return the ticket, None where it is none of ours or too old."""
    try:
        decision, review, user = signing.loads(text, salt=SALT, max_age=TICKET_AGE)
    except (signing.BadSignature, ValueError):
        return None
    return Ticket(UUID(decision), UUID(review), UUID(user))


def outcome(ticket: Ticket, *, by: User) -> Trial | None:
    """Return what a person, or time, said to a trial; None while nobody has, or while the gateway is not reached.

    The gateway is asked as the application would ask it, so the outcome counts as fetched. Raises NotPermitted.
    """
    review = Review.objects.for_list().filter(pk=ticket.review).first()
    if review is None or review.status in Review.WAITING:
        return None
    held = accounts.own_key_held(
        workflow=review.workflow, environment=review.environment, purpose=ApiKey.Purpose.TRIAL, by=by
    )
    if held is None:
        return Trial(State.BROKEN, "The key for trials is gone", "It was revoked while this request waited.")
    try:
        answer = asking.review(review.environment, token=held[1], review=review.pk, seconds=ASK_SECONDS)
    except NotReached:
        return None
    return _outcome(answer, review)


def _outcome(answer: Answer, review: Review) -> Trial | None:
    told = answer.body.get("outcome")
    ended = answer.body.get("status") in Review.ENDED
    if answer.status != 200 or not ended:
        return None
    completion = answer.body.get("completion")
    if completion:
        who = review.ended_by or "The policy, as nobody decided in time,"
        return Trial(State.ANSWERED, f"{who} answered", _content(completion), tier="person")
    if told:
        return Trial(State.REFUSED, "Refused", "The application is told that its request is refused.")
    return Trial(State.REFUSED, "The case was cancelled", "The application is told so, and gets no answer.")


def _read(answer: Answer) -> Trial:
    """What a gateway's answer to a chat request comes to."""
    decision, review = _id(answer.said.get("decision")), _id(answer.said.get("review"))
    if answer.status == 200:
        model = answer.said.get("model", "")
        title = f"{'A person' if model == 'person' else model or 'A model'} answered"
        return Trial(State.ANSWERED, title, _content(answer.body), decision, review, model, answer.said.get("tier", ""))
    error = answer.body.get("error")
    said: dict[str, Any] = error if isinstance(error, dict) else {}
    code, text = str(said.get("code", "")), str(said.get("message", ""))
    if answer.status == 401:
        return Trial(State.NOT_YET, "The gateway does not know the key for trials yet", text)
    if code == "review_required":
        return Trial(State.PERSON, "A person is asked", "", decision, review)
    if code in TITLES:
        title = TITLES[code] + (f": {said['clause']}" if said.get("clause") else "")
        return Trial(State.REFUSED, title, text, decision, review)
    return Trial(State.BROKEN, f"The gateway answered {answer.status}", text or "It did not say why.", decision, review)


def _content(completion: dict[str, Any]) -> str:
    """The text of a chat completion."""
    try:
        return str(completion["choices"][0]["message"]["content"] or "")
    except (LookupError, TypeError):
        return ""


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
