"""What the recorded traffic stands on: an environment of recordings with its models, workflows, keys and gateway."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Max

from demo import admissions, processes
from demo.people import BOOTSTRAP, of_demo
from governance import accounts, gateways, registry
from governance.models import ApiKey, Environment, Gateway, Model, Provider, Team, Workflow
from ledger import partitions, prices

ENVIRONMENT = "recorded"
GATEWAY = "recordings"
# The model that carries baselines: priced, never called.
FRONTIER = "claude-opus-5-5"
KEY = "Recordings"
DAYS = 90
# Half way the provider of the open models is told to have lowered a price.
PRICE_CHANGE = 45
PROVIDERS = (
    ("open-models", "Open models, hosted"),
    ("mistral", "Mistral"),
    ("openai", "OpenAI"),
    ("anthropic", "Anthropic"),
)


@dataclass(frozen=True, kw_only=True)
class RecordedModel:
    """A model of recorded traffic. `own` are its prices in USD per million tokens, input and output alike: the first,

    and the one after the change where there is one; without any, the provider's list price holds.
    """

    name: str
    upstream: str
    title: str
    tier: str
    provider: str
    purpose: str
    supplier: str
    licence: str
    version: str
    context_tokens: int
    data_classes: tuple[str, ...]
    limitations: str
    region: str = "eu"
    url: str = "https://recorded.invalid/v1"
    secret: str | None = None
    parameters: int | None = None
    own: tuple[Decimal, ...] = ()


OPEN = ("public", "internal")
CLOSED = (*OPEN, "confidential")
MODELS = (
    RecordedModel(
        name="qwen2.5-7b-instruct", upstream="qwen2.5-7b-instruct", title="Qwen2.5 7B Instruct", tier="small",
        provider="open-models", purpose="Questions about code and general knowledge.", supplier="Alibaba Cloud",
        licence="Apache-2.0", version="2.5", context_tokens=32_768, data_classes=OPEN, parameters=7_600_000_000,
        own=(Decimal("0.20"),),
        limitations="Right for 0.68 of 120 programming tasks and 0.51 of 2,134 questions (LLMRouter); for questions of "
        "science at university level for 0.06.",
    ),
    RecordedModel(
        name="llama-3.1-nemotron-51b-instruct", upstream="llama-3.1-nemotron-51b-instruct",
        title="Llama 3.1 Nemotron 51B", tier="mid", provider="open-models",
        purpose="Questions of general knowledge that the small model is seldom right about.", supplier="NVIDIA",
        licence="NVIDIA Open Model License", version="3.1", context_tokens=131_072, data_classes=OPEN,
        parameters=51_000_000_000, own=(Decimal("0.90"), Decimal("0.80")),
        limitations="Right for 0.56 of 2,134 questions (LLMRouter); of science at university level for 0.22.",
    ),
    RecordedModel(
        name="llama-3.3-nemotron-super-49b", upstream="llama-3.3-nemotron-super-49b-v1",
        title="Llama 3.3 Nemotron Super 49B", tier="mid", provider="open-models",
        purpose="Programming tasks that the small model is not sure about.", supplier="NVIDIA",
        licence="NVIDIA Open Model License", version="3.3-v1", context_tokens=131_072, data_classes=OPEN,
        parameters=49_000_000_000, own=(Decimal("0.90"), Decimal("0.80")),
        limitations="Right for 0.61 of 120 programming tasks (LLMRouter), less than the small model before it: larger "
        "is not better there.",
    ),
    RecordedModel(
        name="mixtral-8x7b-instruct", upstream="mixtral-8x7b", title="Mixtral 8x7B Instruct", tier="small",
        provider="mistral", purpose="Sums in words.", supplier="Mistral AI", licence="Apache-2.0", version="0.1",
        context_tokens=32_768, data_classes=CLOSED, parameters=46_700_000_000,
        limitations="Right for 0.63 of 600 sums (RouteLLM, GSM8K). Small beside what comes after it, by price.",
    ),
    RecordedModel(
        name="gpt-4-1106-preview", upstream="gpt-4-1106-preview", title="GPT-4 1106", tier="mid", provider="openai",
        purpose="Sums in words that do not come out.", supplier="OpenAI", licence="Proprietary", version="1106-preview",
        context_tokens=128_000, data_classes=CLOSED,
        limitations="Right for 0.86 of 600 sums as they were graded; about seven in a hundred were graded wrong though "
        "their last number was right. The best there was in 2023, dear still, by today’s measure of middling size.",
    ),
    RecordedModel(
        name=FRONTIER, upstream="claude-opus-5-5", title="Claude Opus 5.5 (list price only)", tier="frontier",
        provider="anthropic", supplier="Anthropic", licence="Proprietary", version="5.5", context_tokens=200_000,
        purpose="Never called here. It stands in the register for its list price, as the baseline: what the same tasks "
        "would have taken if one large model had been asked each time.",
        data_classes=OPEN, region="us", url="https://api.anthropic.com/v1",
        # Set nowhere: a demo has no credential of a provider. No policy names the model, no gateway serves from here.
        secret="env:HARBOUR_VALE_ANTHROPIC_KEY",  # noqa: S106 (where it would be found)
        limitations="Nobody measured it on our tasks: that it would have been used, and how well, is assumed.",
    ),
)  # fmt: skip


def make(*, now: datetime) -> None:
    """Make what is missing of it."""
    environment = Environment.objects.filter(name=ENVIRONMENT).first() or _environment()
    for slug, name in PROVIDERS:
        if not Provider.objects.filter(slug=slug).exists():
            registry.add_provider(name=name, slug=slug, by=BOOTSTRAP)
    for each in MODELS:
        if not Model.objects.filter(name=each.name).exists():
            _register(each, environment, now)
    prices.seed_list_prices(now=now, by=BOOTSTRAP)
    for process in processes.RECORDED:
        workflow = processes.make(process, environment, now=now)
        if key_of(workflow) is None:
            # Now, while nothing writes to the tables: making a partition waits for whoever does.
            partitions.ensure(first=(now - timedelta(days=DAYS)).date(), last=now.date())
            accounts.recording_key(workflow=workflow, environment=environment, name=KEY, by=BOOTSTRAP)
    if not Gateway.objects.filter(name=GATEWAY).exists():
        # Its credential is kept nowhere: nothing will ever report under this name but the import.
        gateways.register(name=GATEWAY, environment=environment, by=BOOTSTRAP)


def key_of(workflow: Workflow) -> ApiKey | None:
    """The key under which a workflow's recordings are booked."""
    return ApiKey.objects.filter(workflow=workflow, environment__name=ENVIRONMENT, name=KEY).first()


