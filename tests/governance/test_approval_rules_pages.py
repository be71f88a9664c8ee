"""The pages of approval rules: read, propose without a line of JSON, revise, vote."""

from typing import Any

import pytest
from django.urls import reverse

from governance import approval_rules, changes
from governance.models import AuditEvent, Change, Content
from tests.cast import approve, make_cast, make_change, make_rules
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db


def typed(**fields: Any) -> dict[str, Any]:
    """What the page sends: one rule, one group, no freeze; `fields` with __ for the hyphen."""
    empty = {
        f"{kind}-{name}": count
        for kind, total in (("rules", "1"), ("groups", "1"), ("freezes", "1"))
        for name, count in (("TOTAL_FORMS", total), ("INITIAL_FORMS", "0"))
    }
    said = {
        "title": "Legal looks at gates",
        "note": "After the audit",
        "rules-0-name": "Gates",
        "rules-0-place": "1",
        "rules-0-parts": ["gate"],
        "rules-0-risks": ["high", "limited"],
        "rules-0-votes": "2",
        "rules-0-groups": "legal",
        "rules-0-expires_days": "14",
        "groups-0-name": "legal",
        "groups-0-title": "Legal",
    }
    return empty | said | {name.replace("__", "-"): value for name, value in fields.items()}


def test_rules_are_proposed_read_and_approved_by_another() -> None:
    cast = make_cast()
    address = reverse("approval_rules_new")
    assert "No rule yet" in text(signed_in(cast.lead).get(reverse("approval_rules")))
    answer = signed_in(cast.lead).post(address, typed(groups__0__members=[str(cast.owner.pk)]))
    change = Change.objects.for_list().get()
    assert answer.headers["location"] == reverse("change", args=[change.pk])
    assert change.revision.leads_to.document["rules"][0]["when"]["parts"] == ["gate"]

    page = text(signed_in(cast.second_lead).get(reverse("change", args=[change.pk])))
    assert "1. Gates: 2 votes, 1 of them from Legal, within 14 days for changes of gates" in page
    assert "After the audit" in page
    ballot = {"digest": change.revision.payload_digest, "choice": "approve", "reason": ""}
    answer = signed_in(cast.second_lead).post(reverse("change_vote", args=[change.pk]), ballot, follow=True)
    assert "The new approval rules are live." in text(answer)

    page = text(signed_in(cast.auditor).get(reverse("approval_rules")))
    assert "1 rule says what a change needs" in page
    assert "Legal legal Owner" in page
    rows = file(signed_in(cast.auditor).get(reverse("approval_rules_csv")))
    assert [(row["name"], row["votes"], row["groups"]) for row in rows] == [("Gates", "2", "legal 1")]


def test_a_change_says_which_rule_it_stands_under_and_what_it_still_needs() -> None:
    cast = make_cast()
    legal = {"name": "legal", "title": "Legal", "members": [str(cast.owner.pk)]}
    make_rules(
        cast, {"name": "Gates", "votes": 2, "groups": [{"group": "legal"}], "cool_off_minutes": 60}, groups=[legal]
    )
    change = approve(make_change(cast), cast.lead)
    page = text(signed_in(cast.owner).get(reverse("change", args=[change.pk])))
    assert "Asked for by the rule “Gates”: 1 of 2 votes; waits on Owner or Second lead" in page
    assert "Asked for by the rule “Gates”: 0 of 1 vote of the group “Legal”; waits on Owner. waits" in page
    assert "Asked for by the rule “Gates”: a rest until" in page
    assert "It rests until" in page
    assert "Your approval is the last one needed; it can be activated after that." in page
    page = text(signed_in(cast.second_lead).get(reverse("change", args=[change.pk])))
    assert "Your approval is the last one needed" not in page


