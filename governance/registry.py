"""The register: environments, providers, models with their versions, and the endpoints that serve them."""

from collections.abc import Iterable
from datetime import date

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from governance import admissions, audit
from governance.accounts import ORGANISATION, require
from governance.audit import Actor, Service
from governance.errors import GovernanceError, InvalidInput, store
from governance.models import Endpoint, Environment, Model, ModelVersion, PolicyHead, Provider, Team, User
from governance.registry_facts import account_facts, card_facts, model_facts, version_facts
from governance.secrets import check_bound


class ModelInUse(GovernanceError):
    """A live policy names the model; its workflows stand in the text."""


class ProviderInUse(GovernanceError):
    """The provider has open endpoints; the models they serve stand in the text."""


class EndpointAdmitted(GovernanceError):
    """An admission names the endpoint: its address changes by a change."""


@transaction.atomic
def add_environment(*, name: str, votes_needed: int, position: int, by: Actor, recorded: bool = False) -> Environment:
    """Add an environment. `votes_needed` people other than the authors must approve a change there; 0 asks nobody.

    `position` orders environments on the way to production; a `recorded` one holds recordings, and serves nothing.
    Raises NotPermitted and InvalidInput.
    """
    require(by, "registry.edit", ORGANISATION)
    made = store(Environment(name=name, votes_needed=votes_needed, position=position, recorded=recorded))
    votes = f"{votes_needed} {'vote' if votes_needed == 1 else 'votes'}"
    audit.record(
        action="registry.add_environment",
        actor=by,
        object=made,
        summary=f"Added the environment {made.name}, where changes need {votes}",
        after={"name": made.name, "votes_needed": votes_needed, "position": position, "recorded": recorded},
    )
    return made


@transaction.atomic
def set_gateway_url(*, environment: Environment, url: str, by: Actor) -> Environment:
    """Say where applications, and the pages that try requests, reach the gateway of an environment.

    The address it has already writes nothing. Raises NotPermitted and InvalidInput.
    """
    held = Environment.objects.select_for_update(no_key=True).get(pk=environment.pk)
    require(by, "registry.edit", ORGANISATION)
    if held.gateway_url == url:
        return held
    before, held.gateway_url = held.gateway_url, url
    store(held)
    audit.record(
        action="registry.set_gateway_url",
        actor=by,
        object=held,
        summary=f"The gateway of {held.name} is reached at {url or 'no address'}",
        before={"gateway_url": before},
        after={"gateway_url": held.gateway_url},
    )
    return held


@transaction.atomic
def add_provider(
    *,
    name: str,
    slug: str,
    by: Actor,
    kind: str = Provider.Kind.OPENAI,
    url: str = "",
    secret: str | None = None,
    region: str = "",
) -> Provider:
    """Add an account at a company or service that runs models. Raises NotPermitted and InvalidInput.

    `url` and `secret` (`env:NAME`, never a key itself) are for endpoints that bring none of their own; with a `region`
    all its endpoints are there.
    """
    require(by, "registry.edit", ORGANISATION)
    made = store(Provider(name=name, slug=slug, kind=kind, url=url, secret=secret, region=region))
    check_bound(url, secret)
    audit.record(
        action="registry.add_provider",
        actor=by,
        object=made,
        summary=f"Added the provider {made.name}",
        after={"slug": made.slug, "kind": made.kind, "metered_by": made.metered_by, **account_facts(made)},
    )
    return made


