"""The models of the live workflows: what they are, what is known of them, where they are served, what they cost."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from demo import admissions
from demo.people import BOOTSTRAP, of_demo
from governance import registry
from governance.models import Endpoint, Environment, Model, Provider, Team
from ledger import prices

OWN_MACHINES = "own-machines"
# An entry is looked at again half a year after it was written.
LOOKED_AT_AGAIN = timedelta(days=183)
SET = "Right for these shares of texts it had not seen, with 95 % intervals: "


@dataclass(frozen=True)
class Servers:
    """Base URLs of the demo's model servers, ending in /v1."""

    classifiers: str
    smollm2: str

    def url(self, model: str) -> str:
        """Where a model is served."""
        return self.smollm2 if model.startswith("smollm2") else self.classifiers


@dataclass(frozen=True, kw_only=True)
class DemoModel:
    """A model of the demo: its entry in the register, and what its tokens cost inside the company, USD per million."""

    name: str
    title: str
    tier: str
    purpose: str
    supplier: str
    licence: str
    version: str
    context_tokens: int
    input: Decimal
    output: Decimal
    limitations: str
    documentation: str = ""
    forbidden_uses: str = ""
    training_data: str = ""
    parameters: int | None = None


# The company's own rates for machines it runs itself: invented, as every such rate is an internal agreement.
MODELS = (
    DemoModel(
        name="langid",
        title="Language by letters (py3langid)",
        tier="small",
        purpose="Which of six languages a text is in.",
        supplier="A. Barbaresi, after M. Lui",
        licence="BSD-3-Clause",
        version="0.4",
        context_tokens=4096,
        input=Decimal("0.02"),
        output=Decimal("0.02"),
        limitations="Hardly ever sure of one word alone. Told apart here: de, en, es, fr, it, nl. Its probabilities "
        "were checked on English sentences only: " + SET + "0.996 [0.989, 0.999].",
        documentation="https://github.com/adbar/py3langid",
        training_data="As its authors trained it: texts in 97 languages.",
    ),
    DemoModel(
        name="lexicon",
        title="Word list (VADER)",
        tier="small",
        purpose="Sentiment of a sentence by a list of rated words.",
        supplier="C. J. Hutto",
        licence="MIT",
        version="3.3",
        context_tokens=4096,
        input=Decimal("0.02"),
        output=Decimal("0.02"),
        limitations="English only; sees no irony. "
        + SET
        + "sentences of reviews 0.58 [0.54, 0.61], tweets 0.82 [0.80, "
        "0.83]. The list was published with those tweets, by the same authors: the second figure tells little.",
        documentation="https://github.com/cjhutto/vaderSentiment",
        training_data="7,500 words rated by ten people each; its confidence was fitted to reviews of 246 customers.",
    ),
    DemoModel(
        name="tfidf",
        title="Word and letter statistics",
        tier="small",
        purpose="Sentiment of a sentence by regression over words and runs of letters.",
        supplier="Harbour & Vale",
        licence="MIT",
        version="1",
        context_tokens=4096,
        input=Decimal("0.15"),
        output=Decimal("0.15"),
        limitations="English only; knows the words of five products’ reviews. " + SET + "0.65 [0.61, 0.68].",
        training_data="2,923 sentences from reviews of 246 customers, each rated by at least twenty people (Hutto and "
        "Gilbert, 2014).",
    ),
    DemoModel(
        name="minilm",
        title="MiniLM sentence embedding",
        tier="mid",
        purpose="Sentiment of a sentence by its meaning, and embeddings of texts.",
        supplier="Microsoft, sentence-transformers",
        licence="Apache-2.0",
        version="L6-v2",
        context_tokens=256,
        input=Decimal("1.20"),
        output=Decimal("1.20"),
        limitations="English only; reads 256 wordpieces at most. " + SET + "0.66 [0.62, 0.69].",
        documentation="https://www.sbert.net/docs/sentence_transformer/pretrained_models.html",
        parameters=22_700_000,
        training_data="A billion pairs of sentences, as its authors say; the last layer as the statistics above.",
    ),
    DemoModel(
        name="smollm2-135m",
        title="SmolLM2 135M Instruct",
        tier="mid",
        purpose="Drafts short texts that a person releases.",
        supplier="Hugging Face",
        licence="Apache-2.0",
        version="135M-instruct",
        context_tokens=2048,
        input=Decimal("2.00"),
        output=Decimal("4.00"),
        limitations="Very small: invents facts, promises and names. Nothing it writes goes out unread.",
        forbidden_uses="Answering customers without a person in between.",
        documentation="https://arxiv.org/abs/2502.02737",
        parameters=135_000_000,
        training_data="Two trillion tokens of web, code and textbooks, as its authors say.",
    ),
    DemoModel(
        name="patterns",
        title="Turns of phrase",
        tier="small",
        purpose="Is a message an attempt to make an assistant break its rules? By ten written patterns.",
        supplier="Harbour & Vale",
        licence="MIT",
        version="1",
        context_tokens=4096,
        input=Decimal("0.02"),
        output=Decimal("0.02"),
        limitations="Finds what was written in a usual way: sure of 15 % of messages, and right for 0.990 [0.971, "
        "0.997] of those. That none of its patterns is there proves nothing, and it says so.",
        training_data="How sure each pattern may be was fitted to 11,089 messages (S-Labs, MIT).",
    ),
    DemoModel(
        name="char-tfidf",
        title="Letter statistics",
        tier="small",
        purpose="Is a message an attempt to make an assistant break its rules? By regression over runs of letters.",
        supplier="Harbour & Vale",
        licence="MIT",
        version="1",
        context_tokens=4096,
        input=Decimal("0.15"),
        output=Decimal("0.15"),
        limitations=SET + "0.957 [0.947, 0.965]. They came from the set it learned from: expect less in the wild. A "
        "signal, not a wall.",
        forbidden_uses="The only defence of an assistant that can act.",
        training_data="11,089 messages, calibrated on 2,101 more (S-Labs, MIT); English.",
    ),
)


