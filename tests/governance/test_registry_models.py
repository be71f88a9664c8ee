"""Registering models, their versions and where they are served."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from governance import accounts, registry
from governance.errors import InvalidInput
from governance.models import AuditEvent, Endpoint, Environment, Model, ModelVersion, Provider
from smallfirst.origins import ProviderSecrets
from tests.cast import BOOTSTRAP, Cast, make_cast, make_live

pytestmark = pytest.mark.django_db


def facts(cast: Cast, **given: Any) -> dict[str, Any]:
    """All that registering a model takes."""
    return {
        "name": "minilm",
        "title": "MiniLM",
        "tier": "mid",
        "purpose": "Sorts feedback",
        "supplier": "Someone",
        "licence": "Apache-2.0",
        "hosting": "self",
        "owner": cast.owner,
        "team": cast.team,
        "version": "6",
        "context_tokens": 512,
        "data_classes": ["public", "internal"],
        "regions": ["eu"],
    } | given


def endpoint_facts(cast: Cast, version: ModelVersion, **given: Any) -> dict[str, Any]:
    """All that an endpoint takes."""
    return {
        "version": version,
        "provider": Provider.objects.get(slug="local"),
        "environment": cast.production,
        "url": "https://models.example.com/v1",
        "upstream_model": "minilm",
        "region": "eu",
        "hosting": "self",
        "secret": "env:MODELS_KEY",
    } | given


def test_a_lead_registers_a_model_and_says_where_it_is_served() -> None:
    cast = make_cast()
    model = registry.register_model(by=cast.lead, **facts(cast, digest="a" * 64))
    version = model.versions.get()
    assert (version.version, version.is_current, version.digest) == ("6", True, "a" * 64)
    endpoint = registry.add_endpoint(by=cast.lead, **endpoint_facts(cast, version))
    assert endpoint.position == 1
    # It is asked once others admitted it: tests/governance/test_admissions_propose.py.
    assert endpoint not in Endpoint.objects.served_in(cast.production)
    assert (AuditEvent.objects.about(model).get().after or {})["data_classes"] == ["public", "internal"]
    assert AuditEvent.objects.about(endpoint).get().team == cast.team.pk


def test_a_new_version_takes_the_place_of_the_old_one() -> None:
    cast = make_cast()
    model = registry.register_model(by=cast.lead, **facts(cast))
    old = model.versions.get()
    old_endpoint = registry.add_endpoint(by=cast.lead, **endpoint_facts(cast, old))
    new = registry.add_version(
        model=model, version="7", context_tokens=512, data_classes=["public"], regions=["eu"], by=cast.lead
    )
    assert list(model.versions.filter(is_current=True)) == [new]
    assert old_endpoint not in Endpoint.objects.served_in(cast.production)
    with pytest.raises(InvalidInput, match="version of that name"):
        registry.add_version(
            model=model, version="6", context_tokens=1, data_classes=["public"], regions=["eu"], by=cast.lead
        )
    assert list(model.versions.filter(is_current=True)) == [new]


@pytest.mark.parametrize("who", ["owner", "reviewer", "finance", "integrator", "auditor", "admin", "stranger"])
def test_only_leads_in_scope_register(who: str) -> None:
    cast = make_cast()
    by, model = cast.people[who], cast.models[0]
    endpoint = Endpoint.objects.filter(version__model=model).get()
    before = (Model.objects.count(), AuditEvent.objects.count())
    for refused in (
        lambda: registry.register_model(by=by, **facts(cast)),
        lambda: registry.add_endpoint(by=by, **endpoint_facts(cast, model.versions.get())),
        lambda: registry.move_endpoint(endpoint=endpoint, url="https://elsewhere.example.com", by=by),
        lambda: registry.close_endpoint(endpoint=endpoint, reason="", by=by),
        lambda: registry.retire(model=model, reason="", by=by),
        lambda: registry.add_provider(name="X", slug="x", by=by),
        lambda: registry.add_environment(name="x", votes_needed=0, position=99, by=by),
    ):
        with pytest.raises(accounts.NotPermitted):
            refused()
    assert (Model.objects.count(), AuditEvent.objects.count()) == before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "auto"}, "auto is taken"),
        ({"name": "Mini LM"}, "lower case"),
        ({"name": "lexicon"}, "already"),
        ({"tier": "huge"}, "tier"),
        ({"hosting": "moon"}, "hosting"),
        ({"data_classes": []}, "data_classes"),
        ({"data_classes": ["secret"]}, "data_classes"),
        ({"regions": []}, "regions"),
        ({"context_tokens": 0}, "at least one token"),
        ({"digest": "xyz"}, "64 hexadecimal"),
        ({"title": ""}, "title"),
    ],
)
def test_bad_models_are_named_and_nothing_written(given: dict[str, Any], words: str) -> None:
    cast = make_cast()
    before = (Model.objects.count(), ModelVersion.objects.count(), AuditEvent.objects.count())
    with pytest.raises(InvalidInput, match=words):
        registry.register_model(by=cast.lead, **facts(cast, **given))
    assert (Model.objects.count(), ModelVersion.objects.count(), AuditEvent.objects.count()) == before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"url": "ftp://host"}, "http or https"),
        ({"url": "https://host/v1?key=1"}, "without query"),
        ({"secret": "sk-123"}, "env:PROVIDER_KEY"),
        ({"region": "us"}, "may run in eu"),
        ({"hosting": "moon"}, "hosting"),
        ({"timeout_ms": 1}, "timeout"),
        ({"position": 1}, "has that position"),
        ({"upstream_model": ""}, "upstream_model"),
    ],
)
def test_bad_endpoints_are_named_and_nothing_written(given: dict[str, Any], words: str) -> None:
    cast = make_cast()
    before = (Endpoint.objects.count(), AuditEvent.objects.count())
    with pytest.raises(InvalidInput, match=words):
        registry.add_endpoint(by=cast.lead, **endpoint_facts(cast, cast.models[0].versions.get(), **given))
    assert (Endpoint.objects.count(), AuditEvent.objects.count()) == before


@pytest.fixture
def _bound(settings: Any) -> None:
    """MODELS_KEY may go to one origin; of OTHER_KEY this process knows nothing."""
    settings.PROVIDER_SECRETS = ProviderSecrets.read("MODELS_KEY@https://models.example.com")


@pytest.mark.usefixtures("_bound")
def test_a_key_that_is_bound_is_entered_only_where_it_may_go() -> None:
    cast = make_cast()
    version, bound = cast.models[0].versions.get(), "https://models.example.com/v2"
    made = registry.add_endpoint(by=cast.lead, **endpoint_facts(cast, version, url=bound))
    own = registry.add_provider(name="Own", slug="own", url=bound, secret="env:MODELS_KEY", by=cast.lead)
    before = (Endpoint.objects.count(), Provider.objects.count(), AuditEvent.objects.count())
    thief = "https://models.example.com.thief.example/v1"
    fix = "adds MODELS_KEY@https://models.example.com.thief.example to SMALLFIRST_PROVIDER_SECRETS"
    written = {"name": "Own", "secret": "env:MODELS_KEY", "region": ""}
    verbs: list[tuple[str, Callable[[], object]]] = [
        ("secret", lambda: registry.add_endpoint(by=cast.lead, **endpoint_facts(cast, version, url=thief))),
        ("url", lambda: registry.move_endpoint(endpoint=made, url=thief, by=cast.lead)),
        ("secret", lambda: registry.add_provider(slug="thief", url=thief, by=cast.lead, **written | {"name": "Thief"})),
        ("secret", lambda: registry.edit_provider(provider=own, url=thief, by=cast.lead, **written)),
    ]
    for field, verb in verbs:
        with pytest.raises(InvalidInput, match=fix) as refused:
            verb()
        assert refused.value.field == field
    with pytest.raises(InvalidInput, match="read in two ways"):
        registry.move_endpoint(endpoint=made, url="https://models.example.com@thief.example/v1", by=cast.lead)
    assert (Endpoint.objects.count(), Provider.objects.count(), AuditEvent.objects.count()) == before
    assert set(Endpoint.objects.filter(pk=made.pk).values_list("url", flat=True)) == {bound}
    assert Provider.objects.get(slug="own").url == bound
    # The gateways, which hold it, may have been told of it: they have the last word.
    registry.add_endpoint(by=cast.lead, **endpoint_facts(cast, version, url=thief, secret="env:OTHER_KEY"))


def test_an_endpoint_moves_and_closes() -> None:
    cast = make_cast()
    endpoint = registry.add_endpoint(by=cast.lead, **endpoint_facts(cast, cast.models[0].versions.get()))
    moved = registry.move_endpoint(endpoint=endpoint, url="http://127.0.0.1:9001/v1", by=BOOTSTRAP)
    events = AuditEvent.objects.about(endpoint).filter(action="registry.move_endpoint")
    assert events.get().before == {"url": endpoint.url}
    registry.move_endpoint(endpoint=moved, url=moved.url, by=BOOTSTRAP)
    assert events.count() == 1

    registry.close_endpoint(endpoint=moved, reason="broken", by=cast.lead)
    assert moved not in Endpoint.objects.served_in(cast.production)
    with pytest.raises(InvalidInput, match="closed already"):
        registry.close_endpoint(endpoint=moved, reason="broken", by=cast.lead)
    again = endpoint_facts(cast, moved.version, position=2)
    assert registry.add_endpoint(by=cast.lead, **again).position == 2


def test_a_model_that_a_live_policy_names_is_not_retired() -> None:
    cast = make_cast()
    make_live(cast)
    with pytest.raises(registry.ModelInUse, match="Customer feedback"):
        registry.retire(model=cast.models[0], reason="old", by=cast.lead)
    spare = registry.register_model(by=cast.lead, **facts(cast))
    registry.retire(model=spare, reason="old", by=cast.lead)
    assert spare not in Model.objects.in_use()
    with pytest.raises(InvalidInput, match="already"):
        registry.retire(model=spare, reason="old", by=cast.lead)
    with pytest.raises(InvalidInput, match="is retired"):
        registry.add_version(
            model=spare, version="7", context_tokens=1, data_classes=["public"], regions=["eu"], by=cast.lead
        )


def test_environments_and_providers_are_named_once_and_keep_their_rule() -> None:
    cast = make_cast()
    for name, votes_needed in (("production", 0), ("Not A Name", 0), ("negative", -1)):
        with pytest.raises(InvalidInput):
            registry.add_environment(name=name, votes_needed=votes_needed, position=99, by=cast.lead)
    with pytest.raises(InvalidInput):
        registry.add_provider(name="Again", slug="local", by=cast.lead)
    with pytest.raises(InvalidInput, match="kind"):
        registry.add_provider(name="Odd", slug="odd", kind="carrier-pigeon", by=cast.lead)
    with pytest.raises(IntegrityError, match="votes_needed"), transaction.atomic(), connection.cursor() as sql:
        sql.execute("UPDATE governance_environment SET votes_needed = 0")
    assert Environment.objects.get().votes_needed == 1


def test_the_list_of_models_takes_five_queries(django_assert_num_queries: Any) -> None:
    cast = make_cast()
    with django_assert_num_queries(5):
        shown = list(Model.objects.visible_to(cast.owner).with_versions())
        assert [(each.owner.name, each.team.name) for each in shown] == [("Owner", "Customer care")] * 3
        assert all(
            endpoint.provider.name and endpoint.environment.name
            for each in shown
            for version in each.versions.all()
            for endpoint in version.endpoints.all()
        )
