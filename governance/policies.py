"""Policy documents: reading them, checking them against the register, and the digest that names their content."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec

from governance import admissions, answers, canonical, serving
from governance.admissions import Live
from governance.errors import InvalidDocument
from governance.models import Endpoint, Environment, Model, ModelVersion, Tier, Workflow
from governance.permissions import roles_with
from smallfirst import engine
from smallfirst.engine import Policy, Problem

# The escape of U+0000, not a backslash that is itself escaped.
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class InvalidPolicy(InvalidDocument):
    """The document is no policy, or one that cannot serve."""


def read(document: Mapping[str, Any]) -> Policy:
    """Return the policy a document holds. Raises InvalidPolicy for one of the wrong shape."""
    try:
        return engine.read_policy(document)
    except engine.PolicyError as error:
        raise InvalidPolicy(error.problems) from error


def check(document: Mapping[str, Any], *, workflow: Workflow, environment: Environment) -> dict[str, Any]:
    """Return the document in full, with every default written out. Raises InvalidPolicy naming every problem."""
    _refuse_unstorable(document)
    policy, admitted = read(document), admissions.live_in(environment)
    above = serving.inherited(environment).above(workflow)
    problems = above.problems(policy, registry(environment, admitted))
    problems = [*problems, *_admission_problems(policy, environment, admitted), *_review_problems(policy)]
    if problems:
        raise InvalidPolicy(problems)
    full: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(policy))
    return full


def draft(workflow: Workflow, environment: Environment) -> dict[str, Any] | None:
    """Return a document to start from: for every step the models served there that may see the workflow's data.

    They stand in rising tier behind a gate of confidence where their endpoints tell it, else the first stands alone.
    None where no model may serve it.
    """
    tells: dict[str, dict[str, bool]] = {tier: {} for tier in Tier.values}
    admitted = admissions.live_in(environment)
    for endpoint in Endpoint.objects.served_in(environment):
        model = endpoint.version.model
        if admissions.cleared(admitted.get(endpoint.version_id), workflow.data_class):
            tells[model.tier][model.name] = tells[model.tier].get(model.name, True) and endpoint.logprobs
    confident = [(name, told) for tier in Tier.values for name, told in tells[tier].items()]
    ladder = [{"model": name} for name, _told in confident]
    steps: list[dict[str, Any]] = [{"name": "*", "ladder": [rung]} for rung in ladder]
    if len(ladder) > 1 and all(told for _name, told in confident[:-1]):
        steps.insert(0, {"name": "*", "ladder": ladder, "gate": {"keep_from": 0.8}})
    for step in steps:
        document = {"format": 1, "pin": "allow", "steps": [step]}
        try:
            check(document, workflow=workflow, environment=environment)
        except InvalidPolicy:
            continue
        return document
    return None


def _admission_problems(policy: Policy, environment: Environment, admitted: Mapping[UUID, Live]) -> Iterator[Problem]:
    """Models on ladders that an endpoint there serves and that may not be asked: nobody admitted them, or suspended."""
    named = {rung.model for step in policy.steps for rung in step.ladder}
    named -= {each.name for each in admitted.values() if each.suspension is None}
    if not named:
        return
    current = ModelVersion.objects.filter(model__name__in=named, is_current=True).select_related("model")
    kept = {each.version.model.name: each for each in admissions.standings(current, environment) if each.why_not}
    for index, step in enumerate(policy.steps):
        for place, rung in enumerate(step.ladder):
            if rung.model in kept:
                message = f"{rung.model} may not be asked in {environment.name}: {kept[rung.model].why_not}"
                yield Problem(f"steps[{index}].ladder[{place}].model", message, "admit it first, or name another model")


def _review_problems(policy: Policy) -> Iterator[Problem]:
    """What would leave a case without anybody who may take it, or who could answer it."""
    takers = [str(role) for role in roles_with("reviews.take")]
    for index, step in enumerate(policy.steps):
        if step.review is None:
            continue
        path = f"steps[{index}].review"
        if step.review.role not in takers:
            message = f"nobody takes reviews as “{step.review.role}”"
            yield Problem(f"{path}.role", message, f"use {' or '.join(takers)}")
        fault = answers.schema_fault(step.review.answer.schema)
        if fault:
            yield Problem(f"{path}.answer.schema", f"this is no JSON schema ({fault})", "correct it")


def _refuse_unstorable(document: Mapping[str, Any]) -> None:
    """Raise InvalidPolicy for values that have no exact JSON form or that PostgreSQL cannot hold."""
    try:
        text = canonical.encode(document)
    except RecursionError as error:
        raise InvalidPolicy([Problem("", "it is nested too deeply", "flatten it")]) from error
    except ValueError as error:
        fix = "use finite numbers, whole ones below 2^53, and valid Unicode"
        raise InvalidPolicy([Problem("", f"it has no exact JSON form ({error})", fix)]) from error
    if NUL.search(text):
        raise InvalidPolicy([Problem("", "a text in it holds the character U+0000", "take it out")])


def digest(document: Mapping[str, Any]) -> str:
    """The SHA-256 of a document's canonical form, as 64 hexadecimal digits."""
    return canonical.digest(document)


def registry(environment: Environment, admitted: Mapping[UUID, Live] | None = None) -> engine.Registry:
    """What a policy of an environment can name: active models in their current version, and their endpoints.

    Prices are the ledger's, above governance. Every endpoint stands here as free, so that a cost ceiling, which is not
    judged here, leaves no model out.
    """
    endpoints = list(Endpoint.objects.served_in(environment))
    models = Model.objects.in_use().filter(versions__is_current=True).prefetch_related("versions").order_by("name")
    admitted = admissions.live_in(environment) if admitted is None else admitted
    return engine.Registry(
        models=tuple(engine_model(model, admitted) for model in models),
        endpoints=tuple(engine_endpoint(endpoint) for endpoint in endpoints),
        prices=tuple(
            engine.Price(endpoint=str(endpoint.id), currency="USD", input="0", output="0") for endpoint in endpoints
        ),
    )


def engine_model(model: Model, admitted: Mapping[UUID, Live]) -> engine.Model:
    """A model in its current version, as far as it is admitted, for the engine. Needs `versions`, best prefetched."""
    current = next(version for version in model.versions.all() if version.is_current)
    live = admitted.get(current.pk)
    return msgspec.convert(
        {
            **{field: getattr(model, field) for field in ("name", "tier", "hosting", "licence")},
            "id": str(model.id),
            "version": current.version,
            "data_classes": live.admission.data_classes if live else current.data_classes,
            "regions": current.regions,
            "context_tokens": current.context_tokens,
        },
        engine.Model,
    )


def engine_endpoint(endpoint: Endpoint) -> engine.Endpoint:
    """An endpoint as the engine knows it. Needs `version.model` and `provider`, best selected along."""
    fields = ("url", "upstream_model", "region", "hosting", "secret", "logprobs", "timeout_ms")
    return msgspec.convert(
        {
            **{field: getattr(endpoint, field) for field in fields},
            "id": str(endpoint.id),
            "model": endpoint.version.model.name,
            "provider": endpoint.provider.slug,
            "order": endpoint.position,
        },
        engine.Endpoint,
    )
