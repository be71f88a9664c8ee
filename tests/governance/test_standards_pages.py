"""The pages of standards and exceptions: read, written as fields, approved, and what they do to each workflow."""

import json
from typing import Any

import pytest
from django.urls import reverse

from governance import changes, votes
from governance.models import AuditEvent, Change, ContentHead, Team
from tests.cast import Cast, approve, make_cast, make_exceptions, make_live, make_standard, make_team
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db
NOT_TFIDF = {"models": ["lexicon", "smollm2"]}
FORM = "/standards/production/"


@pytest.fixture
def cast() -> Cast:
    """Everybody, and a policy that is live."""
    made = make_cast()
    make_live(made)
    return made


def typed(**fields: Any) -> dict[str, Any]:
    """What the form of a standard sends that says a region and a rule."""
    return {
        "title": "Europe only",
        "note": "Legal asks for it",
        "guards-regions": "eu",
        "rules": ["", "n1"],
        "rule-n1-name": "No German",
        "rule-n1-when": ["n1-language"],
        "rule-n1-when-n1-language-is": "de",
        "rule-n1-then": ["refuse"],
        "rule-n1-then-refuse": "Not in German.",
        **fields,
    }


def live(cast: Cast, change: Change) -> Change:
    """Approve a change and make it live."""
    voter = cast.owner if cast.owner.pk in votes.may_vote(change) else cast.lead
    return changes.activate(change=approve(change, voter), by=cast.lead)


def written() -> tuple[int, ...]:
    """What a refusal must leave as it was."""
    return tuple(each.objects.count() for each in (Change, ContentHead, AuditEvent))


def test_a_lead_writes_a_standard_as_fields_and_another_makes_it_live(cast: Cast) -> None:
    page = text(signed_in(cast.second_lead).get("/standards/"))
    assert "No standard that you may read holds in production" in page
    assert "The organisation 1 workflow with a live policy in production Propose a standard…" in page

    answer = signed_in(cast.second_lead).post(FORM, typed())
    change = Change.objects.for_list().get(kind="standard")
    assert answer.headers["location"] == reverse("change", args=[change.pk])
    page = text(signed_in(cast.lead).get(answer.headers["location"]))
    assert "The organisation · standard version 1 in production" in page
    assert "Only endpoints in eu are asked." in page
    assert "Rule “No German”: when the language is de, the request is refused with “Not in German.”." in page
    part = text(signed_in(cast.lead).get(reverse("change_effects", args=[change.pk])))
    assert "1 with a live policy in production, 1 of them held to something else" in part
    assert "Customer feedback Customer care It is newly held to the regions and rule “No German”." in part
    harsh = make_standard(cast, guards={"hosting": ["hosted"]})
    part = text(signed_in(cast.lead).get(reverse("change_effects", args=[harsh.pk])))
    assert "1 could not serve" in part
    assert "Except it…" in part

    live(cast, change)

    page = text(signed_in(cast.auditor).get("/standards/"))
    assert "2 restrictions hold above the policies in production" in page
    assert "The organisation version 1, for 1 workflow with a live policy" in page
    part = text(signed_in(cast.lead).get(reverse("change_effects", args=[change.pk])))
    assert "The change has ended" in part
    page = text(signed_in(cast.owner).get(reverse("workflow", args=["customer-feedback"])))
    assert "Version 1 of the organisation’s standard" in page
    assert "All of this was written before its first policy was live." in page


def test_the_form_begins_with_what_is_live_and_keeps_what_is_not_changed(cast: Cast) -> None:
    made = live(cast, make_standard(cast, guards=NOT_TFIDF | {"max_cost": "0.5"}))
    client = signed_in(cast.second_lead)
    page = client.get(FORM).content.decode()
    assert 'value="lexicon, smollm2"' in page
    leads_to = made.revision.leads_to
    base, stood = leads_to.document, str(leads_to.pk)
    said = {"title": "Cheaper", "base": json.dumps(base), "guards-max_cost": "0.25"}
    before = written()
    refused = client.post(FORM, said)
    assert (refused.status_code, written()) == (422, before)
    assert "Something else became live since you opened this page." in text(refused)
    answer = client.post(FORM, said | {"live": stood})
    assert answer.status_code == 302
    change = Change.objects.for_list().get(title="Cheaper")
    assert change.revision.leads_to.document == base | {"guards": base["guards"] | {"max_cost": "0.25"}}


