"""Harbour & Vale: its people, models, prices and the workflow whose requests the visitor sends.

The organisation is made through the same verbs the pages call, so its policy is proposed by one person and approved by
another, and every act stands in the audit log. What `up` prints is written to files in the state directory.
"""

import json
import secrets
import shlex
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import transaction

from config import state as places
from demo.sentence import DEMO_SENTENCE, KEEP_FROM
from governance import accounts, changes, registry, workflows
from governance.audit import Service
from governance.models import ApiKey, Endpoint, Environment, Team, User, Workflow
from ledger import prices

BOOTSTRAP = Service("bootstrap")
DOMAIN = "harbour-vale.example"
WORKFLOW = "customer-feedback"
KEY_NAME = "Feedback form"
LABELS = ["positive", "neutral", "negative"]


@dataclass(frozen=True)
class Servers:
    """Base URLs of the demo's model servers, ending in /v1."""

    classifiers: str
    smollm2: str


@dataclass(frozen=True)
class Person:
    """Somebody of the demo: sign-in name, display name, role, and what he comes to do."""

    login: str
    name: str
    role: str
    purpose: str

    @property
    def email(self) -> str:
        """The address he signs in with."""
        return f"{self.login}@{DOMAIN}"


PEOPLE = (
    Person("lead", "Governance lead", "lead", "writes policies, proposes and approves changes"),
    Person("owner", "Workflow owner", "owner", "answers for the workflow, approves changes"),
    Person("reviewer", "Reviewer", "reviewer", "decides the cases machines should not"),
    Person("finance", "Finance", "finance", "sees what it cost"),
    Person("integrator", "Integrator", "integrator", "connects applications"),
    Person("auditor", "Auditor", "auditor", "reads everything, changes nothing"),
    Person("admin", "Administrator", "admin", "manages people"),
)


@dataclass(frozen=True)
class DemoModel:
    """A model of the demo: what it is, and what its tokens cost inside the company, USD per million."""

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


# The company's own rates for machines it runs itself: invented, as every such rate is an internal agreement.
MODELS = (
    DemoModel(
        "lexicon", "Word list (VADER)", "small", "Sentiment of a sentence by a list of rated words",
        "C. J. Hutto", "MIT", "3.3", 512, Decimal("0.02"), Decimal("0.02"),
    ),
    DemoModel(
        "tfidf", "Word and letter statistics", "small", "Sentiment of a sentence by regression over words and letters",
        "Harbour & Vale", "MIT", "1", 512, Decimal("0.15"), Decimal("0.15"),
    ),
    DemoModel(
        "minilm", "MiniLM sentence embedding", "mid", "Sentiment of a sentence by its meaning",
        "Microsoft, sentence-transformers", "Apache-2.0", "L6-v2", 256, Decimal("1.20"), Decimal("1.20"),
    ),
    DemoModel(
        "smollm2-135m", "SmolLM2 135M Instruct", "mid", "Drafts short texts", "Hugging Face", "Apache-2.0",
        "135M-instruct", 2048, Decimal("2.00"), Decimal("4.00"),
    ),
)  # fmt: skip


def policy() -> dict[str, Any]:
    """The first policy of customer feedback: three models try the sentiment, a person decides what they cannot."""
    return {
        "format": 1,
        "pin": "replace",
        "guards": {"data_class": "internal", "hosting": ["self"]},
        "steps": [
            {
                "name": "sentiment",
                "ladder": [{"model": "lexicon"}, {"model": "tfidf"}, {"model": "minilm"}],
                "gate": {"keep_from": KEEP_FROM, "labels": LABELS},
                "review": {
                    "when": "unsure",
                    "role": "reviewer",
                    "title": "Customer feedback, sentiment unclear",
                    "respond_within": 900,
                    "expire_after": 14_400,
                    "on_expiry": {"action": "answer", "answer": "neutral"},
                    "answer": {"type": "label", "options": LABELS},
                },
            },
            {
                "name": "reply",
                "ladder": [{"model": "smollm2-135m"}],
                "review": {
                    "when": "always",
                    "role": "reviewer",
                    "title": "Reply to a customer, to be released",
                    "respond_within": 3600,
                    "expire_after": 86_400,
                    "on_expiry": {"action": "refuse"},
                    "answer": {"type": "text"},
                },
                "limits": {"max_output_tokens": 160, "deadline_ms": 60_000},
            },
        ],
        "rules": [],
    }


def seed(*, state: Path, servers: Servers, gateway_url: str, now: datetime) -> None:
    """Make what is missing, follow the servers' addresses, write demo-people, demo-key and demo-curl below state."""
    password = _password(state / "demo-password")
    with transaction.atomic():
        if not Workflow.objects.filter(slug=WORKFLOW).exists():
            _make(password=password, servers=servers, now=now)
    _follow(servers)
    token = _token(state / "demo-key")
    width = max(len(person.email) for person in PEOPLE)
    people = "".join(f"{person.email.ljust(width)}  {person.purpose}\n" for person in PEOPLE)
    (state / "demo-people").write_text(people)
    places.write_secret(state / "demo-curl", curl(gateway_url, token))


