"""The pages of admissions: proposed from a model's page or after an endpoint was added, read, approved, attested."""

from typing import Any

import pytest
from django.urls import reverse

from governance import probes, suspensions
from governance.models import AuditEvent, Change, ContentHead, Endpoint
from tests.cast import Cast, approve, make_admission, make_cast, make_change, make_live
from tests.governance.test_models_pages import endpoint_entry
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody, and a policy that is live."""
    made = make_cast()
    make_live(made)
    return made


def typed(*endpoints: Endpoint, **fields: Any) -> dict[str, Any]:
    """What the form of an admission sends."""
    return {
        "title": "Only for a year",
        "note": "Legal asks for an end",
        "data_classes": ["public", "internal"],
        "endpoints": [str(each.pk) for each in endpoints],
        "valid_until": "2099-12-31",
        "cost": "5",
        "score_of": "customer-feedback/sentiment",
        "score_at_least": "80",
        "served_as": "lexicon, lexicon-2",
        **fields,
    }


def test_an_endpoint_that_a_lead_adds_leads_to_its_admission_and_is_asked_after_a_vote(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "reach", lambda *_: probes.Reached(probes.Outcome.LISTED, "Reached."))
    address = reverse("endpoint_new", args=["lexicon"])
    fields = endpoint_entry(cast, "https://models.example.com/v1")
    answer = signed_in(cast.lead).post(address, fields | {"environment": str(cast.production.pk)})
    form = reverse("admission_new", args=["lexicon", "production"])
    assert answer.headers["location"] == form
    page = text(signed_in(cast.lead).get(form))
    assert "Where and for what may Lexicon be asked in production?" in page
    assert "https://models.example.com/v1 as gpt-small, eu" in page
    both = Endpoint.objects.filter(version__model=cast.models[0]).order_by("position")
    answer = signed_in(cast.lead).post(form, typed(*both))
    change = Change.objects.for_list().get(kind="model")
    assert answer.headers["location"] == reverse("change", args=[change.pk])
    page = text(signed_in(cast.owner).get(reverse("change", args=[change.pk])))
    for said in (
        "Lexicon 1 · model admission version 1 → 2 in production",
        "It is asked at https://models.example.com/v1 as gpt-small, in eu",
        "It is suspended when a million tokens cost more than USD 5.",
        "It is suspended when it gets less than 80.0% of step sentiment of customer-feedback right.",
        "It is suspended when another than lexicon or lexicon-2 answers.",
        "Asked for in production: 0 of 1 vote",
        "Your approval is the last one needed: it goes live at once in production.",
    ):
        assert said in page, said
    assert "What it would have done" not in page
    assert Endpoint.objects.served_in(cast.production).filter(version__model=cast.models[0]).count() == 1
    ballot = {"digest": change.revision.payload_digest, "choice": "approve", "reason": ""}
    answer = signed_in(cast.owner).post(reverse("change_vote", args=[change.pk]), ballot, follow=True)
    assert "It is admitted; gateways take it up within seconds." in text(answer)
    assert Endpoint.objects.served_in(cast.production).filter(version__model=cast.models[0]).count() == 2
    page = text(signed_in(cast.auditor).get(reverse("model", args=["lexicon"])))
    assert "production approved until 31 December 2099" in page
    assert f"By change {change.number}" in page
    assert "Change it" not in page


def test_what_was_there_before_says_that_nobody_voted_on_it(cast: Cast) -> None:
    page = text(signed_in(cast.lead).get(reverse("model", args=["tf-idf"])))
    assert "Nobody voted on it: it was there before any policy was live in production." in page
    assert "Change it" in page


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"title": ""}, "This field is required"),
        ({"endpoints": []}, "without an endpoint nothing is asked"),
        ({"data_classes": ["restricted"]}, "not one of the available choices"),
        ({"valid_until": "2020-01-01"}, "That day is over"),
        ({"score_at_least": ""}, "Name both the step"),
        ({"cost": "-1"}, "greater than or equal"),
    ],
)
def test_what_does_not_fit_is_named_and_what_was_typed_stays(cast: Cast, fields: dict[str, Any], said: str) -> None:
    before = AuditEvent.objects.count()
    held = Endpoint.objects.get(version__model=cast.models[0])
    address = reverse("admission_new", args=["lexicon", "production"])
    answer = signed_in(cast.lead).post(address, typed(held, **fields))
    assert answer.status_code == 422
    assert said.lower() in text(answer).lower()
    assert "Legal asks for an end" in answer.content.decode()
    assert AuditEvent.objects.count() == before


def test_another_address_is_proposed_where_one_is_agreed(cast: Cast) -> None:
    held = Endpoint.objects.get(version__model=cast.models[0])
    address = reverse("endpoint_move", args=[held.pk])
    assert "another address waits for votes" in text(signed_in(cast.lead).get(address))
    answer = signed_in(cast.lead).post(address, {"url": "https://other.example.com/v1"})
    change = Change.objects.for_list().get(kind="model")
    assert answer.headers["location"] == reverse("change", args=[change.pk])
    held.refresh_from_db()
    assert held.url == "http://127.0.0.1:9/lexicon"
    page = text(signed_in(cast.owner).get(reverse("change", args=[change.pk])))
    assert "/endpoints/0/url" in page


def test_a_change_is_revised_on_its_own_page(cast: Cast) -> None:
    held = Endpoint.objects.get(version__model=cast.models[0])
    change = make_admission(cast, cast.models[0], cost="5")
    address = reverse("admission_revise", args=[change.pk])
    assert signed_in(cast.integrator).get(reverse("change_revise", args=[change.pk])).headers["location"] == address
    form = signed_in(cast.integrator).get(address).context["form"]
    assert (form["cost"].value(), form["endpoints"].value()) == ("5", [str(held.pk)])
    assert signed_in(cast.integrator).post(address, typed(held, cost="4.5")).status_code == 302
    change = Change.objects.for_list().get(pk=change.pk)
    assert (change.revision.number, change.revision.leads_to.document["conditions"]["cost"]) == (2, "4.5")
    policy = make_change(cast, 0.6)
    assert signed_in(cast.integrator).get(reverse("admission_revise", args=[policy.pk])).status_code == 404


def test_a_suspended_model_says_what_broke_and_is_attested_anew(cast: Cast) -> None:
    head = ContentHead.objects.get(model_version__model=cast.models[0])
    evidence = reverse("spend")
    suspensions.suspend(
        head=head, condition="cost", limit="USD 5 for a million tokens", figure="USD 7.2000", evidence=evidence
    )
    answer = signed_in(cast.lead).get(reverse("model", args=["lexicon"]))
    page = text(answer)
    for said in (
        "suspended It costs too much. Found: USD 7.2000. Agreed: USD 5 for a million tokens.",
        "Attest it anew",
    ):
        assert said in page, said
    assert f'href="{evidence}"' in answer.content.decode()
    held = Endpoint.objects.get(version__model=cast.models[0])
    form = signed_in(cast.lead).get(reverse("admission_new", args=["lexicon", "production"])).context["form"]
    same = {name: form[name].value() or "" for name in ("data_classes", "valid_until", "cost", "served_as")}
    again = typed(held, **same)
    again |= {"score_of": "", "score_at_least": ""}
    signed_in(cast.lead).post(reverse("admission_new", args=["lexicon", "production"]), again)
    change = Change.objects.for_list().get(kind="model")
    approve(change, cast.owner)
