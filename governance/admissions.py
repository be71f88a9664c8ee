"""Admissions: which version of a model may be asked in an environment, for which data, where and under what conditions.

An admission is a content of the kind `model`: it becomes live by votes, and a condition that breaks suspends it until
another change attests it anew. What gateways are sent is read by `governance_admitted` in the database.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.db import transaction
from django.utils import timezone
from msgspec import Meta

from governance import canonical
from governance.errors import InvalidDocument, InvalidInput, store
from governance.models import (
    Change,
    Content,
    ContentHead,
    ContentKind,
    Endpoint,
    Environment,
    Model,
    ModelVersion,
    PolicyHead,
    Step,
    Suspension,
)
from governance.models.registry import ADDRESS, ADDRESS_WORDS
from governance.secrets import check_bound
from smallfirst.engine import Problem
from smallfirst.engine.policy import Clause, DataClass, Hosting, MoneyText, Name, Text
from smallfirst.engine.reading import shape_problem
from smallfirst.engine.words import listed

# What of an endpoint's row is agreed.
SERVED = ("url", "upstream_model", "region", "hosting")
HOSTED = {"self": "on our own machines", "hosted": "on machines of others"}


class Served(Clause, frozen=True, kw_only=True):
    """An endpoint at which it may be asked, by its key, as it is to be."""

    endpoint: UUID
    url: Text
    upstream_model: Name
    region: Name
    hosting: Hosting


class Score(Clause, frozen=True, kw_only=True):
    """The share it must get right in the newest evaluation of a step of a workflow, named by its short name."""

    workflow: Name
    step: Name
    at_least: Annotated[float, Meta(gt=0, le=1)]


class Conditions(Clause, frozen=True, kw_only=True):
    """What has to stay true; None and an empty list ask nothing.

    `cost` is USD for a million tokens, as the ledger counts the last 30 days; `valid_until` the last day; `served_as`
    the names under which its endpoints may say that they answer.
    """

    score: Score | None = None
    cost: MoneyText | None = None
    valid_until: date | None = None
    served_as: Annotated[tuple[Name, ...], Meta(max_length=20)] = ()


class Admission(Clause, frozen=True, kw_only=True):
    """The whole document."""

    format: Literal[1] = 1
    licence: Name
    data_classes: Annotated[tuple[DataClass, ...], Meta(min_length=1)]
    endpoints: Annotated[tuple[Served, ...], Meta(min_length=1, max_length=50)]
    conditions: Conditions = Conditions()


class InvalidAdmission(InvalidDocument):
    """The document is no admission, or one of what is not there."""


@dataclass(frozen=True)
class Standing:
    """How a model stands in an environment: `live` is what was agreed, None before; `suspension` what broke of it.

    `change` is the open change that would make another admission live, `made_by` the one that made this one so.
    """

    version: ModelVersion
    environment: Environment
    live: Admission | None
    suspension: Suspension | None
    change: Change | None
    made_by: Change | None

    @property
    def approved(self) -> bool:
        """Whether it may be asked there now."""
        return self.live is not None and self.suspension is None

    @property
    def level(self) -> str:
        """How it is shown."""
        if self.approved:
            return "good"
        return "bad" if self.suspension else "warn"

    @property
    def word(self) -> str:
        """How it stands, in a word or two."""
        if self.suspension is not None:
            return "suspended"
        if self.live is not None:
            until = self.live.conditions.valid_until
            return f"approved until {until:%-d %B %Y}" if until else "approved"
        return "in review" if self.change else "registered only"

    @property
    def said(self) -> list[str]:
        """What was agreed, in sentences."""
        return [text for key, text in _sentences(self.live) if not key.startswith("endpoint")] if self.live else []

    @property
    def why_not(self) -> str:
        """Why it may not be asked there, as the end of a sentence; empty if it may."""
        if self.suspension is not None:
            return f"it is suspended there ({self.suspension.said})"
        if self.live is not None:
            return ""
        return "its admission there is in review" if self.change else "nobody has admitted it there yet"


@dataclass(frozen=True)
class Live:
    """What was agreed of a version in an environment, and what broke of it; `name` is that of the model, if current."""

    name: str | None
    admission: Admission
    suspension: Suspension | None


def live_in(environment: Environment) -> dict[UUID, Live]:
    """Return what is agreed in an environment, suspended or not, by the key of the version; one query."""
    heads = ContentHead.objects.filter(kind=ContentKind.MODEL, environment=environment, content__isnull=False)
    return {
        version.pk: Live(
            version.model.name if version.is_current else None,
            read(head.content.document),
            getattr(head.content, "suspension", None),
        )
        for head in heads.select_related("content__suspension", "model_version__model")
        if head.content is not None and (version := head.model_version) is not None
    }


def cleared(live: Live | None, data_class: str) -> bool:
    """Whether a version may be asked for data of a class."""
    return live is not None and live.suspension is None and data_class in live.admission.data_classes


def standings(versions: Iterable[ModelVersion], environment: Environment | None = None) -> list[Standing]:
    """Return how some versions stand in each environment where one has an endpoint, a head or an open change.

    Four queries. With an environment there alone. Needs `model` of each version.
    """
    by_key = {version.pk: version for version in versions}
    heads = ContentHead.objects.filter(kind=ContentKind.MODEL, model_version__in=by_key)
    places = Endpoint.objects.filter(version__in=by_key, active=True)
    proposed = Change.objects.open().filter(kind=Change.Kind.MODEL, model_version__in=by_key)
    if environment is not None:
        heads, places = heads.filter(environment=environment), places.filter(environment=environment)
        proposed = proposed.filter(environment=environment)
    found = {
        (head.model_version_id, head.environment_id): head
        for head in heads.select_related("content__suspension", "change", "environment")
    }
    newest = {(each.model_version_id, each.environment_id): each for each in proposed.order_by("number")}
    keys = {*found, *newest, *places.values_list("version", "environment")}
    there = Environment.objects.in_bulk({place for _version, place in keys})
    told = [
        _standing(by_key[version], there[place], found.get((version, place)), newest.get((version, place)))
        for version, place in keys
        if version is not None and place is not None
    ]
    return sorted(told, key=lambda each: (each.environment.position, each.version.created_at))


def _standing(
    version: ModelVersion, environment: Environment, head: ContentHead | None, change: Change | None
) -> Standing:
    content = head.content if head else None
    return Standing(
        version=version,
        environment=environment,
        live=read(content.document) if content else None,
        suspension=getattr(content, "suspension", None) if content else None,
        change=change,
        made_by=head.change if head else None,
    )


def read(document: Mapping[str, Any]) -> Admission:
    """Return the admission a document holds. Raises InvalidAdmission for one of the wrong shape."""
    try:
        return msgspec.convert(document, Admission)
    except msgspec.ValidationError as error:
        raise InvalidAdmission([shape_problem("", error)]) from error


def draft(version: ModelVersion, environment: Environment) -> dict[str, Any]:
    """Return what to start from: what is live there, else all its classes; with every endpoint that is open there."""
    head = ContentHead.objects.filter(**_place(version, environment)).select_related("content").first()
    live = read(head.content.document) if head and head.content else None
    known = {each.endpoint: each for each in live.endpoints} if live else {}
    rows = Endpoint.objects.filter(version=version, environment=environment, active=True).order_by("position")
    endpoints = tuple(known.get(row.pk) or _served(row) for row in rows)
    made: dict[str, Any] = {"format": 1, "conditions": _plain(Conditions()), "data_classes": version.data_classes}
    made |= _plain(live) if live else {}
    return made | {"licence": version.model.licence, "endpoints": list(msgspec.to_builtins(endpoints))}


def moved(endpoint: Endpoint, url: str) -> dict[str, Any]:
    """Return what is agreed where an endpoint is, with another address of it."""
    document = draft(endpoint.version, endpoint.environment)
    for each in document["endpoints"]:
        if each["endpoint"] == str(endpoint.pk):
            each["url"] = url
    return document


def check(change: Change, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document in full. Raises InvalidAdmission, naming every place at fault."""
    try:
        canonical.encode(document)
    except (ValueError, RecursionError) as error:
        raise InvalidAdmission([Problem("", f"it has no exact JSON form ({error})", "correct it")]) from error
    admission, (version, environment) = read(document), _of(change)
    problems = [
        *_model_problems(version, admission),
        *_endpoint_problems(version, environment, admission),
        *_condition_problems(admission.conditions, timezone.localdate()),
    ]
    if problems:
        raise InvalidAdmission(problems)
    return _plain(admission)