@transaction.atomic
def edit_provider(*, provider: Provider, name: str, url: str, secret: str | None, region: str, by: Actor) -> Provider:
    """Change what is written of a provider; its endpoints stay as they are. The same again writes nothing.

    Raises NotPermitted, and InvalidInput for a closed one, and for a region in which some of its endpoints are not.
    """
    held = _lock_provider(provider)
    require(by, "registry.edit", ORGANISATION)
    if held.closed_at is not None:
        raise InvalidInput(f"{held.name} is closed: its entry stays as it is.")
    before = account_facts(held)
    held.name, held.url, held.secret, held.region = name, url, secret, region
    if account_facts(held) == before:
        return held
    astray = held.endpoints.filter(active=True).exclude(region=held.region).order_by("region")
    if held.region and (other := astray.values_list("region", flat=True).first()):
        raise InvalidInput(f"region: it has an endpoint in {other}; close that first", field="region")
    store(held)
    check_bound(url, secret)
    after = account_facts(held)
    audit.record(
        action="registry.edit_provider",
        actor=by,
        object=held,
        summary=f"Changed {', '.join(field for field in after if after[field] != before[field])} of {held.name}",
        before=before,
        after=after,
    )
    return held


@transaction.atomic
def close_provider(*, provider: Provider, reason: str, by: Actor) -> Provider:
    """Let no endpoint be added at a provider any more, for good.

    Raises NotPermitted, ProviderInUse while an endpoint is open there, and InvalidInput if it is closed already.
    """
    held = _lock_provider(provider)
    require(by, "registry.edit", ORGANISATION)
    if held.closed_at is not None:
        raise InvalidInput(f"{held.name} is closed already.")
    served = held.endpoints.filter(active=True).order_by("version__model__title")
    titles = list(served.values_list("version__model__title", flat=True).distinct())
    if titles:
        raise ProviderInUse(f"{held.name} has open endpoints of {', '.join(titles)}: close them first.")
    held.closed_at = timezone.now()
    store(held)
    audit.record(
        action="registry.close_provider",
        actor=by,
        object=held,
        summary=f"Closed the provider {held.name}",
        before={"closed_at": None},
        after={"closed_at": held.closed_at},
        reason=reason,
    )
    return held


@transaction.atomic
def register_model(
    *,
    name: str,
    title: str,
    tier: str,
    purpose: str,
    supplier: str,
    licence: str,
    hosting: str,
    owner: User,
    team: Team,
    version: str,
    context_tokens: int,
    data_classes: Iterable[str],
    regions: Iterable[str],
    by: Actor,
    digest: str | None = None,
    limitations: str = "",
    forbidden_uses: str = "",
    documentation: str = "",
    review_due: date | None = None,
    parameters: int | None = None,
    training_data: str = "",
) -> Model:
    """Register a model under a name, with its first version. Policies may name it once an endpoint serves it.

    `digest` is the SHA-256 of its weights where they are known. Raises NotPermitted and InvalidInput.
    """
    require(by, "registry.edit", team)
    made = store(
        Model(
            name=name,
            title=title,
            tier=tier,
            purpose=purpose,
            supplier=supplier,
            licence=licence,
            hosting=hosting,
            owner=owner,
            team=team,
            limitations=limitations,
            forbidden_uses=forbidden_uses,
            documentation=documentation,
            review_due=review_due,
        )
    )
    first = _store_version(
        made, version, context_tokens, data_classes, regions, digest, parameters=parameters, training_data=training_data
    )
    audit.record(
        action="registry.register_model",
        actor=by,
        object=made,
        summary=f"Registered the {made.tier} model {made.name} by {made.supplier}, version {first.version}",
        version=first.version,
        after=model_facts(made) | version_facts(first),
    )
    return made


@transaction.atomic
def add_version(
    *,
    model: Model,
    version: str,
    context_tokens: int,
    data_classes: Iterable[str],
    regions: Iterable[str],
    by: Actor,
    digest: str | None = None,
    parameters: int | None = None,
    training_data: str = "",
) -> ModelVersion:
    """Make another version of a model its current one; it serves from its own endpoints.

    Raises NotPermitted, and InvalidInput, also for a retired model.
    """
    held = _lock_model(model)
    require(by, "registry.edit", held)
    if held.state != Model.State.ACTIVE:
        raise InvalidInput(f"model: {held.name} is retired; register a model in use", field="model")
    before = held.versions.filter(is_current=True).first()
    held.versions.filter(is_current=True).update(is_current=False)
    made = _store_version(
        held, version, context_tokens, data_classes, regions, digest, parameters=parameters, training_data=training_data
    )
    audit.record(
        action="registry.add_version",
        actor=by,
        object=held,
        summary=f"{held.name} is now at version {made.version}",
        version=made.version,
        before=version_facts(before) if before else None,
        after=version_facts(made),
    )
    return made


