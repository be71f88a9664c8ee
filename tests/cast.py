"""Who and what the tests play with: plain functions that make one thing each, by the product's own verbs."""

import copy
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance import accounts, admissions, audit, audit_samples, changes, checks, entries, registry, seals, workflows
from governance.audit import Service
from governance.models import (
    ApiKey,
    AuditCheckpoint,
    AuditSample,
    Change,
    Endpoint,
    Environment,
    Model,
    PolicyHead,
    Provider,
    Review,
    ReviewBody,
    Role,
    Team,
    User,
    Workflow,
    new_id,
)

BOOTSTRAP = Service("bootstrap")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Cast:
    """A team with a workflow in production (one vote needed), everybody who has to do with it, and a stranger."""

    team: Team
    elsewhere: Team
    production: Environment
    lead: User
    owner: User
    second_lead: User
    reviewer: User
    finance: User
    integrator: User
    auditor: User
    admin: User
    stranger: User
    models: tuple[Model, ...]
    workflow: Workflow

    @property
    def people(self) -> dict[str, User]:
        """Everybody by role; the stranger is the lead of another team."""
        names = ("lead", "owner", "second_lead", "reviewer", "finance", "integrator", "auditor", "admin", "stranger")
        return {name: getattr(self, name) for name in names}


_played: list[tuple[datetime, str, Cast]] = []


def make_cast() -> Cast:
    """Everybody, three models of rising tier (lexicon, tf-idf, smollm2) and the workflow `customer-feedback`.

    The product's verbs play it once a session. After that the database takes the rows that they wrote again, under the
    same constraints and triggers, in a fiftieth of the time; but in a test that is set before that, where nobody would
    have a role yet, it is played anew.
    """
    written = next((played for played in _played if played[0] <= timezone.now()), None)
    if written is None:
        with CaptureQueriesContext(connection) as asked:
            cast = _play_cast()
        said = [query["sql"] for query in asked.captured_queries]
        written = (timezone.now(), ";".join(sql for sql in said if sql.startswith("INSERT")), cast)
        _played.append(written)
    else:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(written[1])
    return copy.deepcopy(written[2])


def _play_cast() -> Cast:
    team, elsewhere = make_team("Customer care"), make_team("Elsewhere")
    production = make_environment()
    owner = make_person("Owner", Role.OWNER, team)
    provider = make_provider()
    models = (
        make_model("lexicon", "small", owner, team, provider, production),
        make_model("tf-idf", "mid", owner, team, provider, production),
        make_model("smollm2", "frontier", owner, team, provider, production),
    )
    return Cast(
        team=team,
        elsewhere=elsewhere,
        production=production,
        lead=make_person("Lead", Role.LEAD),
        owner=owner,
        second_lead=make_person("Second lead", Role.LEAD),
        reviewer=make_person("Reviewer", Role.REVIEWER, team),
        finance=make_person("Finance", Role.FINANCE),
        integrator=make_person("Integrator", Role.INTEGRATOR, team),
        auditor=make_person("Auditor", Role.AUDITOR),
        admin=make_person("Admin", Role.ADMIN),
        stranger=make_person("Stranger", Role.LEAD, elsewhere),
        models=models,
        workflow=make_workflow(team, owner),
    )


def make_person(name: str, role: str | None = None, team: Team | None = None) -> User:
    """A person without a password (sign in with `client.force_login`), with a role in a team or everywhere."""
    email = f"{name.lower().replace(' ', '-')}-{next(_numbers)}@example.com"
    person = accounts.create_person(email=email, name=name, by=BOOTSTRAP)
    if role:
        accounts.grant(user=person, role=role, team=team, by=BOOTSTRAP)
    return person


def make_team(name: str) -> Team:
    """A team."""
    return accounts.create_team(name=name, slug=name.lower().replace(" ", "-"), by=BOOTSTRAP)


def make_environment(name: str = "production", votes_needed: int = 1) -> Environment:
    """An environment."""
    return registry.add_environment(name=name, votes_needed=votes_needed, position=next(_numbers), by=BOOTSTRAP)


def make_provider(slug: str = "local") -> Provider:
    """An account at a provider."""
    return registry.add_provider(name=f"Provider {slug}", slug=slug, by=BOOTSTRAP)


