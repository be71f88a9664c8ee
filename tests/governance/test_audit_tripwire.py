"""Every verb leaves its entry: all public functions that act for someone (`by`) are found and played here."""

import hashlib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

import governance
import ledger
import routing
from governance import (
    accounts,
    audit,
    changes,
    gateways,
    people,
    probes,
    registry,
    reviews,
    stops,
    workflows,
)
from governance.models import ApiKey, AuditEvent, Endpoint, Grant, Review, ReviewBody, new_id
from governance.permissions import VIEWS
from governance.views import evidence
from ledger import prices, savings
from ledger.models import Baseline
from routing import evaluations, sample_sets
from routing.models import EvaluationSchedule, SampleSet
from smallfirst.seal import box_public_key, read_key_file, seal_box
from tests.cast import (
    BOOTSTRAP,
    Cast,
    approve,
    make_cast,
    make_change,
    make_document,
    make_key,
    make_live,
    make_person,
)
from tests.governance.acts import acts_written
from tests.governance.scenes import beside_the_votes, of_proposals
from tests.governance.scenes_of_notifications import of_notifications
from tests.governance.scenes_of_the_log import of_the_log
from tests.pages import signed_in
from tests.routing import simulating
from tests.routing.lab import NOW, Lab, lab_of, row

pytestmark = pytest.mark.django_db

Act = Callable[[], object]
# What acts for someone and still leaves no entry, with the reason.
SILENT = {
    "reviews.renew": "a heartbeat: who has the case stands in the entry of the claim",
    "accounts.own_key_held": "reads the key that own_key made",
    "trials.send": "a request: it stands in the ledger; the key that it may make has its entry",
    "trials.outcome": "fetches an answer as the application would: the case's record says when",
}


def verbs() -> Iterator[tuple[str, Callable[..., object]]]:
    """Every public function of the control plane's modules that takes `by` by keyword, as `<noun>.<verb>`.

    How changes begin stands in a module beside theirs.
    """
    for package in (governance, ledger, routing):
        for found in pkgutil.iter_modules(package.__path__):
            if found.ispkg:
                continue
            module = importlib.import_module(f"{package.__name__}.{found.name}")
            for name, function in vars(module).items():
                if not inspect.isfunction(function) or function.__module__ != module.__name__ or name.startswith("_"):
                    continue
                by = inspect.signature(function).parameters.get("by")
                if by is not None and by.kind is inspect.Parameter.KEYWORD_ONLY:
                    yield f"{'changes' if found.name == 'proposals' else found.name}.{name}", function


def scenes(cast: Cast) -> dict[str, Callable[[], Act]]:
    """How each verb is played: the preparation, which returns the act itself."""
    governed = (
        _accounts(cast)
        | _registry(cast)
        | _workflows(cast)
        | _changes(cast)
        | beside_the_votes(cast)
        | of_proposals(cast)
        | _reviews(cast)
        | of_the_log(cast)
    )
    return governed | _ledger(cast) | _routing(cast) | simulating.scenes(cast) | of_notifications(cast)