@transaction.atomic
def edit_model(
    *,
    model: Model,
    title: str,
    purpose: str,
    owner: User,
    limitations: str,
    forbidden_uses: str,
    documentation: str,
    review_due: date | None,
    by: Actor,
) -> Model:
    """Change what a model's card says and who answers for it.

    Name, tier, hosting and licence stay: policies rest on them. An edit that changes nothing writes nothing. Raises
    NotPermitted and InvalidInput.
    """
    held = _lock_model(model)
    require(by, "registry.edit", held)
    before = card_facts(held)
    held.title, held.purpose, held.owner, held.limitations = title, purpose, owner, limitations
    held.forbidden_uses, held.documentation, held.review_due = forbidden_uses, documentation, review_due
    after = card_facts(held)
    if after == before:
        return held
    store(held)
    audit.record(
        action="registry.edit_model",
        actor=by,
        object=held,
        summary=f"Changed {', '.join(field for field in after if after[field] != before[field])} of {held.name}",
        before=before,
        after=card_facts(held),
    )
    return held


@transaction.atomic
def add_endpoint(
    *,
    version: ModelVersion,
    provider: Provider,
    environment: Environment,
    url: str,
    upstream_model: str,
    region: str,
    hosting: str,
    by: Actor,
    secret: str | None = None,
    logprobs: bool = False,
    timeout_ms: int = 30_000,
    position: int | None = None,
) -> Endpoint:
    """Say where a version can be served: it is asked there once its admission names the endpoint. Tried by position.

    `url` is the base of an OpenAI-compatible API (`https://host/v1`); `secret` names where the gateway finds the key
    (`env:NAME`); an empty `url` takes both from the provider. `position` None is the last. Raises NotPermitted, and
    InvalidInput, also for a closed provider and a region where it runs nothing.
    """
    model, provider = _lock_model(version.model), _lock_provider(provider)
    require(by, "registry.edit", model, environment=environment)
    url, secret = _reached(provider, region, url, secret)
    if region not in version.regions:
        regions = ", ".join(version.regions)
        raise InvalidInput(f"region: {model.name} may run in {regions}; choose one of them", field="region")
    position = _last_position(version, environment) + 1 if position is None else position
    made = store(
        Endpoint(
            version=version,
            provider=provider,
            environment=environment,
            url=url,
            upstream_model=upstream_model,
            region=region,
            hosting=hosting,
            secret=secret,
            logprobs=logprobs,
            timeout_ms=timeout_ms,
            position=position,
        )
    )
    check_bound(url, secret)
    if isinstance(by, Service):
        admissions.begin(version, environment)
    audit.record(
        action="registry.add_endpoint",
        actor=by,
        object=made,
        summary=f"{model.name} is served at {made.url} in {environment.name}",
        after={
            "model": model.name,
            "version": version.version,
            "provider": provider.slug,
            "environment": environment.name,
            **{field: getattr(made, field) for field in ("url", "region", "hosting", "secret", "position")},
        },
    )
    return made


@transaction.atomic
def move_endpoint(*, endpoint: Endpoint, url: str, by: Actor) -> Endpoint:
    """Change an endpoint's address. The address it has already writes nothing.

    Raises NotPermitted, InvalidInput, and EndpointAdmitted for one at which an admission lets its version be asked:
    that address changes by a change.
    """
    held = _lock_endpoint(endpoint)
    require(by, "registry.edit", held)
    if held.url == url:
        return held
    if admissions.names(held):
        raise EndpointAdmitted(f"{held.url} is agreed for {held.environment.name}: propose another admission.")
    before = held.url
    held.url = url
    store(held)
    check_bound(url, held.secret, field="url")
    audit.record(
        action="registry.move_endpoint",
        actor=by,
        object=held,
        summary=f"{held.version.model.name} moved from {before} to {held.url} in {held.environment.name}",
        before={"url": before},
        after={"url": held.url},
    )
    return held