def sentences(documents: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return what each of some documents says, sentences by key."""
    return [dict(_sentences(read(document))) for document in documents]


def apply(change: Change) -> None:
    """Let each endpoint's row say what was agreed of it, in the transaction that makes it live."""
    for each in read(change.revision.leads_to.document).endpoints:
        said = {"url": each.url, "upstream_model": each.upstream_model, "region": each.region, "hosting": each.hosting}
        Endpoint.objects.filter(pk=each.endpoint).update(**said)


def facts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an audit entry tells of an admission."""
    admission = read(document)
    until = admission.conditions.valid_until
    return {
        "licence": admission.licence,
        "data_classes": list(admission.data_classes),
        "endpoints": [each.url for each in admission.endpoints],
        "valid_until": until.isoformat() if until else None,
    }


def names(endpoint: Endpoint) -> bool:
    """Whether what is agreed names an endpoint."""
    head = ContentHead.objects.filter(**_place(endpoint.version, endpoint.environment), content__isnull=False)
    return head.filter(content__document__endpoints__contains=[{"endpoint": str(endpoint.pk)}]).exists()


@transaction.atomic
def begin(version: ModelVersion, environment: Environment) -> None:
    """Admit a version where Smallfirst itself sets up, with the endpoints that are open there; under the model's lock.

    Only while no policy is live in the environment: then nothing is asked there, and whoever votes on the first policy
    reads which models it names. Later, and for people always, it is a change. The audit entry is that of the endpoint.
    """
    if PolicyHead.objects.filter(environment=environment).exists():
        return
    place, document = _place(version, environment), draft(version, environment)
    head = ContentHead.objects.select_for_update(no_key=True).filter(**place).first() or ContentHead(**place)
    if head.change_id is not None or not document["endpoints"]:
        return
    number = Content.objects.filter(**place).count() + 1
    head.content = store(Content(**place, number=number, document=document, digest=canonical.digest(document)))
    store(head)


def _place(version: ModelVersion, environment: Environment) -> dict[str, Any]:
    return {"kind": ContentKind.MODEL, "workflow": None, "model_version": version, "environment": environment}


def _of(change: Change) -> tuple[ModelVersion, Environment]:
    if change.model_version is None or change.environment is None:
        raise LookupError("an admission is that of a model’s version in an environment")
    return change.model_version, change.environment


def _served(row: Endpoint) -> Served:
    return msgspec.convert(
        {"endpoint": str(row.pk), **{name: str(getattr(row, name)) for name in SERVED}},
        Served,
    )


def _plain(said: Admission | Conditions) -> dict[str, Any]:
    full: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(said))
    return full


def _model_problems(version: ModelVersion, admission: Admission) -> Iterator[Problem]:
    model = version.model
    if model.state != Model.State.ACTIVE:
        yield Problem("", f"{model.name} is retired", "name a model in use")
    if admission.licence != model.licence:
        yield Problem("licence", f"its licence is {model.licence}", f"write {model.licence}, if that is accepted")
    for index, name in enumerate(admission.data_classes):
        if name not in version.data_classes:
            message = f"version {version.version} is not cleared for {name} data"
            yield Problem(f"data_classes[{index}]", message, f"use {listed(version.data_classes, 'or')}")


def _endpoint_problems(version: ModelVersion, environment: Environment, admission: Admission) -> Iterator[Problem]:
    rows = {row.pk: row for row in Endpoint.objects.filter(version=version, environment=environment, active=True)}
    seen: set[UUID] = set()
    for index, each in enumerate(admission.endpoints):
        path, row = f"endpoints[{index}]", rows.get(each.endpoint)
        if row is None or each.endpoint in seen:
            message = "this endpoint stands here twice" if row else "there is no such open endpoint of it here"
            yield Problem(f"{path}.endpoint", message, "name each endpoint once that is open there")
            continue
        seen.add(each.endpoint)
        if each.region not in version.regions:
            yield Problem(f"{path}.region", f"it may not run in {each.region}", f"use {listed(version.regions, 'or')}")
        if not re.match(ADDRESS, each.url):
            yield Problem(f"{path}.url", "this is no address", ADDRESS_WORDS)
            continue
        try:
            check_bound(each.url, row.secret, field="url")
        except InvalidInput as error:
            yield Problem(f"{path}.url", str(error), "name an address that its key may be sent to")


def _condition_problems(conditions: Conditions, today: date) -> Iterator[Problem]:
    if conditions.valid_until is not None and conditions.valid_until < today:
        yield Problem("conditions.valid_until", "that day is over", "name a later one")
    score = conditions.score
    if score is not None and not Step.objects.filter(workflow__slug=score.workflow, name=score.step).exists():
        message = f"there is no step {score.step} of a workflow {score.workflow}"
        yield Problem("conditions.score.step", message, "name a step that is evaluated")


def _sentences(admission: Admission) -> Iterator[tuple[str, str]]:
    conditions = admission.conditions
    yield "licence", f"Its licence, {admission.licence}, is accepted."
    yield "data_classes", f"It may be asked for {listed(admission.data_classes)} data."
    for each in admission.endpoints:
        where = f"It is asked at {each.url} as {each.upstream_model}, in {each.region}, {HOSTED[each.hosting]}."
        yield f"endpoint {each.endpoint}", where
    if conditions.valid_until:
        yield "valid_until", f"It is approved until {conditions.valid_until:%-d %B %Y}, and then suspended."
    else:
        yield "valid_until", "It is approved without an end."
    if conditions.score is not None:
        step = f"step {conditions.score.step} of {conditions.score.workflow}"
        yield "score", f"It is suspended when it gets less than {conditions.score.at_least:.1%} of {step} right."
    if conditions.cost is not None:
        yield "cost", f"It is suspended when a million tokens cost more than USD {Decimal(conditions.cost):f}."
    if conditions.served_as:
        yield "served_as", f"It is suspended when another than {listed(conditions.served_as, 'or')} answers."
