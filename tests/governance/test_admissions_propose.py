"""Admissions of models: asked only where and as it was agreed, by votes; nothing else reaches a gateway."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from governance import accounts, admissions, audit, changes, policies, registry, suspensions, votes
from governance.models import AuditEvent, Change, Content, ContentHead, Endpoint, Model, Notification, Suspension
from tests.cast import (
    Cast,
    approve,
    make_admission,
    make_cast,
    make_change,
    make_document,
    make_environment,
    make_live,
    make_model,
    make_rules,
    serve,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody, and a policy that is live."""
    made = make_cast()
    make_live(made)
    return made


def served(cast: Cast) -> set[str]:
    """The models that may be asked in production."""
    return {each.version.model.name for each in Endpoint.objects.served_in(cast.production)}


def written() -> tuple[int, ...]:
    """What a refusal must leave as it was."""
    return tuple(each.objects.count() for each in (Change, Content, ContentHead, AuditEvent))


def registered(cast: Cast, name: str = "newcomer") -> Model:
    """A model that a person registered, with an endpoint in production."""
    model = registry.register_model(
        name=name, title=name.title(), tier="small", purpose="P", supplier="S", licence="MIT", hosting="self",
        owner=cast.owner, team=cast.team, version="1", context_tokens=10, data_classes=["public", "internal"],
        regions=["eu"], by=cast.lead,
    )  # fmt: skip
    registry.add_endpoint(
        version=model.versions.get(), provider=Endpoint.objects.all()[0].provider, environment=cast.production,
        url="https://models.example.com/v1", upstream_model=name, region="eu", hosting="self", by=cast.lead,
    )  # fmt: skip
    return model


def standing(cast: Cast, model: Model) -> admissions.Standing:
    """How a model stands in production."""
    (found,) = admissions.standings(model.versions.select_related("model"), cast.production)
    return found


def test_what_a_person_adds_is_asked_only_once_others_admitted_it(cast: Cast) -> None:
    model = registered(cast)
    assert model.name not in served(cast)
    assert (standing(cast, model).word, standing(cast, model).approved) == ("registered only", False)
    document = make_document(0.8, "newcomer", "tf-idf")
    place: dict[str, Any] = {"workflow": cast.workflow, "environment": cast.production}
    with pytest.raises(policies.InvalidPolicy, match="newcomer may not be asked in production: nobody has admitted it"):
        changes.propose(document=document, title="Use it", note="", by=cast.integrator, **place)

    change = make_admission(cast, model, valid_until="2099-12-31")
    assert change.place == "Newcomer 1 in production"
    assert standing(cast, model).word == "in review"
    with pytest.raises(policies.InvalidPolicy, match="its admission there is in review"):
        changes.propose(document=document, title="Use it", note="", by=cast.integrator, **place)
    with pytest.raises(changes.NotApproved):
        changes.activate(change=change, by=cast.lead)
    made = changes.activate(change=approve(change, cast.owner), by=cast.lead)
    assert model.name in served(cast)
    assert standing(cast, model).word == "approved until 31 December 2099"
    event = AuditEvent.objects.about(made).get(action="changes.activate")
    assert event.after is not None
    assert event.after["endpoints"] == ["https://models.example.com/v1"]
    assert changes.propose(document=document, title="Use it", note="", by=cast.integrator, **place).state == "in_review"


def test_what_smallfirst_sets_up_is_admitted_only_while_no_policy_is_live_there(cast: Cast) -> None:
    late = make_model("late", "mid", cast.owner, cast.team, Endpoint.objects.all()[0].provider, cast.production)
    assert "late" not in served(cast)
    staging = make_environment("staging")
    serve(late, staging)
    assert {each.version.model.name for each in Endpoint.objects.served_in(staging)} == {"late"}
    serve(late, staging)
    assert Endpoint.objects.served_in(staging).count() == 2
    assert standing(cast, cast.models[0]).made_by is None