@transaction.atomic
def close_endpoint(*, endpoint: Endpoint, reason: str, by: Actor) -> Endpoint:
    """Take an endpoint out of service. Raises NotPermitted, and InvalidInput if it is closed already."""
    held = _lock_endpoint(endpoint)
    require(by, "registry.edit", held)
    if not held.active:
        raise InvalidInput("This endpoint is closed already.")
    held.active = False
    store(held)
    audit.record(
        action="registry.close_endpoint",
        actor=by,
        object=held,
        summary=f"{held.version.model.name} is no longer served at {held.url} in {held.environment.name}",
        before={"active": True},
        after={"active": False},
        reason=reason,
    )
    return held


@transaction.atomic
def retire(*, model: Model, reason: str, by: Actor) -> Model:
    """Take a model out of use, for good. Raises NotPermitted, ModelInUse while a live policy names it, InvalidInput."""
    held = _lock_model(model)
    require(by, "registry.edit", held)
    if held.state != Model.State.ACTIVE:
        raise InvalidInput(f"{held.name} is retired already.")
    heads = PolicyHead.objects.naming(held.name).of_workflows_in_use()
    users = heads.order_by("workflow__name").values_list("workflow__name", flat=True).distinct()
    if users:
        raise ModelInUse(f"{held.name} is named by the live policy of {', '.join(users)}: change that first.")
    held.state = Model.State.RETIRED
    store(held)
    audit.record(
        action="registry.retire",
        actor=by,
        object=held,
        summary=f"Retired the model {held.name}",
        before={"state": "active"},
        after={"state": "retired"},
        reason=reason,
    )
    return held


def _lock_model(model: Model) -> Model:
    return Model.objects.select_for_update(no_key=True).get(pk=model.pk)


def _lock_provider(provider: Provider) -> Provider:
    return Provider.objects.select_for_update(no_key=True).get(pk=provider.pk)


def _lock_endpoint(endpoint: Endpoint) -> Endpoint:
    held = Endpoint.objects.select_related("version__model", "environment").select_for_update(of=("self",))
    return held.get(pk=endpoint.pk)


def _store_version(
    model: Model,
    version: str,
    context_tokens: int,
    data_classes: Iterable[str],
    regions: Iterable[str],
    digest: str | None,
    *,
    parameters: int | None,
    training_data: str,
) -> ModelVersion:
    return store(
        ModelVersion(
            model=model,
            version=version,
            digest=digest,
            context_tokens=context_tokens,
            data_classes=list(data_classes),
            regions=list(regions),
            parameters=parameters,
            training_data=training_data,
        )
    )


def _last_position(version: ModelVersion, environment: Environment) -> int:
    there = Endpoint.objects.filter(version=version, environment=environment, active=True)
    last: int = there.aggregate(last=Max("position"))["last"] or 0
    return last


def _reached(provider: Provider, region: str, url: str, secret: str | None) -> tuple[str, str | None]:
    """Return address and key of an endpoint to be added at a provider. Raises InvalidInput where none can be."""
    if provider.closed_at is not None:
        raise InvalidInput(f"provider: {provider.name} is closed; choose one in use", field="provider")
    if provider.region not in ("", region):
        raise InvalidInput(f"region: {provider.name} runs everything in {provider.region}", field="region")
    if url:
        # A provider's key goes to its own address alone: an endpoint elsewhere names its own.
        return url, secret
    if not provider.url:
        raise InvalidInput(f"url: {provider.name} has no address of its own; write one", field="url")
    return provider.url, secret or provider.secret