def register(*, servers: Servers, environment: Environment, now: datetime) -> None:
    """Register the models that are missing, with an endpoint of the demo's servers and the company's own price."""
    owner, team = of_demo("lead"), Team.objects.get(slug="platform")
    provider = Provider.objects.filter(slug=OWN_MACHINES).first() or registry.add_provider(
        name="Own machines", slug=OWN_MACHINES, by=BOOTSTRAP
    )
    for each in MODELS:
        if Model.objects.filter(name=each.name).exists():
            continue
        model = registry.register_model(
            name=each.name,
            title=each.title,
            tier=each.tier,
            purpose=each.purpose,
            supplier=each.supplier,
            licence=each.licence,
            hosting="self",
            owner=owner,
            team=team,
            version=each.version,
            context_tokens=each.context_tokens,
            data_classes=["public", "internal", "confidential"],
            regions=["eu"],
            limitations=each.limitations,
            forbidden_uses=each.forbidden_uses,
            documentation=each.documentation,
            parameters=each.parameters,
            training_data=each.training_data,
            review_due=(now + LOOKED_AT_AGAIN).date(),
            by=BOOTSTRAP,
        )
        version = model.versions.get(is_current=True)
        endpoint = registry.add_endpoint(
            version=version,
            provider=provider,
            environment=environment,
            url=servers.url(each.name),
            upstream_model=each.name,
            region="eu",
            hosting="self",
            secret="env:SMALLFIRST_DEMO_MODELS_KEY",  # noqa: S106 (where the secret is found, not the secret)
            logprobs=True,
            by=BOOTSTRAP,
        )
        admissions.admit(version, environment)
        prices.set_own_price(
            endpoint=endpoint,
            input=each.input,
            output=each.output,
            cache_read=each.input,
            cache_write=each.input,
            currency="USD",
            valid_from=now,
            by=BOOTSTRAP,
        )


def follow(servers: Servers) -> None:
    """Move the endpoints to where the servers are now: their ports differ where others took theirs."""
    names = [each.name for each in MODELS]
    served = Endpoint.objects.filter(version__model__name__in=names, active=True, provider__slug=OWN_MACHINES)
    for endpoint in served.select_related("version__model", "environment"):
        url = servers.url(endpoint.version.model.name)
        if endpoint.url != url:
            admissions.move(endpoint, url)