def test_where_nobody_votes_it_is_approved_at_once(cast: Cast) -> None:
    sandbox = make_environment("sandbox", votes_needed=0)
    version = cast.models[0].versions.select_related("model__team").get()
    registry.add_endpoint(
        version=version, provider=Endpoint.objects.all()[0].provider, environment=sandbox, by=cast.lead,
        url="https://models.example.com/v1", upstream_model="x", region="eu", hosting="self",
    )  # fmt: skip
    change = changes.propose_admission(
        version=version, environment=sandbox, document=admissions.draft(version, sandbox), title="Try", note="",
        by=cast.lead,
    )  # fmt: skip
    assert change.state == "approved"
    changes.proceed(change=change, by=cast.lead)
    assert Endpoint.objects.served_in(sandbox).count() == 1


def test_it_may_be_agreed_for_fewer_classes_and_for_no_more(cast: Cast) -> None:
    model = cast.models[0]
    document = admissions.draft(model.versions.select_related("model").get(), cast.production)
    change = make_admission(cast, model, document=document | {"data_classes": ["public"]})
    changes.activate(change=approve(change, cast.owner), by=cast.lead)
    known = {each.name: each.data_classes for each in policies.registry(cast.production).models}
    assert known["lexicon"] == ("public",)
    with pytest.raises(admissions.InvalidAdmission, match="not cleared for restricted"):
        make_admission(cast, model, document=document | {"data_classes": ["restricted"]})


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"licence": "Proprietary"}, "its licence is Apache-2.0"),
        ({"data_classes": []}, "data_classes"),
        ({"endpoints": []}, "endpoints"),
        ({"conditions": {"valid_until": "2020-01-01"}}, "that day is over"),
        ({"conditions": {"valid_until": "soon"}}, "valid_until"),
        ({"conditions": {"cost": "-1"}}, "cost"),
        ({"conditions": {"score": {"workflow": "customer-feedback", "step": "none", "at_least": 0.9}}}, "no step none"),
        ({"conditions": {"score": {"workflow": "customer-feedback", "step": "language", "at_least": 2}}}, "at_least"),
        ({"conditions": {"colour": "red"}}, "colour"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(cast: Cast, parts: dict[str, Any], said: str) -> None:
    document = admissions.draft(cast.models[0].versions.select_related("model").get(), cast.production)
    before = written()
    with pytest.raises(admissions.InvalidAdmission, match=said):
        changes.propose_admission(
            version=cast.models[0].versions.select_related("model__team").get(), environment=cast.production,
            document=document | parts, title="Other", note="", by=cast.integrator,
        )  # fmt: skip
    assert written() == before


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        ({"url": "nowhere"}, "this is no address"),
        ({"region": "us"}, "may not run in us"),
        ({"endpoint": "00000000-0000-7000-8000-000000000000"}, "no such open endpoint"),
    ],
)
def test_an_endpoint_is_one_that_is_open_there(cast: Cast, moved: dict[str, Any], said: str) -> None:
    document = admissions.draft(cast.models[0].versions.select_related("model").get(), cast.production)
    document["endpoints"][0] |= moved
    with pytest.raises(admissions.InvalidAdmission, match=said):
        make_admission(cast, cast.models[0], document=document)


def test_an_agreed_address_moves_by_a_change_alone(cast: Cast) -> None:
    endpoint = Endpoint.objects.select_related("version__model", "environment").get(version__model=cast.models[0])
    before = written()
    with pytest.raises(registry.EndpointAdmitted, match="propose another admission"):
        registry.move_endpoint(endpoint=endpoint, url="https://other.example.com/v1", by=cast.lead)
    assert written() == before
    document = admissions.moved(endpoint, "https://other.example.com/v1")
    change = approve(make_admission(cast, cast.models[0], document=document), cast.owner)
    changes.activate(change=change, by=cast.lead)
    endpoint.refresh_from_db()
    assert endpoint.url == "https://other.example.com/v1"
    assert "lexicon" in served(cast)


@pytest.mark.parametrize("who", ["reviewer", "finance", "auditor", "admin", "stranger"])
def test_who_proposes_nothing_admits_nothing(cast: Cast, who: str) -> None:
    before = written()
    with pytest.raises(accounts.NotPermitted):
        make_admission(cast, cast.models[0], by=cast.people[who], valid_until="2099-01-01")
    assert written() == before