def test_a_rule_of_a_standard_offers_no_choices(cast: Cast) -> None:
    page = signed_in(cast.lead).post(FORM, {"rules-act": "add", "rules": ""}).content.decode()
    assert "Ask only in some regions" in page
    assert "Start the ladder at a tier" not in page
    sneaked = typed(**{"rule-n1-then": ["start"], "rule-n1-then-start": "mid"})
    before = written()
    answer = signed_in(cast.lead).post(FORM, sneaked)
    assert answer.status_code == 422
    assert "there is no such field" in text(answer)
    assert written() == before


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"title": ""}, "This field is required"),
        ({"guards-models": "nobody"}, "No model is called “nobody”"),
        ({"guards-max_cost": "lots"}, "Enter a number"),
        ({"rule-n1-add-then": "review"}, "Add it, or choose none."),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_is_written(
    cast: Cast, fields: dict[str, Any], said: str
) -> None:
    before = written()
    answer = signed_in(cast.lead).post(FORM, typed(**fields))
    assert answer.status_code == 422
    page = text(answer)
    assert said in page
    assert "Legal asks for it" in page
    assert written() == before


def test_it_is_judged_while_it_is_typed(cast: Cast) -> None:
    looked = signed_in(cast.lead).post(FORM, typed(show="faults", **{"guards-models": "nobody"}))
    assert looked.status_code == 200
    assert "The standard has 1 problem so far" in text(looked)
    assert not Change.objects.filter(kind="standard").exists()


def test_a_teams_standard_is_its_peoples_to_propose_and_read(cast: Cast) -> None:
    answer = signed_in(cast.integrator).post(f"{FORM}?team=customer-care", typed())
    change = Change.objects.for_list().get(kind="standard")
    assert answer.headers["location"] == reverse("change", args=[change.pk])
    assert change.for_team == Team.objects.get(slug="customer-care")
    for path in (FORM, f"{FORM}?team=elsewhere"):
        assert signed_in(cast.integrator).post(path, typed()).status_code == 403
    assert signed_in(cast.stranger).get(reverse("change_effects", args=[change.pk])).status_code == 404
    live(cast, change)
    assert "Customer care version 1" in text(signed_in(cast.owner).get("/standards/"))
    assert "Customer care version 1" not in text(signed_in(cast.stranger).get("/standards/"))
    assert signed_in(cast.lead).get("/standards/production/?team=nowhere").status_code == 404


def test_an_open_change_of_a_standard_is_revised(cast: Cast) -> None:
    change = make_standard(cast, guards=NOT_TFIDF)
    path = reverse("standard_revise", args=[change.pk])
    page = text(signed_in(cast.second_lead).get(path))
    assert f"Revise change {change.number}" in page
    for stood, gives in (("", 422), (str(change.revision_id), 302)):
        fields = {"note": "Other", "guards-models": "lexicon", "live": stood}
        assert signed_in(cast.second_lead).post(path, fields).status_code == gives
    assert Change.objects.get(pk=change.pk).revision.number == 2


def excepting(cast: Cast, **fields: Any) -> dict[str, Any]:
    """What the form of exceptions sends with one new one."""
    return {
        "title": "Except it",
        "note": "For a time",
        "exceptions-TOTAL_FORMS": "1",
        "exceptions-INITIAL_FORMS": "0",
        "exceptions-0-parts": ["organisation guards.models"],
        "exceptions-0-owner": str(cast.owner.pk),
        "exceptions-0-reason": "Its models are measured elsewhere",
        "exceptions-0-until": "2027-01-31",
        **fields,
    }


