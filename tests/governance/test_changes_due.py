"""By when votes are due: said by the rule, shown where it waits, told at half of the time, near its end and after."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from governance import accounts, changes, reminders, votes, workflows
from governance.approval_rules import InvalidApprovalRules, check
from governance.models import AuditEvent, Change, Notification, NotificationKind
from governance.reminders import NudgedLately
from tests.at_once import at_once
from tests.cast import Cast, approve, make_cast, make_change, make_live, make_rules
from tests.pages import signed_in, text

Kind = NotificationKind


@pytest.fixture
def cast(db: None) -> Cast:
    """Everybody, with a live policy."""
    made = make_cast()
    make_live(made)
    return made


def facts() -> tuple[int, int]:
    """What a refusal must leave as it was."""
    return Notification.objects.count(), AuditEvent.objects.count()


def titles() -> list[str]:
    """What voters were told, the newest last."""
    told = Notification.objects.filter(kind=Kind.VOTE_NEEDED, facts__reminder=True).order_by("created_at")
    return [each.title.partition("still asks for votes")[2] for each in told]


def test_the_stricter_of_the_rule_then_and_now_says_when(cast: Cast) -> None:
    make_rules(cast, {"name": "Ten hours", "due_hours": 10})
    change = make_change(cast, 0.6)
    assert change.revision.rule["due_hours"] == 10
    written = change.revision.created_at
    assert votes.requirement(change).due_at == written + timedelta(hours=10)
    make_rules(cast, {"name": "Four hours", "due_hours": 4})
    assert votes.requirement(change).due_at == written + timedelta(hours=4)
    make_rules(cast, {"name": "No hours"})
    assert votes.requirement(change).due_at == written + timedelta(hours=10)
    assert Change.objects.with_times().get(pk=change.pk).due == written + timedelta(hours=10)


def test_nothing_is_due_after_it_has_expired(db: None) -> None:
    with pytest.raises(InvalidApprovalRules, match="due after it has expired"):
        check({"rules": [{"name": "Odd", "due_hours": 49, "expires_days": 2}]})


def test_voters_are_told_at_half_at_nine_tenths_and_when_it_is_over(cast: Cast, settings: Any) -> None:
    settings.REMIND_VOTERS_HOURS = 24
    make_rules(cast, {"name": "Ten hours", "due_hours": 10})
    change = make_change(cast, 0.6)
    begun = change.revision.created_at
    told = []
    for minutes in (299, 301, 400, 539, 541, 590, 601, 700, 601 + 24 * 60 - 2, 601 + 24 * 60 + 2):
        with time_machine.travel(begun + timedelta(minutes=minutes), tick=True):
            told.append(reminders.remind_due(now=timezone.now()))
    assert told == [0, 1, 0, 0, 1, 0, 1, 0, 0, 1]
    due = f"{begun + timedelta(hours=10):%-d %B %H:%M} UTC"
    assert titles() == [f", due {due}", f", due {due}", f", overdue since {due}", f", overdue since {due}"]
    # A new revision begins the time anew.
    with time_machine.travel(begun + timedelta(days=2), tick=True):
        changes.revise(change=change, document=change.revision.policy.document | {"pin": "replace"}, by=cast.integrator)
        assert reminders.remind_due(now=timezone.now()) == 0


def test_an_author_nudges_once_in_four_hours(cast: Cast) -> None:
    change = make_change(cast, 0.6)
    before = facts()
    with pytest.raises(NudgedLately, match="you may nudge them from"):
        reminders.nudge(change=change, by=cast.integrator)
    assert facts() == before
    with time_machine.travel(timezone.now() + timedelta(hours=4, minutes=1), tick=True):
        made = reminders.nudge(change=change, by=cast.integrator)
        assert {each.person.name for each in made.deliveries.all() if each.person} == {"Lead", "Owner", "Second lead"}
        assert AuditEvent.objects.newest_first()[0].action == "reminders.nudge"
        with pytest.raises(NudgedLately):
            reminders.nudge(change=change, by=cast.integrator)


def test_nobody_else_nudges_and_nothing_else_is_nudged_for(cast: Cast) -> None:
    change = make_change(cast, 0.6)
    with time_machine.travel(timezone.now() + timedelta(hours=5), tick=True):
        before = facts()
        for other in (cast.lead, cast.auditor, cast.stranger):
            with pytest.raises(accounts.NotPermitted):
                reminders.nudge(change=change, by=other)
        assert facts() == before
        approve(change, cast.owner)
        with pytest.raises(changes.NotOpen, match="waits for no vote"):
            reminders.nudge(change=change, by=cast.integrator)
        other_change = make_change(cast, 0.7)
        workflows.retire(workflow=cast.workflow, reason="closed", by=cast.lead)
        with pytest.raises(changes.WorkflowRetired):
            reminders.nudge(change=other_change, by=cast.integrator)


def test_of_two_who_nudge_at_once_one_does(live_database: Any) -> None:
    cast = make_cast()
    change = make_change(cast, 0.6)
    with time_machine.travel(timezone.now() + timedelta(hours=5), tick=True):
        done = at_once(*[lambda: reminders.nudge(change=change, by=cast.integrator)] * 3)
    assert sum(isinstance(each, Notification) for each in done) == 1


def test_it_is_shown_where_it_waits(cast: Cast) -> None:
    make_rules(cast, {"name": "Ten hours", "due_hours": 10, "expires_days": 3})
    change = make_change(cast, 0.6)
    owner, author = signed_in(cast.owner), signed_in(cast.integrator)
    page = reverse("change", args=[change.pk])
    assert "in 9 hours" in text(owner.get(reverse("home")))
    assert "it expires in 2 days" in text(owner.get(reverse("home")))
    assert "votes due in 9 hours" in text(owner.get(reverse("changes")))
    assert "Votes are due in 9 hours" in text(owner.get(page))
    assert "Nudge voters" not in text(owner.get(page))
    assert "Nudge voters" in text(author.get(page))
    assert "They were told at" in text(author.post(reverse("change_nudge", args=[change.pk]), follow=True))
    assert "due within 10 hours" in text(owner.get(reverse("approval_rules")))
    with time_machine.travel(timezone.now() + timedelta(hours=11), tick=True):
        owner, author = signed_in(cast.owner), signed_in(cast.integrator)
        assert "your vote is overdue" in text(owner.get(reverse("home")))
        assert "Votes are overdue" in text(owner.get(page))
        assert "told once more" in text(author.post(reverse("change_nudge", args=[change.pk]), follow=True))