def make_model(
    name: str, tier: str, owner: User, team: Team, provider: Provider, environment: Environment, **given: Any
) -> Model:
    """A self-hosted model of the EU, cleared for confidential data, with one endpoint in the environment."""
    facts: dict[str, Any] = {
        "title": name.title(),
        "purpose": "Answers in tests",
        "supplier": "Nobody",
        "licence": "Apache-2.0",
        "hosting": "self",
        "version": "1",
        "context_tokens": 8192,
        "data_classes": ["public", "internal", "confidential"],
        "regions": ["eu"],
    }
    model = registry.register_model(name=name, tier=tier, owner=owner, team=team, by=BOOTSTRAP, **(facts | given))
    serve(model, environment, provider)
    return model


def serve(model: Model, environment: Environment, provider: Provider | None = None) -> Endpoint:
    """An endpoint of the model's current version, hosted as it is, in an environment; nothing answers there."""
    return registry.add_endpoint(
        version=model.versions.get(is_current=True),
        provider=provider or Provider.objects.all()[0],
        environment=environment,
        url=f"http://127.0.0.1:9/{model.name}",
        upstream_model=model.name,
        region="eu",
        hosting=model.hosting,
        logprobs=True,
        by=BOOTSTRAP,
    )


def make_workflow(team: Team, owner: User, slug: str = "customer-feedback", **given: Any) -> Workflow:
    """A workflow of limited risk and internal data, with the steps `language` and `sentiment`."""
    facts: dict[str, Any] = {"purpose": "Understands what customers write", "risk": "limited", "data_class": "internal"}
    name = slug.replace("-", " ").capitalize()
    made = workflows.create(slug=slug, name=name, team=team, owner=owner, by=BOOTSTRAP, **(facts | given))
    for step in ("language", "sentiment"):
        workflows.add_step(workflow=made, name=step, purpose=f"Finds the {step}", by=BOOTSTRAP)
    return made


def make_document(keep_from: float = 0.8, *models: str) -> dict[str, Any]:
    """A policy document with one ladder for every step, lexicon to smollm2 unless said, and a reviewer at its end."""
    ladder = models or ("lexicon", "tf-idf", "smollm2")
    return {
        "format": 1,
        "pin": "allow",
        "steps": [
            {
                "name": "*",
                "ladder": [{"model": name} for name in ladder],
                "gate": {"keep_from": keep_from},
                "review": {
                    "when": "unsure",
                    "role": "reviewer",
                    "respond_within": 900,
                    "expire_after": 3600,
                    "on_expiry": {"action": "refuse"},
                    "answer": {"type": "label", "options": ["positive", "negative"]},
                },
            }
        ],
    }


def make_change(cast: Cast, keep_from: float = 0.8, by: User | None = None) -> Change:
    """A change in review, proposed by the integrator unless said."""
    return changes.propose(
        mode="enforce",
        workflow=cast.workflow,
        environment=cast.production,
        document=make_document(keep_from),
        title=f"Keep answers from {keep_from}",
        note="So that people see fewer of them",
        by=by or cast.integrator,
    )


def approve(change: Change, by: User) -> Change:
    """Vote for what the change says now, with its simulation as it stands."""
    change = Change.objects.for_list().get(pk=change.pk)
    seen: dict[str, Any] = {
        "digest": change.revision.payload_digest,
        "simulation": checks.standing(change, "simulation").seen,
    }
    return changes.vote(change=change, choice="approve", reason="", by=by, **seen)


def make_live(cast: Cast, keep_from: float = 0.8) -> PolicyHead:
    """A live policy: proposed by the integrator, approved by the owner, activated by the lead."""
    change = approve(make_change(cast, keep_from), cast.owner)
    changes.activate(change=change, by=cast.lead)
    return PolicyHead.objects.select_related("version").get(workflow=cast.workflow, environment=cast.production)


def make_entry(cast: Cast, *, by: User | None = None, **parts: Any) -> Change:
    """A change of the workflow's entry, proposed by the integrator unless said; a policy of it has to be live."""
    held = Workflow.objects.get(pk=cast.workflow.pk)
    document = entries.of(held) | {"rationale": held.rationale or "Customers write about orders"} | parts
    return changes.propose_entry(
        workflow=held, document=document, title="Another entry", note="It was looked at again", by=by or cast.integrator
    )