def _accounts(cast: Cast) -> dict[str, Callable[[], Act]]:
    place: dict[str, Any] = {"workflow": cast.workflow, "environment": cast.production}

    def away() -> Act:
        accounts.deactivate(person=cast.reviewer, reason="left", by=cast.admin)
        return lambda: accounts.reactivate(person=cast.reviewer, reason="back", by=cast.admin)

    def recording_key() -> Act:
        recorded = registry.add_environment(name="past", votes_needed=1, position=9, recorded=True, by=BOOTSTRAP)
        given: dict[str, Any] = {"workflow": cast.workflow, "environment": recorded, "name": "Recordings"}
        return lambda: accounts.recording_key(**given, by=BOOTSTRAP)

    def revoke_key() -> Act:
        key, _token = make_key(cast)
        return lambda: accounts.revoke_key(key=key, by=cast.owner)

    def revoke_gateway() -> Act:
        gateway, _token = gateways.register(name="Shop", environment=cast.production, by=cast.admin)
        return lambda: gateways.revoke(gateway=gateway, by=cast.admin)

    def grant() -> Act:
        person = make_person("Newcomer")
        return lambda: accounts.grant(user=person, role="viewer", by=cast.admin)

    return {
        "accounts.create_person": lambda: lambda: accounts.create_person(email="n@x.example", name="N", by=cast.admin),
        "accounts.set_password": lambda: (
            lambda: accounts.set_password(person=cast.owner, password="a-plain-long-sentence", by=cast.owner)
        ),
        "accounts.deactivate": lambda: lambda: accounts.deactivate(person=cast.owner, reason="left", by=cast.admin),
        "accounts.reactivate": away,
        "accounts.rename_team": lambda: lambda: accounts.rename_team(team=cast.team, name="Care", by=cast.admin),
        "people.edit": lambda: lambda: people.edit(person=cast.owner, name="New", time_zone="UTC", by=cast.admin),
        "people.end_sessions": lambda: lambda: people.end_sessions(person=cast.owner, by=cast.owner),
        "people.invite": lambda: lambda: people.invite(person=cast.owner, by=cast.admin),
        "accounts.create_team": lambda: lambda: accounts.create_team(name="New", slug="new", by=cast.admin),
        "accounts.grant": grant,
        "accounts.revoke": lambda: lambda: accounts.revoke(grant=cast.owner.grants.get(), by=cast.admin),
        "accounts.create_key": lambda: lambda: accounts.create_key(name="Shop", by=cast.integrator, **place),
        "accounts.own_key": lambda: lambda: accounts.own_key(purpose=ApiKey.Purpose.TRIAL, by=cast.lead, **place),
        "accounts.recording_key": recording_key,
        "accounts.revoke_key": revoke_key,
        "gateways.register": lambda: lambda: gateways.register(name="Shop", environment=cast.production, by=cast.admin),
        "gateways.revoke": revoke_gateway,
    }


def _registry(cast: Cast) -> dict[str, Callable[[], Act]]:
    endpoint = Endpoint.objects.filter(version__model=cast.models[0]).get()
    version: dict[str, Any] = {
        "version": "2",
        "context_tokens": 10,
        "data_classes": ["public"],
        "regions": ["eu"],
        "by": cast.lead,
    }
    facts: dict[str, Any] = {
        "title": "N",
        "tier": "mid",
        "purpose": "P",
        "supplier": "S",
        "licence": "MIT",
        "hosting": "self",
    }
    served: dict[str, Any] = {
        "provider": endpoint.provider,
        "environment": cast.production,
        "url": "https://models.example.com/v1",
    }

    def close_provider() -> Act:
        idle = registry.add_provider(name="Idle", slug="idle", by=cast.lead)
        return lambda: registry.close_provider(provider=idle, reason="left", by=cast.lead)

    def move() -> Act:
        given: dict[str, Any] = served | {"upstream_model": "x", "region": "eu", "hosting": "self", "by": cast.lead}
        made = registry.add_endpoint(version=endpoint.version, **given)
        return lambda: registry.move_endpoint(endpoint=made, url="https://other.example.com/v1", by=cast.lead)

    return {
        "registry.add_environment": lambda: (
            lambda: registry.add_environment(name="staging", votes_needed=1, position=999, by=cast.lead)
        ),
        "registry.add_provider": lambda: lambda: registry.add_provider(name="New", slug="new", by=cast.lead),
        "registry.edit_provider": lambda: (
            lambda: registry.edit_provider(
                provider=endpoint.provider, name="Other", url="", secret=None, region="", by=cast.lead
            )
        ),
        "registry.close_provider": close_provider,
        "registry.register_model": lambda: (
            lambda: registry.register_model(name="new", owner=cast.owner, team=cast.team, **facts, **version)
        ),
        "registry.edit_model": lambda: (
            lambda: registry.edit_model(
                model=cast.models[0],
                title="Other",
                purpose="P",
                owner=cast.owner,
                limitations="",
                forbidden_uses="",
                documentation="",
                review_due=None,
                by=cast.lead,
            )
        ),
        "registry.set_gateway_url": lambda: (
            lambda: registry.set_gateway_url(environment=cast.production, url="https://gw.example.com", by=cast.lead)
        ),
        "registry.add_version": lambda: lambda: registry.add_version(model=cast.models[0], **version),
        "registry.add_endpoint": lambda: (
            lambda: registry.add_endpoint(
                version=endpoint.version, upstream_model="x", region="eu", hosting="self", by=cast.lead, **served
            )
        ),
        "registry.move_endpoint": move,
        "probes.try_endpoint": lambda: lambda: probes.try_endpoint(endpoint=endpoint, by=cast.lead),
        "registry.close_endpoint": lambda: lambda: registry.close_endpoint(endpoint=endpoint, reason="", by=cast.lead),
        "registry.retire": lambda: lambda: registry.retire(model=cast.models[0], reason="old", by=cast.lead),
    }


