"""The pages of changes: proposing by thresholds or by document, voting on exactly what was seen."""

import json
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from governance import accounts, registry, workflows
from governance.models import AuditEvent, Change, Grant, PolicyHead, Revision, User, Vote
from tests import cast as casting
from tests.pages import text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> casting.Cast:
    """The cast with a live policy that keeps answers from 0.8."""
    made = casting.make_cast()
    casting.make_live(made)
    return made


def as_(person: User) -> Client:
    """A browser in which this person is signed in."""
    client = Client()
    client.force_login(person)
    return client


def facts() -> tuple[int, ...]:
    """What a refusal must leave as it was."""
    return tuple(model.objects.count() for model in (Change, Revision, Vote, AuditEvent))


def proposal(**fields: Any) -> dict[str, Any]:
    """What the threshold form sends for the cast's policy."""
    return {"title": "Keep more", "note": "Fewer cases for people", "step-0": "0.6", "mode": "enforce", **fields}


def test_a_change_is_for_the_last_environment_in_which_a_model_is_served(cast: casting.Cast) -> None:
    address = reverse("change_new", args=[cast.workflow.slug])
    later = casting.make_environment("later")

    assert as_(cast.lead).get(address).context["environment"] == cast.production
    assert as_(cast.lead).get(address, {"environment": "later"}).context["environment"] == later
    casting.make_model("there", "small", cast.owner, cast.team, casting.make_provider("there"), later)
    assert as_(cast.lead).get(address).context["environment"] == later


def test_a_lower_threshold_is_proposed_approved_and_in_force(cast: casting.Cast) -> None:
    address = reverse("change_new", args=[cast.workflow.slug])
    assert "keep an answer from confidence" in as_(cast.lead).get(address).content.decode()
    answer = as_(cast.lead).post(address, proposal())
    change = Change.objects.select_related("revision").get(title="Keep more")
    assert answer.headers["location"] == reverse("change", args=[change.pk])
    page = as_(cast.owner).get(reverse("change", args=[change.pk])).content.decode()
    assert change.revision.payload_digest in page
    answer = as_(cast.owner).post(
        reverse("change_vote", args=[change.pk]),
        {"digest": change.revision.payload_digest, "choice": "approve", "reason": ""},
        follow=True,
    )
    assert "is live" in answer.content.decode()
    head = PolicyHead.objects.select_related("version").get(workflow=cast.workflow)
    assert head.version.document["steps"][0]["gate"]["keep_from"] == 0.6


def test_where_recordings_are_no_policy_is_proposed_unless_that_is_asked_for(cast: casting.Cast) -> None:
    registry.add_environment(name="recorded", votes_needed=1, position=900, recorded=True, by=casting.BOOTSTRAP)
    address = reverse("change_new", args=[cast.workflow.slug])
    as_(cast.lead).post(address, proposal())
    assert Change.objects.get(title="Keep more").environment == cast.production
    assert as_(cast.lead).get(f"{address}?environment=recorded").context["environment"].recorded


def test_the_author_sees_no_vote_and_cannot_cast_one(cast: casting.Cast) -> None:
    change = casting.make_change(cast, 0.6, by=cast.lead)
    assert "You had a hand in this change" in as_(cast.lead).get(reverse("change", args=[change.pk])).content.decode()
    before = facts()
    answer = as_(cast.lead).post(
        reverse("change_vote", args=[change.pk]),
        {"digest": change.revision.payload_digest, "choice": "approve", "reason": ""},
        follow=True,
    )
    assert "hand in" in answer.content.decode()
    assert facts() == before