def make_admission(
    cast: Cast, model: Model, *, by: User | None = None, document: dict[str, Any] | None = None, **conditions: Any
) -> Change:
    """A change of a model's admission in production under other conditions, proposed by the integrator unless said."""
    version = model.versions.select_related("model__team").get(is_current=True)
    drafted = document or admissions.draft(version, cast.production)
    return changes.propose_admission(
        version=version,
        environment=cast.production,
        document=drafted | {"conditions": drafted["conditions"] | conditions},
        title="Other conditions",
        note="It was looked at again",
        by=by or cast.integrator,
    )


def make_standard(cast: Cast, *, team: Team | None = None, by: User | None = None, **parts: Any) -> Change:
    """A change of a standard in production, the organisation's unless said, proposed by the second lead unless said."""
    return changes.propose_standard(
        environment=cast.production,
        team=team,
        document={"format": 1, **parts},
        title="Another standard",
        note="So that it holds for all",
        by=by or cast.second_lead,
    )


def make_exceptions(cast: Cast, *parts: str, by: User | None = None, **said: Any) -> Change:
    """A change that excepts the workflow in production from parts of the organisation's standard unless said."""
    deviation = {
        "standard": "organisation",
        "parts": list(parts),
        "owner": str(cast.owner.pk),
        "reason": "Its models are measured elsewhere",
        "until": str(timezone.localdate() + timedelta(days=30)),
    } | said
    return changes.propose_exceptions(
        workflow=cast.workflow,
        environment=cast.production,
        document={"format": 1, "exceptions": [deviation] if parts else []},
        title="Except it",
        note="For a time",
        by=by or cast.integrator,
    )


def make_rules(cast: Cast, *rules: dict[str, Any], **also: Any) -> Change:
    """Approval rules in force: proposed by the lead, approved by the second lead, who is the only other one."""
    document = {"rules": list(rules), **also}
    change = changes.propose_approval_rules(document=document, title="Other rules", note="", by=cast.lead)
    return changes.activate(change=approve(change, cast.second_lead), by=cast.lead)


def make_key(cast: Cast, name: str = "Shop") -> tuple[ApiKey, str]:
    """An API key of the workflow in production, with its token."""
    return accounts.create_key(workflow=cast.workflow, environment=cast.production, name=name, by=cast.integrator)


def make_audit_sample(cast: Cast, **given: Any) -> AuditSample:
    """Three entries of all that the last checkpoint was signed over; the log begins with it where there is none."""
    seals.seal(keys=Path(settings.KEYS), now=timezone.now())
    signed = AuditCheckpoint.objects.order_by("-number")[0].at
    usual: dict[str, Any] = {
        "acts": [],
        "since": datetime(2000, 1, 1, tzinfo=UTC),
        "until": signed,
        "n": 3,
        "seed": "six dice: 4 2 6 6 1 3",
        "purpose": "",
        "by": cast.auditor,
        "now": timezone.now(),
    }
    return audit_samples.draw(**(usual | given))


@transaction.atomic
def make_review(key: ApiKey, **given: Any) -> Review:
    """A waiting review of the key's workflow, as if a gateway had opened it; nobody can read what is in its box."""
    now = timezone.now()
    facts: dict[str, Any] = {
        "id": new_id(),
        "decision": new_id(),
        "step": "sentiment",
        "request_digest": f"{next(_numbers):064x}",
        "reason_code": "unsure",
        "reason_text": "No model was sure enough.",
        "title": "A case",
        "role": "reviewer",
        "respond_by": now + timedelta(minutes=15),
        "expires_at": now + timedelta(hours=1),
        "on_expiry": {"action": "refuse", "answer": None},
        "answer": {"type": "label", "options": ["positive", "negative"], "schema": None},
        "opened_at": now,
    }
    places = {"workflow": key.workflow, "environment": key.environment, "key": key}
    review = Review.objects.create(**(facts | places | given))
    ReviewBody.objects.create(review=review, sealed=b"sealed elsewhere")
    audit.record(action="reviews.open", actor=BOOTSTRAP, object=review, summary="Opened a case")
    return review