def _workflows(cast: Cast) -> dict[str, Callable[[], Act]]:
    held = cast.workflow
    facts: dict[str, Any] = {"purpose": "P", "team": cast.team, "owner": cast.owner}
    facts |= {"risk": "high", "data_class": "public"}
    edited: dict[str, Any] = {"name": "Other", "purpose": "P", "owner": cast.lead, "deputy": None, "cost_centre": None}
    edited |= {"people_affected": "Customers", "rationale": "", "review_due": None}

    def lift() -> Act:
        stop = stops.begin(workflow=held, reason="harm", by=cast.owner)
        return lambda: stops.lift(stop=stop, reason="mended", by=cast.owner)

    return {
        "stops.begin": lambda: lambda: stops.begin(workflow=held, reason="harm", by=cast.owner),
        "stops.lift": lift,
        "workflows.create": lambda: lambda: workflows.create(slug="other", name="New", by=cast.lead, **facts),
        "workflows.edit": lambda: lambda: workflows.edit(workflow=held, retention_days=1, by=cast.owner, **edited),
        "workflows.add_step": lambda: lambda: workflows.add_step(workflow=held, name="x", purpose="P", by=cast.owner),
        "workflows.retire": lambda: lambda: workflows.retire(workflow=held, reason="closed", by=cast.owner),
    }


def _changes(cast: Cast) -> dict[str, Callable[[], Act]]:
    def revise() -> Act:
        change = make_change(cast)
        return lambda: changes.revise(change=change, document=make_document(0.5), by=cast.integrator)

    def vote() -> Act:
        change = make_change(cast)
        return lambda: approve(change, cast.owner)

    def activate() -> Act:
        change = approve(make_change(cast), cast.owner)
        return lambda: changes.activate(change=change, by=cast.lead)

    def proceed() -> Act:
        change = approve(make_change(cast), cast.owner)
        return lambda: changes.proceed(change=change, by=cast.lead)

    def withdraw() -> Act:
        change = make_change(cast)
        return lambda: changes.withdraw(change=change, by=cast.integrator)

    def ratify() -> Act:
        change = make_change(cast, by=cast.lead)
        for grant in Grant.objects.filter(role__in=["lead", "owner"]).exclude(user=cast.lead):
            accounts.revoke(grant=grant, by=cast.admin)
        changes.activate(change=change, by=cast.lead, single_handed=True)
        accounts.grant(user=cast.finance, role="lead", by=cast.admin)
        return lambda: changes.ratify(change=change, digest=change.revision.payload_digest, by=cast.finance)

    return {
        "changes.proceed": proceed,
        "changes.ratify": ratify,
        "changes.revise": revise,
        "changes.vote": vote,
        "changes.activate": activate,
        "changes.withdraw": withdraw,
    }