def test_an_exception_is_written_as_fields_and_shown_where_it_holds(cast: Cast) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF))
    path = reverse("exceptions_new", args=["customer-feedback", "production"])
    page = text(signed_in(cast.integrator).get(path))
    assert "the allowed models of the organisation’s standard" in page

    answer = signed_in(cast.integrator).post(path, excepting(cast))
    change = Change.objects.for_list().get(kind="exception")
    assert answer.headers["location"] == reverse("change", args=[change.pk])
    page = text(signed_in(cast.owner).get(answer.headers["location"]))
    assert "it is excepted from the allowed models of the organisation’s standard; Owner answers for that." in page
    live(cast, change)

    page = text(signed_in(cast.lead).get("/standards/"))
    assert "Excepted from the allowed models of the organisation’s standard." in page
    page = text(signed_in(cast.lead).get(reverse("workflow", args=["customer-feedback"])))
    assert "Excepted from the allowed models of the organisation’s standard. Until" in page
    assert "; Owner answers for it" in page
    again = signed_in(cast.integrator).get(path).content.decode()
    assert "Its models are measured elsewhere" in again


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"exceptions-0-owner": ""}, "Fill this in, or tick no part."),
        ({"exceptions-0-reason": ""}, "Fill this in, or tick no part."),
        ({"exceptions-0-until": "2020-01-01"}, "That day is over"),
        ({"exceptions-0-until": "tomorrow"}, "Enter a valid date."),
        ({"exceptions-0-parts": ["organisation guards.regions"]}, "Select a valid choice."),
        ({"exceptions-0-parts": []}, "Tick what it is excepted from, or empty the rest."),
        ({"title": ""}, "This field is required."),
    ],
)
def test_an_exception_that_lacks_something_says_so_at_its_field(cast: Cast, fields: dict[str, Any], said: str) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF))
    before = written()
    answer = signed_in(cast.integrator).post(
        reverse("exceptions_new", args=["customer-feedback", "production"]), excepting(cast, **fields)
    )
    assert answer.status_code == 422
    assert said in text(answer)
    assert written() == before


def test_exceptions_that_became_live_meanwhile_are_not_taken_back_unseen(cast: Cast) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF | {"regions": ["eu"]}))
    live(cast, make_exceptions(cast, "guards.regions"))
    path, before = reverse("exceptions_new", args=["customer-feedback", "production"]), written()
    answer = signed_in(cast.integrator).post(path, excepting(cast))
    assert answer.status_code == 422
    assert "Something else became live since you opened this page." in text(answer)
    assert written() == before


def test_without_a_standard_there_is_nothing_to_be_excepted_from(cast: Cast) -> None:
    path = reverse("exceptions_new", args=["customer-feedback", "production"])
    assert "There is nothing to be excepted from" in text(signed_in(cast.integrator).get(path))


def test_an_open_change_of_exceptions_is_revised(cast: Cast) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF))
    change = make_exceptions(cast, "guards.models")
    path = reverse("exceptions_revise", args=[change.pk])
    page = signed_in(cast.integrator).get(path).content.decode()
    assert "Its models are measured elsewhere" in page
    kept = {"exceptions-INITIAL_FORMS": "1", "live": str(change.revision_id)}
    fields = excepting(cast, **{"exceptions-0-reason": "They are dear"}, **kept)
    answer = signed_in(cast.integrator).post(path, fields)
    assert answer.headers["location"] == reverse("change", args=[change.pk])
    document = Change.objects.for_list().get(pk=change.pk).revision.leads_to.document
    assert document["exceptions"][0]["reason"] == "They are dear"


def test_an_owner_who_left_is_named_on_the_page(cast: Cast) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF))
    live(cast, make_exceptions(cast, "guards.models"))
    type(cast.owner).objects.filter(pk=cast.owner.pk).update(is_active=False)
    assert "nobody any more" in text(signed_in(cast.lead).get("/standards/"))


def test_the_file_says_what_the_page_says(cast: Cast) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF))
    make_team("Third")
    answer = signed_in(cast.auditor).get("/standards/export.csv")
    assert [(row["environment"], row["standard"], row["part"], row["workflows"]) for row in file(answer)] == [
        ("production", "the organisation’s standard", "guards.models", "1")
    ]