def test_a_vote_on_what_was_edited_meanwhile_is_refused(cast: casting.Cast) -> None:
    change = casting.make_change(cast, 0.6)
    seen = change.revision.payload_digest
    as_(cast.integrator).post(reverse("change_revise", args=[change.pk]), proposal(**{"step-0": "0.5"}))
    before = facts()
    as_(cast.owner).post(reverse("change_vote", args=[change.pk]), {"digest": seen, "choice": "approve", "reason": ""})
    assert facts() == before
    assert Change.objects.get(pk=change.pk).state == Change.State.IN_REVIEW


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"step-0": "1.5"}, "less than or equal to 1"),
        ({"step-0": "much"}, "Enter a number"),
        ({"title": ""}, "This field is required"),
        ({"step-0": "0.8"}, "live already"),
    ],
)
def test_bad_input_of_the_form_is_named_and_kept(cast: casting.Cast, fields: dict[str, str], said: str) -> None:
    before = facts()
    answer = as_(cast.lead).post(reverse("change_new", args=[cast.workflow.slug]), proposal(**fields))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert said in page
    assert "Fewer cases for people" in page
    assert facts() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "one JSON object"),
        ('{"a": NaN}', "a"),
        ("[" * 100_000, "too deeply"),
        ('{"format": 2}', "format"),
        (json.dumps(casting.make_document(0.8, "gpt-9")), "gpt-9"),
        (json.dumps(casting.make_document() | {"guards": {"regions": ["mars"]}}), "steps[0]"),
        (json.dumps(casting.make_document() | {"guards": {"colour": "blue"}}), "colour"),
    ],
)
def test_a_document_that_cannot_serve_is_refused_with_path_and_fix(cast: casting.Cast, text: str, said: str) -> None:
    before = facts()
    address = reverse("change_new", args=[cast.workflow.slug]) + "?whole=1"
    answer = as_(cast.lead).post(address, {"title": "Try", "note": "", "text": text, "mode": "enforce"})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert facts() == before


def test_objecting_without_a_reason_says_so(cast: casting.Cast) -> None:
    change = casting.make_change(cast, 0.6)
    before = facts()
    answer = as_(cast.owner).post(
        reverse("change_vote", args=[change.pk]),
        {"digest": change.revision.payload_digest, "choice": "reject", "reason": ""},
        follow=True,
    )
    assert "reason" in answer.content.decode().lower()
    assert facts() == before


def test_lists_and_pages_take_few_queries(cast: casting.Cast, django_assert_max_num_queries: Any) -> None:
    for keep_from in (0.3, 0.4, 0.5, 0.6, 0.7):
        casting.make_change(cast, keep_from)
    client = as_(cast.owner)
    change = Change.objects.order_by("number").last()
    assert change
    for address in (reverse("workflows"), reverse("changes")):
        with django_assert_max_num_queries(12):
            assert client.get(address).status_code == 200
    # A change is checked as it would be when it becomes live, against the register.
    for address, most in (
        (reverse("home"), 19),
        (reverse("workflow", args=[cast.workflow.slug]), 19),
        (reverse("change", args=[change.pk]), 26),
    ):
        with django_assert_max_num_queries(most):
            assert client.get(address).status_code == 200


def test_the_audit_knows_by_which_request_an_act_came(cast: casting.Cast) -> None:
    answer = as_(cast.lead).post(reverse("change_new", args=[cast.workflow.slug]), proposal())
    entry = AuditEvent.objects.filter(action="changes.propose").newest_first()[0]
    assert (entry.request_id, entry.ip, entry.auth_method) == (answer.headers["x-request-id"], "127.0.0.1", "session")


def test_watching_only_is_proposed_and_read_as_a_sentence(cast: casting.Cast) -> None:
    address = reverse("change_new", args=[cast.workflow.slug])
    assert 'value="observe" checked' not in _squeezed(as_(cast.lead).get(address).content.decode())
    as_(cast.lead).post(address, proposal(mode="observe", **{"step-0": "0.8"}))
    change = Change.objects.select_related("revision").get(title="Keep more")
    assert change.revision.mode == "observe"
    page = as_(cast.owner).get(reverse("change", args=[change.pk])).content.decode()
    assert '<del><span class="vh">removed: </span>enforces</del>' in page
    assert '<ins><span class="vh">added: </span>only observes</ins>' in page
    before = facts()
    assert as_(cast.lead).post(address, proposal(mode="dream")).status_code == 422
    assert facts() == before