def _environment() -> Environment:
    last: int = Environment.objects.aggregate(last=Max("position"))["last"] or 0
    return registry.add_environment(name=ENVIRONMENT, votes_needed=1, position=last + 1, recorded=True, by=BOOTSTRAP)


def _register(each: RecordedModel, environment: Environment, now: datetime) -> None:
    model = registry.register_model(
        name=each.name,
        title=each.title,
        tier=each.tier,
        purpose=each.purpose,
        supplier=each.supplier,
        licence=each.licence,
        hosting="hosted",
        owner=of_demo("lead"),
        team=Team.objects.get(slug="platform"),
        version=each.version,
        context_tokens=each.context_tokens,
        data_classes=each.data_classes,
        regions=[each.region],
        limitations=each.limitations,
        parameters=each.parameters,
        by=BOOTSTRAP,
    )
    version = model.versions.get(is_current=True)
    endpoint = registry.add_endpoint(
        version=version,
        provider=Provider.objects.get(slug=each.provider),
        environment=environment,
        url=each.url,
        upstream_model=each.upstream,
        region=each.region,
        hosting="hosted",
        secret=each.secret,
        by=BOOTSTRAP,
    )
    admissions.admit(version, environment)
    # The later one first: what is set for a time in the past may not cut a price that held then.
    starts = (DAYS + 1, PRICE_CHANGE)
    for days, rate in sorted(zip(starts, each.own, strict=False)):
        prices.set_own_price(
            endpoint=endpoint,
            input=rate,
            output=rate,
            cache_read=None,
            cache_write=None,
            currency="USD",
            valid_from=now - timedelta(days=days),
            by=BOOTSTRAP,
        )
