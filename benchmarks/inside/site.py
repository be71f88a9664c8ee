"""An organisation to measure with, made by the product's own verbs: workflows with keys, models with prices."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from django.db import transaction

from benchmarks.world import MODELS
from governance import accounts, gateways, registry, workflows
from governance.audit import Service
from governance.models import ApiKey, Endpoint, Environment, Gateway, Role, Team, User
from ledger import prices

ACTOR = Service("bootstrap")
STEPS = ("classify", "answer", "check")


@dataclass(frozen=True)
class Site:
    """Keys of as many workflows, an endpoint of each model, a gateway that reports; who reads figures, who all."""

    keys: list[ApiKey]
    endpoints: list[Endpoint]
    gateway: Gateway
    finance: User
    everyone: User


@transaction.atomic
def make(number: int) -> Site:
    """So many workflows of one team in production, three models of rising tier with own prices, one gateway.

    In one commit: a flush for each of thousands of verbs is nothing that is measured here.
    """
    production = Environment.objects.get(name="production")
    team = accounts.create_team(name="Customer care", slug="customer-care", by=ACTOR)
    owner, finance = _person("Owner", team, Role.OWNER), _person("Finance", None, Role.FINANCE)
    integrator = _person("Integrator", team, Role.INTEGRATOR)
    everyone = _person("Everyone", None, *Role)
    gateway, _ = gateways.register(name="Benchmark", environment=production, by=ACTOR)
    keys = []
    for each in range(number):
        workflow = workflows.create(
            slug=f"workflow-{each}",
            name=f"Workflow {each}",
            purpose="Is measured",
            team=team,
            owner=owner,
            risk="limited",
            data_class="internal",
            by=ACTOR,
        )
        for step in STEPS:
            workflows.add_step(workflow=workflow, name=step, purpose="Is measured", by=ACTOR)
        keys.append(accounts.create_key(workflow=workflow, environment=production, name="Shop", by=integrator)[0])
    return Site(keys, _endpoints(owner, team, production, finance), gateway, finance, everyone)


def _person(name: str, team: Team | None, *roles: str) -> User:
    person = accounts.create_person(email=f"{name.lower()}@benchmark.example", name=name, by=ACTOR)
    for role in roles:
        accounts.grant(user=person, role=role, team=team, by=ACTOR)
    return person


def _endpoints(owner: User, team: Team, production: Environment, finance: User) -> list[Endpoint]:
    provider = registry.add_provider(name="Local", slug="local", by=ACTOR)
    found = []
    for name, tier, price_in, price_out in MODELS:
        model = registry.register_model(
            name=name,
            title=name.title(),
            tier=tier,
            purpose="Is measured",
            supplier="Nobody",
            licence="Apache-2.0",
            hosting="self",
            owner=owner,
            team=team,
            version="1",
            context_tokens=8192,
            data_classes=["public", "internal"],
            regions=["eu"],
            by=ACTOR,
        )
        endpoint = registry.add_endpoint(
            version=model.versions.get(is_current=True),
            provider=provider,
            environment=production,
            url=f"http://127.0.0.1:9/{name}",
            upstream_model=name,
            region="eu",
            hosting="self",
            logprobs=True,
            by=ACTOR,
        )
        prices.set_own_price(
            endpoint=endpoint,
            currency="USD",
            valid_from=datetime(2020, 1, 1, tzinfo=UTC),
            input=Decimal(price_in),
            output=Decimal(price_out),
            cache_read=Decimal(price_in),
            cache_write=Decimal(price_in),
            by=finance,
        )
        found.append(endpoint)
    return found