def _reviews(cast: Cast) -> dict[str, Callable[[], Act]]:
    now = timezone.now()

    def taken() -> dict[str, Any]:
        held = reviews.claim(review=_open_review(cast), by=cast.reviewer, now=now)
        return {"review": held, "token": held.claim_token, "by": cast.reviewer, "now": now}

    def claim() -> Act:
        review = _open_review(cast)
        return lambda: reviews.claim(review=review, by=cast.reviewer, now=now)

    def claim_next() -> Act:
        _open_review(cast)
        return lambda: reviews.claim_next(by=cast.reviewer, now=now)

    def release() -> Act:
        held = taken()
        return lambda: reviews.release(**held)

    def answer() -> Act:
        held = taken()
        return lambda: reviews.answer(answer={"label": "positive"}, **held)

    def cancel() -> Act:
        review = _open_review(cast)
        return lambda: reviews.cancel(review=review, reason="asked twice", by=cast.lead, now=now)

    def erase() -> Act:
        review = reviews.cancel(review=_open_review(cast), reason="asked twice", by=cast.lead, now=now)
        return lambda: reviews.erase(review=review, reason="asked for", by=cast.lead, now=now)

    def read_body() -> Act:
        review = taken()["review"]
        return lambda: reviews.read_body(review=review, by=cast.reviewer)

    def read_answer() -> Act:
        held = reviews.answer(answer={"label": "positive"}, **taken())
        other = make_person("Second reviewer", "reviewer", cast.team)
        return lambda: reviews.read_answer(review=held, by=other)

    return {
        "reviews.claim": claim,
        "reviews.claim_next": claim_next,
        "reviews.release": release,
        "reviews.answer": answer,
        "reviews.cancel": cancel,
        "reviews.erase": erase,
        "reviews.read_body": read_body,
        "reviews.read_answer": read_answer,
    }


def _ledger(cast: Cast) -> dict[str, Callable[[], Act]]:
    rates = dict.fromkeys(("input", "output", "cache_read", "cache_write"), Decimal("0.1"))
    price: dict[str, Any] = {
        "endpoint": Endpoint.objects.all()[0],
        "currency": "USD",
        "valid_from": timezone.now(),
        **rates,
    }

    def known_models() -> Act:
        provider = registry.add_provider(name="OpenAI", slug="openai", by=cast.lead)
        registry.add_endpoint(
            version=cast.models[0].versions.get(),
            provider=provider,
            environment=cast.production,
            url="https://api.example.com/v1",
            upstream_model="o3",
            region="eu",
            hosting="hosted",
            by=cast.lead,
        )
        return lambda: prices.seed_list_prices(now=timezone.now(), by=BOOTSTRAP)

    def set_baseline() -> Baseline:
        return savings.set_baseline(
            workflow=cast.workflow,
            model=cast.models[2],
            assumed=True,
            reason="It was used before",
            valid_from=timezone.now(),
            by=cast.finance,
        )

    return {
        "savings.set_baseline": lambda: set_baseline,
        "prices.set_own_price": lambda: lambda: prices.set_own_price(by=cast.finance, **price),
        "prices.seed_list_prices": known_models,
    }


