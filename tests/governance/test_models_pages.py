"""Pages of the register: a model from its entry to its end, where it is served, and what its list says of it."""

from typing import Any

import pytest
from django.urls import reverse

from governance import accounts, probes, registry, workflows
from governance.models import AuditEvent, Endpoint, Model, Probe
from tests import cast as casting
from tests.cast import BOOTSTRAP, Cast, make_cast, make_live
from tests.governance.test_probes_try import Provider, listing
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody with a live policy over lexicon, tf-idf and smollm2."""
    made = make_cast()
    make_live(made)
    return made


def entry(cast: Cast, **fields: Any) -> dict[str, Any]:
    """What the form of a new model sends."""
    return {
        "name": "acme/sorter:2",
        "title": "Sorter",
        "tier": "mid",
        "supplier": "Acme",
        "licence": "Apache-2.0",
        "hosting": "self",
        "team": str(cast.team.pk),
        "purpose": "Sorts claims",
        "limitations": "Reads English alone",
        "forbidden_uses": "Deciding on its own",
        "documentation": "https://acme.example.com/sorter",
        "owner": str(cast.owner.pk),
        "review_due": "2026-01-31",
        "version": "2",
        "context_tokens": "8192",
        "data_classes": ["confidential", "public"],
        "regions": "eu, us",
        "digest": "AB" * 32,
        "parameters": "7000000",
        "training_data": "Public claims",
        **fields,
    }


def endpoint_entry(cast: Cast, address: str, **fields: Any) -> dict[str, Any]:
    """What the form of a new endpoint sends."""
    return {
        "environment": str(cast.production.pk),
        "provider": str(Endpoint.objects.all()[0].provider_id),
        "url": address,
        "upstream_model": "gpt-small",
        "region": "eu",
        "hosting": "self",
        "secret": "env:ACME_API_KEY",
        "timeout_ms": "5000",
        **fields,
    }


def test_a_model_is_registered_and_its_page_says_what_is_asserted(cast: Cast) -> None:
    client = signed_in(cast.lead)
    answer = client.post(reverse("model_new"), entry(cast), follow=True)
    assert answer.redirect_chain == [("/models/acme/sorter:2/", 302)]
    made = Model.objects.get(name="acme/sorter:2")
    version = made.versions.get()
    assert (version.digest, version.regions, version.clearance) == ("ab" * 32, ["eu", "us"], "confidential")
    page = text(answer)
    for said in (
        *("Sorter is served nowhere yet", "Say next where it is served", "Nothing here was measured"),
        *("Reads English alone", "Deciding on its own", "Public claims", "https://acme.example.com/sorter"),
        *("confidential data in eu, us", "7,000,000", "sha256 abababababab…", "due 31 Jan"),
    ):
        assert said in page, said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Sorter"}, "lower case"),
        ({"name": "acme/-/edit"}, "each part beginning with a letter"),
        ({"name": "auto"}, "auto is taken"),
        ({"name": "lexicon"}, "already exists"),
        ({"digest": "short"}, "64 hexadecimal digits"),
        ({"data_classes": []}, "required"),
        ({"regions": " , "}, "at least one region"),
        ({"documentation": "javascript:alert(1)"}, "valid URL"),
        ({"context_tokens": "0"}, "greater than or equal"),
    ],
)
def test_what_does_not_fit_is_named_and_registers_nothing(cast: Cast, fields: dict[str, Any], said: str) -> None:
    before = (AuditEvent.objects.count(), Model.objects.count())
    answer = signed_in(cast.lead).post(reverse("model_new"), entry(cast, **fields))
    assert (answer.status_code, said in text(answer)) == (422, True)
    assert "Sorts claims" in text(answer)
    assert (AuditEvent.objects.count(), Model.objects.count()) == before


def test_a_lead_registers_for_his_own_team_alone(cast: Cast) -> None:
    assert signed_in(cast.stranger).post(reverse("model_new"), entry(cast)).status_code == 422
    fields = entry(cast, team=str(cast.elsewhere.pk))
    assert signed_in(cast.stranger).post(reverse("model_new"), fields).status_code == 302


def test_a_card_is_edited(cast: Cast) -> None:
    address = reverse("model_edit", args=["lexicon"])
    fields = {name: entry(cast)[name] for name in ("title", "purpose", "owner", "limitations", "documentation")}
    assert "Answers in tests" in text(signed_in(cast.lead).get(address))
    answer = signed_in(cast.lead).post(address, fields, follow=True)
    assert "Reads English alone" in text(answer)
    held = Model.objects.get(name="lexicon")
    assert (held.title, held.tier, held.review_due) == ("Sorter", "small", None)
    before = AuditEvent.objects.count()
    assert signed_in(cast.owner).post(address, fields | {"title": "Mine"}).status_code == 403
    assert (Model.objects.get(name="lexicon").title, AuditEvent.objects.count()) == ("Sorter", before)


def test_an_endpoint_is_tried_when_it_is_added_and_the_page_keeps_the_result(cast: Cast) -> None:
    client, address = signed_in(cast.lead), reverse("endpoint_new", args=["lexicon"])
    with Provider(listing("gpt-smal")) as provider:
        answer = client.post(address, endpoint_entry(cast, f"{provider.url}/v1"), follow=True)
        assert answer.redirect_chain == [("/models/lexicon/-/admission/production/", 302)]
    said = "Reached, but it lists no gpt-small; the only one it lists is gpt-smal."
    page = text(client.get(reverse("model", args=["lexicon"])))
    assert f"Does not list the model {said} Tried just now by Lead" in page
    assert "key in env:ACME_API_KEY of the gateway" in page

    made = Endpoint.objects.get(upstream_model="gpt-small")
    with Provider(listing("gpt-small")) as provider:
        move = {"url": f"{provider.url}/v1"}
        client.post(reverse("endpoint_move", args=[made.pk]), move)
        assert [probe.outcome for probe in made.probes.order_by("created_at")] == ["not_listed", "listed"]
        client.post(reverse("endpoint_try", args=[made.pk]))
    assert made.probes.count() == 3
    registry.move_endpoint(endpoint=made, url="https://elsewhere.example.com/v1", by=cast.lead)
    assert "at its earlier address" in text(client.get(reverse("model", args=["lexicon"])))


def test_the_form_begins_where_the_model_is_to_be_served_next(cast: Cast) -> None:
    client, address = signed_in(cast.lead), reverse("endpoint_new", args=["lexicon"])

    def begins() -> str:
        return str(client.get(address).context["form"]["environment"].initial)

    # No gateway of any environment is known; then only that of development, where nothing serves it yet.
    assert begins() == "production"
    development = registry.add_environment(name="development", votes_needed=0, position=0, by=cast.lead)
    registry.set_gateway_url(environment=development, url="http://127.0.0.1:8002", by=cast.lead)
    assert begins() == "development"
    registry.set_gateway_url(environment=cast.production, url="http://127.0.0.1:8001", by=cast.lead)
    assert begins() == "development"


def test_a_wrong_endpoint_is_named_and_nothing_is_asked(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "reach", lambda *_: pytest.fail("asked"))
    address = reverse("endpoint_new", args=["lexicon"])
    before = Endpoint.objects.count()
    for fields, said in (
        ({"url": "ftp://models.example.com"}, "http or https address"),
        ({"url": "http://user:word@models.example.com/v1?x=1"}, "without query"),
        ({"region": "mars"}, "valid choice"),
        ({"secret": "sk-the-key-itself"}, "Name the gateway’s environment variable"),
        ({"timeout_ms": "1"}, "greater than or equal"),
    ):
        answer = signed_in(cast.lead).post(address, endpoint_entry(cast, "http://127.0.0.1:9/v1", **fields))
        assert (answer.status_code, said in text(answer)) == (422, True), fields
    for who in ("owner", "integrator", "auditor", "stranger"):
        fields = endpoint_entry(cast, "http://127.0.0.1:9/v1")
        assert signed_in(cast.people[who]).post(address, fields).status_code == 403
    assert (Endpoint.objects.count(), Probe.objects.count()) == (before, 0)


def test_a_grant_for_one_environment_serves_there_alone(cast: Cast) -> None:
    staging = casting.make_environment("staging", 0)
    person = casting.make_person("Keeper")
    accounts.grant(user=person, role="lead", team=cast.team, environment=staging, by=BOOTSTRAP)
    client = signed_in(person)
    page = client.get(reverse("model", args=["lexicon"])).content.decode()
    assert reverse("endpoint_new", args=["lexicon"]) in page
    assert reverse("model_edit", args=["lexicon"]) not in page
    assert reverse("endpoint_try", args=[Endpoint.objects.get(version__model=cast.models[0]).pk]) not in page
    address = reverse("endpoint_new", args=["lexicon"])
    fields = endpoint_entry(cast, "http://127.0.0.1:9/v1")
    assert client.post(address, fields).status_code == 422
    assert client.post(address, fields | {"environment": str(staging.pk)}).status_code == 302


def test_an_endpoint_is_closed_with_a_reason(cast: Cast) -> None:
    held = Endpoint.objects.get(version__model=cast.models[0])
    address = reverse("endpoint_close", args=[held.pk])
    assert signed_in(cast.lead).post(address, {"reason": ""}).status_code == 422
    assert signed_in(cast.owner).post(address, {"reason": "x"}).status_code == 403
    held.refresh_from_db()
    assert held.active
    answer = signed_in(cast.lead).post(address, {"reason": "Moved house"}, follow=True)
    assert "1 closed endpoint" in text(answer)
    assert AuditEvent.objects.about(held).newest_first()[0].reason == "Moved house"


def test_a_new_version_serves_from_endpoints_of_its_own(cast: Cast) -> None:
    address = reverse("version_new", args=["lexicon"])
    fields = {name: entry(cast)[name] for name in ("version", "context_tokens", "data_classes", "regions")}
    assert "Endpoints of 1 are not carried over" in text(signed_in(cast.lead).get(address))
    assert signed_in(cast.owner).post(address, fields).status_code == 403
    answer = signed_in(cast.lead).post(address, fields)
    assert answer.headers["location"] == reverse("endpoint_new", args=["lexicon"])
    page = text(signed_in(cast.lead).get(reverse("model", args=["lexicon"])))
    assert "not asked: of version 1" in page
    assert signed_in(cast.lead).post(address, fields).status_code == 422


def test_a_model_that_a_live_policy_names_is_not_retired(cast: Cast) -> None:
    address = reverse("model_retire", args=["lexicon"])
    answer = signed_in(cast.lead).post(address, {"reason": "old"})
    assert answer.status_code == 422
    assert "named by the live policy of Customer feedback" in text(answer)
    assert Model.objects.in_use().filter(name="lexicon").exists()
    workflows.retire(workflow=cast.workflow, reason="closed", by=cast.lead)
    answer = signed_in(cast.lead).post(address, {"reason": "old"}, follow=True)
    assert "is out of use" in text(answer)
    assert not Model.objects.in_use().filter(name="lexicon").exists()


def test_where_a_model_is_used_is_told_without_telling_whose(cast: Cast) -> None:
    page = text(signed_in(cast.lead).get(reverse("model", args=["lexicon"])))
    assert "is named by the live policy of 1 workflow" in page
    assert "Customer feedback version 1 in production, enforces" in page
    page = text(signed_in(cast.stranger).get(reverse("model", args=["lexicon"])))
    assert "and 1 workflow of other teams" in page
    assert "Customer feedback" not in page


def test_the_list_filters_sorts_and_files(cast: Cast) -> None:
    casting.make_model("big", "frontier", cast.owner, cast.team, Endpoint.objects.all()[0].provider, cast.production)
    registry.retire(model=Model.objects.get(name="big"), reason="old", by=cast.lead)
    client = signed_in(cast.owner)

    def names(**query: str) -> list[str]:
        listed = [each.name for each in client.get(reverse("models"), query).context["page"]]
        assert [row["name"] for row in file(client.get(reverse("models_csv"), query))] == listed
        return listed

    assert names() == ["lexicon", "tf-idf", "smollm2"]
    assert names(sort="-tier") == ["smollm2", "tf-idf", "lexicon"]
    assert names(sort="title") == ["lexicon", "smollm2", "tf-idf"]
    assert names(state="retired") == ["big"]
    assert names(q="IDF") == names(tier="mid") == ["tf-idf"]
    assert names(hosting="hosted") == []
    assert len(names(environment="production")) == 3
    page = text(client.get(reverse("models")))
    assert "Lexicon lexicon small Nobody Apache-2.0 · self-hosted confidential in eu production 1 Owner" in page
    assert "No model matches" in text(client.get(reverse("models"), {"q": "nothing like it"}))


def test_a_model_of_recordings_alone_wears_the_badge(cast: Cast) -> None:
    place = registry.add_environment(name="recordings", votes_needed=0, position=99, recorded=True, by=BOOTSTRAP)
    casting.make_model("told", "mid", cast.owner, cast.team, Endpoint.objects.all()[0].provider, place)
    page = signed_in(cast.lead).get(reverse("model", args=["told"]))
    assert page.content.decode().count("badge recorded") == 2
    assert reverse("endpoint_try", args=[Endpoint.objects.get(version__model__name="told").pk]) not in str(page.content)
    assert "badge recorded" in signed_in(cast.lead).get(reverse("models")).content.decode()
    assert "badge recorded" not in signed_in(cast.lead).get(reverse("model", args=["lexicon"])).content.decode()


def test_a_model_that_is_not_there_is_not_found(cast: Cast) -> None:
    assert signed_in(cast.lead).get("/models/nothing/at/all/").status_code == 404
    assert signed_in(casting.make_person("Nobody")).get(reverse("model", args=["lexicon"])).status_code == 404