def curl(gateway_url: str, token: str) -> str:
    """The command line that asks what no model is sure of."""
    body = json.dumps(
        {
            "model": "auto",
            "metadata": {"step": "sentiment"},
            "messages": [{"role": "user", "content": DEMO_SENTENCE}],
        },
        ensure_ascii=False,
    )
    return (
        f"curl -s {gateway_url}/v1/chat/completions -H 'authorization: Bearer {token}' \\\n"
        f"  -H 'content-type: application/json' -d {shlex.quote(body)}\n"
    )


def _password(path: Path) -> str:
    try:
        return places.read_secret(path)
    except FileNotFoundError:
        # Three groups that one can type from a terminal into a browser.
        letters = "abcdefghjkmnpqrstuvwxyz"
        chosen = "-".join("".join(secrets.choice(letters) for _ in range(5)) for _ in range(3))
    with transaction.atomic():
        for person in User.objects.filter(email__in=[each.email for each in PEOPLE]):
            accounts.set_password(person=person, password=chosen, by=BOOTSTRAP)
    places.write_secret(path, chosen)
    return chosen


def _make(*, password: str, servers: Servers, now: datetime) -> None:
    production = Environment.objects.get(name="production")
    people = {
        each.login: accounts.create_person(
            email=each.email, name=each.name, time_zone="Europe/Berlin", password=password, by=BOOTSTRAP
        )
        for each in PEOPLE
    }
    care = accounts.create_team(name="Customer care", slug="customer-care", by=BOOTSTRAP)
    for each in PEOPLE:
        scoped = care if each.role in ("owner", "reviewer", "integrator") else None
        accounts.grant(user=people[each.login], role=each.role, team=scoped, by=BOOTSTRAP)
    _register_models(owner=people["lead"], team=care, environment=production, servers=servers, now=now)
    feedback = workflows.create(
        slug=WORKFLOW,
        name="Customer feedback",
        purpose="Reads what customers write about orders and deliveries, and drafts a reply that a person releases.",
        team=care,
        owner=people["owner"],
        risk="limited",
        data_class="internal",
        by=BOOTSTRAP,
    )
    workflows.add_step(workflow=feedback, name="sentiment", purpose="Is the customer pleased?", by=BOOTSTRAP)
    workflows.add_step(workflow=feedback, name="reply", purpose="A draft that a person releases.", by=BOOTSTRAP)
    change = changes.propose(
        workflow=feedback,
        environment=production,
        document=policy(),
        mode="enforce",
        title="The first policy: three models try, a person decides what they cannot",
        note="Small models first; nothing leaves our own machines.",
        by=people["lead"],
    )
    changes.vote(
        change=change,
        digest=change.revision.payload_digest,
        choice="approve",
        reason="The thresholds are where the held-out texts say the models are right as often as they claim.",
        by=people["owner"],
        then_activate=True,
    )


def _register_models(*, owner: User, team: Team, environment: Environment, servers: Servers, now: datetime) -> None:
    provider = registry.add_provider(name="Own machines", slug="own-machines", by=BOOTSTRAP)
    for each in MODELS:
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
            by=BOOTSTRAP,
        )
        endpoint = registry.add_endpoint(
            version=model.versions.get(is_current=True),
            provider=provider,
            environment=environment,
            url=_url(each.name, servers),
            upstream_model=each.name,
            region="eu",
            hosting="self",
            secret="env:SMALLFIRST_DEMO_MODELS_KEY",  # noqa: S106 (where the secret is found, not the secret)
            logprobs=True,
            by=BOOTSTRAP,
        )
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


def _follow(servers: Servers) -> None:
    """The model servers' ports differ from start to start where others took theirs."""
    names = [each.name for each in MODELS]
    served = Endpoint.objects.filter(version__model__name__in=names, active=True, provider__slug="own-machines")
    for endpoint in served.select_related("version__model"):
        registry.move_endpoint(endpoint=endpoint, url=_url(endpoint.version.model.name, servers), by=BOOTSTRAP)


def _url(model: str, servers: Servers) -> str:
    return servers.smollm2 if model.startswith("smollm2") else servers.classifiers


def _token(path: Path) -> str:
    """The demo's API key. It is shown once, so a lost file means a new key and the end of the old one."""
    workflow = Workflow.objects.get(slug=WORKFLOW)
    try:
        token = places.read_secret(path)
    except FileNotFoundError:
        token = ""
    mine = ApiKey.objects.filter(workflow=workflow, name=KEY_NAME, revoked_at=None)
    if mine.filter(sha256=accounts.token_sha256(token)).exists():
        return token
    with transaction.atomic():
        for key in mine:
            accounts.revoke_key(key=key, by=BOOTSTRAP, reason="Its file is lost")
        _key, token = accounts.create_key(
            workflow=workflow, environment=Environment.objects.get(name="production"), name=KEY_NAME, by=BOOTSTRAP
        )
        places.write_secret(path, token)
    return token