def test_a_change_is_also_read_by_paths(cast: casting.Cast) -> None:
    first = as_(cast.owner).get(reverse("change", args=[PolicyHead.objects.get().change_id]))
    assert "paths of the document" not in text(first)
    change = casting.make_change(cast, 0.6)
    page = text(as_(cast.owner).get(reverse("change", args=[change.pk])))
    assert "The same by 1 path of the document Path Was Will be /steps/0/gate/keep_from 0.8 0.6" in page


def test_a_ladder_is_edited_without_a_line_of_json(cast: casting.Cast) -> None:
    address = reverse("change_new", args=[cast.workflow.slug])
    page = as_(cast.lead).get(address).content.decode()
    assert "tf-idf (mid)" in page
    fields = {"step-0-model-0": "tf-idf", "step-0-model-1": "smollm2", "step-0-model-2": "", "step-0-rung-0": "0.9"}
    as_(cast.lead).post(address, proposal(**fields))
    change = Change.objects.select_related("revision__version").get(title="Keep more")
    step = change.revision.policy.document["steps"][0]
    assert [(rung["model"], rung["keep_from"]) for rung in step["ladder"]] == [("tf-idf", 0.9), ("smollm2", None)]
    assert step["gate"]["keep_from"] == 0.6


def test_a_ladder_names_what_is_served_and_nothing_twice(cast: casting.Cast) -> None:
    address = reverse("change_new", args=[cast.workflow.slug])
    before = facts()
    for fields in ({"step-0-model-0": "gpt-9"}, {"step-0-model-0": "tf-idf", "step-0-model-1": "tf-idf"}):
        answer = as_(cast.lead).post(address, proposal(**fields))
        assert answer.status_code == 422
        assert "Fewer cases for people" in answer.content.decode()
    assert facts() == before


def test_who_goes_on_to_the_document_takes_along_what_he_typed(cast: casting.Cast) -> None:
    address = reverse("change_new", args=[cast.workflow.slug]) + "?environment=production"
    before = facts()
    answer = as_(cast.lead).post(address, proposal(show="whole", **{"step-0": "0.61"}))
    page = unescape(answer.content.decode())
    assert answer.status_code == 200
    for kept in ('"keep_from": 0.61', 'value="Keep more"', "Fewer cases for people", 'name="whole" value="1"'):
        assert kept in page
    assert 'name="show" value="fields"' in page
    assert facts() == before
    sent = {"title": "Keep more", "note": "", "mode": "enforce", "whole": "1"}
    as_(cast.lead).post(address, sent | {"text": json.dumps(casting.make_document(0.61))})
    assert Change.objects.get(title="Keep more").environment == cast.production


def test_an_older_version_is_proposed_once_more(cast: casting.Cast) -> None:
    first = PolicyHead.objects.get(workflow=cast.workflow).version
    change = casting.make_live(cast, 0.6).change
    page = unescape(as_(cast.lead).get(reverse("change", args=[change.pk])).content.decode())
    address = f"{reverse('change_new', args=[cast.workflow.slug])}?environment=production&version={first.number}"
    assert address in page
    assert address in unescape(
        as_(cast.lead).get(reverse("policy", args=[cast.workflow.slug, first.number])).content.decode()
    )
    form = as_(cast.lead).get(address)
    assert f"Go back to version {first.number}" in form.content.decode()
    assert "What changes" in form.content.decode()
    as_(cast.lead).post(address, {"title": "Back", "note": "Too many errors", "mode": "enforce"})
    back = Change.objects.select_related("revision__version").get(title="Back")
    assert back.revision.policy.document == first.document
    for wrong in ("99", "x", "-1", "9" * 30):
        assert as_(cast.lead).get(f"{address.rpartition('=')[0]}={wrong}").status_code == 404


def test_what_was_written_with_a_vote_that_is_refused_stays(cast: casting.Cast) -> None:
    change = casting.make_change(cast, 0.6)
    seen = change.revision.payload_digest
    as_(cast.integrator).post(reverse("change_revise", args=[change.pk]), proposal(**{"step-0": "0.5"}))
    before = facts()
    answer = as_(cast.owner).post(
        reverse("change_vote", args=[change.pk]), {"digest": seen, "choice": "reject", "reason": "Far too low"}
    )
    page = answer.content.decode()
    assert answer.status_code == 422
    for said in (
        "Far too low",
        "Your vote was not taken",
        "Read revision 2",
        Change.objects.get(pk=change.pk).revision.payload_digest,
    ):
        assert said in page
    assert facts() == before


