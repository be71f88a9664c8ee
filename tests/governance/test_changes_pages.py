"""The pages of changes: proposing by thresholds or by document, voting on exactly what was seen."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from governance import accounts, registry
from governance.models import AuditEvent, Change, Grant, PolicyHead, Revision, User, Vote
from tests import cast as casting

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
    assert "in force" in answer.content.decode()
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
    for address in (
        reverse("home"),
        reverse("workflow", args=[cast.workflow.slug]),
        reverse("change", args=[change.pk]),
    ):
        with django_assert_max_num_queries(19):
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