def _routing(cast: Cast) -> dict[str, Callable[[], Act]]:
    def held() -> tuple[Lab, SampleSet]:
        lab = lab_of(cast)
        return lab, lab.set([row("a")])

    def create_set() -> Act:
        lab = lab_of(cast)
        return lambda: lab.set([row("a")])

    def of_set(verb: Callable[..., object], **given: Any) -> Callable[[], Act]:
        def prepare() -> Act:
            _lab, sample_set = held()
            return lambda: verb(sample_set=sample_set, by=cast.owner, **given)

        return prepare

    def read_sample() -> Act:
        sample = held()[1].samples.get()
        return lambda: sample_sets.read_sample(sample=sample, by=cast.owner)

    def cancel() -> Act:
        lab, sample_set = held()
        running = lab.start(sample_set)
        return lambda: evaluations.cancel(evaluation=running, by=cast.owner, now=NOW)

    def schedule() -> EvaluationSchedule:
        place: dict[str, Any] = {"sample_set": held()[1], "environment": cast.production}
        return evaluations.schedule(cron="0 6 * * *", by=cast.owner, now=NOW, **place)

    def unschedule() -> Act:
        made = schedule()
        return lambda: evaluations.unschedule(schedule=made, by=cast.owner, now=NOW)

    def start() -> Act:
        lab, sample_set = held()
        return lambda: lab.start(sample_set)

    return {
        "sample_sets.create": create_set,
        "sample_sets.erase": of_set(sample_sets.erase, reason="asked", now=NOW),
        "sample_sets.read": of_set(sample_sets.read),
        "sample_sets.read_sample": read_sample,
        "evaluations.schedule": lambda: schedule,
        "evaluations.unschedule": unschedule,
        "evaluations.start": start,
        "evaluations.cancel": cancel,
    }


def _open_review(cast: Cast) -> Review:
    """A case as a gateway would have opened it."""
    key, _token = make_key(cast)
    now = timezone.now()
    with transaction.atomic():
        review = Review.objects.create(
            id=new_id(),
            decision=new_id(),
            workflow=cast.workflow,
            environment=cast.production,
            key=key,
            step="sentiment",
            request_digest=hashlib.sha256(key.pk.bytes).hexdigest(),
            reason_code="unsure",
            reason_text="No model was sure",
            title="Feedback",
            role="reviewer",
            respond_by=now + timedelta(minutes=15),
            expires_at=now + timedelta(hours=1),
            on_expiry={"action": "refuse", "answer": None},
            answer={"type": "label", "options": ["positive", "negative"], "schema": None},
            opened_at=now,
        )
        public = box_public_key(read_key_file(settings.KEYS / "review.key"))
        ReviewBody.objects.create(review=review, sealed=seal_box(public, b'{"messages":[]}', review.pk.bytes))
        audit.record(action="reviews.open", actor=BOOTSTRAP, object=review, summary="Opened a case")
    return review


@pytest.mark.parametrize("verb", sorted({name for name, _function in verbs()} - SILENT.keys()))
def test_a_verb_leaves_its_entry(verb: str) -> None:
    cast = make_cast()
    found = scenes(cast)
    assert verb in found, f"{verb} acts for someone: play it here, so that its entry is seen"
    act = found[verb]()
    before = set(AuditEvent.objects.values_list("pk", flat=True))
    act()
    written = AuditEvent.objects.exclude(pk__in=before)
    noun = verb.split(".")[0]
    assert written.filter(action__startswith=f"{noun}.").exists(), f"{verb} wrote no entry"
    # Whoever reads everything can look into each of them: a draw of it has its evidence.
    addresses, client, known = evidence.of(written, acts=VIEWS), signed_in(cast.auditor), acts_written()
    for event in written:
        assert event.action in known, f"{event.action} is written as tests/governance/acts.py does not see"
        assert event.pk in addresses, f"an entry about a {event.object_type} leads nowhere: see views/evidence.py"
        assert client.get(addresses[event.pk]).status_code == 200, addresses[event.pk]
        assert event.entry_hash == audit.entry_hash(event)
        assert event.summary
        people = {str(each) for each in cast.people.values()}
        assert event.actor_name in {str(BOOTSTRAP), "simulations", "Second reviewer", *people}


def test_the_scenes_are_of_verbs_that_exist() -> None:
    names = {name for name, _function in verbs()}
    assert set(scenes(make_cast())) <= names
    assert SILENT.keys() <= names
    assert len(names) > 30


def test_consequences_have_entries_of_their_own() -> None:
    cast = make_cast()
    slow = make_change(cast, 0.7)
    make_live(cast, 0.8)
    assert AuditEvent.objects.about(slow).filter(action="changes.go_stale").count() == 1