def test_one_more_row_is_added_with_what_was_typed_and_nothing_is_written() -> None:
    cast = make_cast()
    before = AuditEvent.objects.count()
    answer = signed_in(cast.lead).post(reverse("approval_rules_new"), typed(add="rule", rules__0__votes=""))
    assert answer.status_code == 200
    rows = answer.context["page"].rules
    assert [row["name"].value() for row in rows] == ["Gates", None]
    assert rows[0]["parts"].value() == ["gate"]
    assert not rows[0].errors
    assert answer.context["page"].about["title"].value() == "Legal looks at gates"
    assert AuditEvent.objects.count() == before
    # The rows that nobody wrote in are not asked to be filled afterwards.
    assert [form.initial_form_count() for form in (rows, answer.context["page"].freezes)] == [1, 0]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"title": ""}, "This field is required"),
        ({"rules__0__votes": "99"}, "less than or equal to 20"),
        ({"rules__0__groups": "legal two"}, "write such as legal 2"),
        ({"rules__0__groups": "board"}, "there is no group board"),
        ({"groups__0__members": ["nobody"]}, "not one of the available choices"),
        ({"freezes__0__name": "Christmas", "freezes__0__start": "2026-12-20T00:00"}, "This field is required"),
        ({"rules__TOTAL_FORMS": "many"}, "ManagementForm"),
    ],
)
def test_bad_input_is_named_and_what_was_typed_stays(fields: dict[str, Any], said: str) -> None:
    cast = make_cast()
    before = AuditEvent.objects.count()
    members = {"groups__0__members": [str(cast.owner.pk)]}
    answer = signed_in(cast.lead).post(reverse("approval_rules_new"), typed(**members | fields))
    assert answer.status_code == 422
    assert said in text(answer)
    if "rules__TOTAL_FORMS" not in fields:
        assert "Gates" in answer.content.decode()
    assert not Change.objects.exists()
    assert not Content.objects.filter(kind="approval_rules").exists()
    assert AuditEvent.objects.count() == before


def test_a_revision_starts_from_what_the_change_says_and_rows_can_be_taken_out() -> None:
    cast = make_cast()
    document = {"rules": [{"name": "A"}, {"name": "B", "votes": 2}]}
    change = changes.propose_approval_rules(document=document, title="Two rules", note="", by=cast.lead)
    address = reverse("approval_rules_revise", args=[change.pk])
    answer = signed_in(cast.lead).get(reverse("change_revise", args=[change.pk]))
    assert answer.headers["location"] == address
    shown = signed_in(cast.lead).get(address).context["page"]
    assert [row["name"].value() for row in shown.rules] == ["A", "B"]
    said = {
        "title": "Two rules",
        "rules-TOTAL_FORMS": "2",
        "rules-INITIAL_FORMS": "2",
        **{f"{kind}-{name}_FORMS": "0" for kind in ("groups", "freezes") for name in ("TOTAL", "INITIAL")},
        "rules-0-name": "A",
        "rules-0-place": "1",
        "rules-0-votes": "1",
        "rules-0-DELETE": "on",
        "rules-1-name": "B",
        "rules-1-place": "2",
        "rules-1-votes": "2",
    }
    assert signed_in(cast.lead).post(address, said).status_code == 302
    change = Change.objects.for_list().get()
    assert change.revision.number == 2
    assert [rule.name for rule in approval_rules.read(change.revision.leads_to.document).rules] == ["B"]


def test_the_rules_of_a_policy_are_not_revised_here() -> None:
    cast = make_cast()
    change = make_change(cast, by=cast.lead)
    assert signed_in(cast.lead).get(reverse("approval_rules_revise", args=[change.pk])).status_code == 404
    assert signed_in(cast.owner).get(reverse("change_evaluated", args=[change.pk])).status_code == 200
    rules = changes.propose_approval_rules(document={"rules": [{"name": "A"}]}, title="A", note="", by=cast.lead)
    assert signed_in(cast.lead).get(reverse("change_evaluated", args=[rules.pk])).status_code == 404
