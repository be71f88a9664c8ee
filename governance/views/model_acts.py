"""What changes the register: a model, its card, its versions, where it is served; and trying where it is served."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from governance import accounts, admissions, changes, probes, registry
from governance.models import Endpoint, Environment, Model, ModelVersion, Team, User
from governance.models.accounts import in_scope
from governance.views.admissions import proposed
from governance.views.forms import FormPage, ReasonForm, ask, sent
from governance.views.model_forms import AddressForm, CardForm, EndpointForm, RegisterForm, VersionForm

ASSERTED = "The card: what you say of it"
CARD = ("purpose", "limitations", "forbidden_uses", "documentation", "owner", "review_due")
EDITION = ("version", "context_tokens", "data_classes", "regions", "digest", "parameters", "training_data")
LEVELS = {"good": messages.SUCCESS, "warn": messages.WARNING, "bad": messages.ERROR}


@require_http_methods(["GET", "POST"])
def model_new(request: HttpRequest) -> HttpResponse:
    """Register a model with its first version."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "registry.edit")
    teams = in_scope(Team.objects.order_by("name"), user, "registry.edit", "id")
    form = RegisterForm(sent(request), teams=teams)
    page = FormPage(
        title="Register a model",
        headline="Register a model",
        lede="Policies may name it once an endpoint serves it. What you write here is asserted; nothing measures it.",
        submit="Register it",
        back=("Models", reverse("models")),
        groups=[
            ("What it is", ("name", "title", "tier", "supplier", "licence", "hosting", "team")),
            (ASSERTED, CARD),
            ("Its first version", EDITION),
        ],
    )

    def act() -> str:
        made = registry.register_model(by=user, **form.cleaned_data)
        messages.success(request, f"{made.title} is registered. Say next where it is served.")
        return _page_of(made)

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def model_edit(request: HttpRequest, name: str) -> HttpResponse:
    """Change what a model's card says."""
    found, user = _model(request, name)
    accounts.require(user, "registry.edit", found)
    form = CardForm(sent(request), model=found)
    page = FormPage(
        title="Edit the card",
        headline=f"What is written of {found.title}",
        lede="Name, tier, hosting and licence stay: policies rest on them. Another edition is a new version.",
        submit="Save",
        back=(found.title, _page_of(found)),
    )

    def act() -> str:
        registry.edit_model(model=found, by=user, **form.cleaned_data)
        messages.success(request, f"The card of {found.title} is saved.")
        return _page_of(found)

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def model_retire(request: HttpRequest, name: str) -> HttpResponse:
    """Take a model out of use, for good."""
    found, user = _model(request, name)
    accounts.require(user, "registry.edit", found)
    form = ReasonForm(sent(request))
    page = FormPage(
        title="Retire",
        headline=f"Take {found.title} out of use?",
        lede="No policy can name it afterwards, and it does not come back. Its record, prices and past costs stay.",
        submit="Retire it, for good",
        back=(found.title, _page_of(found)),
        danger=True,
    )

    def act() -> str:
        registry.retire(model=found, by=user, **form.cleaned_data)
        messages.success(request, f"{found.title} is out of use.")
        return _page_of(found)

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def version_new(request: HttpRequest, name: str) -> HttpResponse:
    """Make another version the current one."""
    found, user = _model(request, name)
    accounts.require(user, "registry.edit", found)
    before = found.versions.filter(is_current=True).first()
    form = VersionForm(sent(request), initial=_edition(before) if before else None)
    page = FormPage(
        title="New version",
        headline=f"Another version of {found.title}",
        lede="It is the current one at once and serves only from endpoints of its own: until it has one, nothing "
        f"serves {found.name}. Endpoints of {before.version if before else 'earlier versions'} are not carried over.",
        submit="Make it the current version",
        back=(found.title, _page_of(found)),
        danger=True,
    )

    def act() -> str:
        made = registry.add_version(model=found, by=user, **form.cleaned_data)
        messages.success(request, f"{found.title} is at version {made.version}. Say now where it is served.")
        return reverse("endpoint_new", args=[found.name])

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def endpoint_new(request: HttpRequest, name: str) -> HttpResponse:
    """Say where the current version is served, and try it there."""
    found, user = _model(request, name)
    version = get_object_or_404(found.versions.select_related("model"), is_current=True)
    places = Environment.objects.serving().allowing(user, "registry.edit", found.team_id)
    if not places:
        accounts.require(user, "registry.edit", found)
    form = EndpointForm(sent(request), version=version, environments=places)
    page = FormPage(
        title="New endpoint",
        headline=f"Where is {found.title} served?",
        lede=f"An endpoint of version {version.version}. It is tried at once, which takes at most five seconds. "
        "Gateways ask it once it is admitted, which you propose next.",
        submit="Add it and try it",
        back=(found.title, _page_of(found)),
    )

    def act() -> str:
        made = registry.add_endpoint(version=version, by=user, **form.cleaned_data)
        _tried(request, made, user)
        return reverse("admission_new", args=[found.name, made.environment.name])

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def endpoint_move(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Change an endpoint's address, and try it there."""
    found, user = _endpoint(request, pk)
    form = AddressForm(sent(request), initial={"url": found.url})
    agreed = admissions.names(found)
    submit = "Submit for approval" if agreed else "Move it and try it"
    page = _about(found, "Move", "Where is it reached from now on?", submit, goes_along=found.secret, agreed=agreed)

    def act() -> str:
        url = form.cleaned_data["url"]
        if not agreed:
            return _tried(request, registry.move_endpoint(endpoint=found, url=url, by=user), user)
        made = changes.propose_admission(
            version=found.version,
            environment=found.environment,
            document=admissions.moved(found, url),
            title=f"Ask {found.version.model.title} at {url}"[:200],
            note="",
            by=user,
        )
        return proposed(request, changes.proceed(change=made, by=user))

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def endpoint_close(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take an endpoint out of service."""
    found, user = _endpoint(request, pk)
    form = ReasonForm(sent(request))
    page = _about(found, "Close", "Take it out of service?", "Close it, for good", danger=True)

    def act() -> str:
        registry.close_endpoint(endpoint=found, by=user, **form.cleaned_data)
        messages.success(request, f"{found.version.model.title} is no longer served at {found.url}.")
        return page.back[1]

    return ask(request, form, page, act)


@require_POST
def endpoint_try(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask an endpoint whether the model is there, and say what came of it."""
    found, user = _endpoint(request, pk)
    return redirect(_tried(request, found, user))


def _tried(request: HttpRequest, endpoint: Endpoint, user: User) -> str:
    probe = probes.try_endpoint(endpoint=endpoint, by=user)
    messages.add_message(request, LEVELS[probe.level], f"{endpoint.url}: {probe.text}")
    return f"{_page_of(endpoint.version.model)}#endpoints"


def _about(
    endpoint: Endpoint,
    title: str,
    question: str,
    submit: str,
    *,
    danger: bool = False,
    goes_along: str | None = None,
    agreed: bool = False,
) -> FormPage:
    model = endpoint.version.model
    key = f" The key in {goes_along} goes only to the hosts that the operator has bound it to." if goes_along else ""
    return FormPage(
        title=title,
        headline=f"{model.title} in {endpoint.environment}: {question[0].lower()}{question[1:]}",
        lede=f"Now at {endpoint.url}. {'It is agreed, so another address waits for votes.' if agreed else ''} "
        f"Gateways follow within seconds.{key}",
        submit=submit,
        back=(model.title, _page_of(model)),
        danger=danger,
    )


def _model(request: HttpRequest, name: str) -> tuple[Model, User]:
    found = get_object_or_404(Model.objects.visible_to(request.user).select_related("owner", "team"), name=name)
    return found, accounts.signed_in(request.user)


def _endpoint(request: HttpRequest, pk: UUID) -> tuple[Endpoint, User]:
    """An endpoint that this person may change. Raises NotPermitted, and Http404 where he sees no model."""
    endpoints = Endpoint.objects.select_related("version__model", "environment")
    found = get_object_or_404(endpoints, pk=pk, version__model__in=Model.objects.visible_to(request.user))
    user = accounts.signed_in(request.user)
    accounts.require(user, "registry.edit", found)
    return found, user


def _edition(version: ModelVersion) -> dict[str, Any]:
    """What a next version most likely shares with this one."""
    return {
        "context_tokens": version.context_tokens,
        "data_classes": version.data_classes,
        "regions": ", ".join(version.regions),
        "parameters": version.parameters,
        "training_data": version.training_data,
    }


def _page_of(model: Model) -> str:
    return reverse("model", args=[model.name])