def test_approval_rules_single_out_admissions(cast: Cast) -> None:
    make_rules(cast, {"name": "Models", "when": {"kinds": ["model"], "environments": ["production"]}, "votes": 2})
    assert votes.requirement(make_admission(cast, cast.models[0], cost="5")).votes == 2
    assert votes.requirement(make_change(cast, 0.6)).votes == 1


def test_what_is_suspended_is_asked_no_more_and_attested_anew_in_the_same_words(cast: Cast) -> None:
    model, today = cast.models[0], timezone.localdate()
    change = make_admission(cast, model, valid_until=today.isoformat())
    changes.activate(change=approve(change, cast.owner), by=cast.lead)
    assert suspensions.end_due(today=today) == 0
    assert suspensions.end_due(today=today + timedelta(days=1)) == 1
    assert suspensions.end_due(today=today + timedelta(days=1)) == 0
    assert "lexicon" not in served(cast)
    found = standing(cast, model)
    assert (found.word, found.level) == ("suspended", "bad")
    event = AuditEvent.objects.get(action="suspensions.suspend")
    assert (event.actor_kind, event.actor_name) == ("service", "admissions")
    told = Notification.objects.get(kind="model.suspended")
    assert told.title == "Lexicon is suspended in production: its time is over"
    assert told.facts["limit"].startswith("until ")
    with pytest.raises(policies.InvalidPolicy, match="lexicon may not be asked in production: it is suspended there"):
        make_change(cast, 0.5)
    # The model itself has not changed: the same words, voted on again, let it be asked again.
    again = make_admission(cast, model)
    changes.activate(change=approve(again, cast.owner), by=cast.lead)
    assert "lexicon" in served(cast)
    assert standing(cast, model).approved


def round_the_verb(cast: Cast, *acts: Any) -> None:
    """What somebody with a shell writes, with audit events so that only the rule about admissions is in the way."""
    with transaction.atomic():
        for each in Endpoint.objects.all():
            audit.record(action="registry.move_endpoint", actor=cast.owner, object=each, summary="Went round the verb")
        for act in acts:
            act()
        with connection.cursor() as sql:
            sql.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_a_shell_and_raw_sql_move_no_agreed_endpoint_and_admit_nothing(cast: Cast) -> None:
    model = registered(cast)
    version = model.versions.get()
    endpoints = Endpoint.objects.filter(version__model=cast.models[0])
    for column in (
        {"url": "https://evil.example/v1"},
        {"region": "us"},
        {"hosting": "hosted"},
        {"upstream_model": "x"},
    ):
        with pytest.raises(IntegrityError, match="says otherwise than what is agreed"):
            round_the_verb(cast, lambda column=column: endpoints.update(**column))
    place = {"kind": "model", "model_version": version, "environment": cast.production}
    document = admissions.draft(version, cast.production)
    sneaked = {"document": document, "digest": "0" * 64, "number": 1}

    def admit() -> None:
        ContentHead.objects.create(**place, content=Content.objects.create(**place, **sneaked))

    with pytest.raises(IntegrityError, match="a content head moves by a change"):
        round_the_verb(cast, admit)
    change = make_admission(cast, model)
    with pytest.raises(IntegrityError, match="of an applied change of its place"):
        round_the_verb(
            cast,
            lambda: ContentHead.objects.filter(**place).update(content=change.revision.content, change=change),
        )
    assert "newcomer" not in served(cast)


def test_a_suspension_is_written_once_and_lifted_by_nobody(cast: Cast) -> None:
    head = ContentHead.objects.get(model_version__model=cast.models[0])
    told = {"condition": "cost", "limit": "USD 1", "figure": "USD 2", "evidence": ""}
    assert suspensions.suspend(head=head, **told) is not None
    assert suspensions.suspend(head=head, **told) is None
    for write in (Suspension.objects.all().delete, lambda: Suspension.objects.update(figure="USD 0")):
        with pytest.raises(IntegrityError, match="never changed or deleted"), transaction.atomic():
            write()