def test_a_change_that_somebody_wants_edited_says_so_until_it_is(cast: casting.Cast) -> None:
    change = casting.make_change(cast, 0.6)
    vote = {"digest": change.revision.payload_digest, "choice": "request_changes", "reason": "Show the evaluation"}
    as_(cast.owner).post(reverse("change_vote", args=[change.pk]), vote)
    pages = (reverse("changes"), reverse("change", args=[change.pk]))
    assert all("Changes asked for" in as_(cast.lead).get(page).content.decode() for page in pages)
    as_(cast.integrator).post(reverse("change_revise", args=[change.pk]), proposal(**{"step-0": "0.5"}))
    assert not any("Changes asked for" in as_(cast.lead).get(page).content.decode() for page in pages)


def test_a_revision_keeps_the_title_and_its_form_asks_for_none(cast: casting.Cast) -> None:
    change = casting.make_change(cast, 0.6)
    address = reverse("change_revise", args=[change.pk])
    assert 'name="title"' not in as_(cast.integrator).get(address).content.decode()
    as_(cast.integrator).post(address, {"note": "", "mode": "enforce", "step-0": "0.5"})
    change.refresh_from_db()
    assert change.revision.number == 2


def test_a_retired_workflows_change_offers_nothing_but_to_take_it_back(cast: casting.Cast) -> None:
    change = casting.make_change(cast, 0.6)
    workflows.retire(workflow=cast.workflow, reason="Over", by=cast.lead)
    address = reverse("change", args=[change.pk])
    owner = as_(cast.owner).get(address).content.decode()
    assert "is retired" in owner
    for act in ("vote", "activate", "revise"):
        assert reverse(f"change_{act}", args=[change.pk]) not in owner
    assert reverse("change_withdraw", args=[change.pk]) in as_(cast.integrator).get(address).content.decode()


def _squeezed(html: str) -> str:
    return " ".join(html.split())


def test_one_person_alone_makes_it_live_and_another_ratifies_it(cast: casting.Cast) -> None:
    for grant in Grant.objects.filter(role__in=["lead", "owner"]).exclude(user=cast.lead):
        accounts.revoke(grant=grant, by=cast.admin)
    change = casting.make_change(cast, 0.6, by=cast.lead)
    address = reverse("change", args=[change.pk])
    page = as_(cast.lead).get(address).content.decode()
    assert "Make it live single-handed" in page
    as_(cast.lead).post(reverse("change_activate", args=[change.pk]), {"single_handed": "1"})
    change.refresh_from_db()
    assert (change.state, change.single_handed) == ("applied", True)
    assert "waits for somebody who had no hand in it" in as_(cast.lead).get(address).content.decode()
    before = facts()
    as_(cast.lead).post(reverse("change_ratify", args=[change.pk]), {"digest": change.revision.payload_digest})
    assert facts() == before

    accounts.grant(user=cast.finance, role="lead", by=cast.admin)
    home = as_(cast.finance).get(reverse("home")).content.decode()
    assert "when nobody else could vote" in home
    page = as_(cast.finance).get(address).content.decode()
    assert change.revision.payload_digest in page
    as_(cast.finance).post(
        reverse("change_ratify", args=[change.pk]), {"digest": change.revision.payload_digest, "reason": "It is right"}
    )
    assert change.ratification.by == cast.finance
    assert "ratified it" in as_(cast.auditor).get(address).content.decode()


def test_nobody_is_offered_to_act_alone_while_another_may_vote(cast: casting.Cast) -> None:
    change = casting.make_change(cast, 0.6, by=cast.lead)
    page = as_(cast.lead).get(reverse("change", args=[change.pk])).content.decode()
    assert "single-handed" not in page
    as_(cast.lead).post(reverse("change_activate", args=[change.pk]), {"single_handed": "1"})
    change.refresh_from_db()
    assert change.state == "in_review"
