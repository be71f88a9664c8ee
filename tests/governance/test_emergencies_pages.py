"""The pages of an emergency: the form, what everybody sees, who takes it back, who looks back."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from governance import accounts, stops, tasks
from governance.models import Change, Emergency, Hindsight, PolicyHead
from tests.cast import Cast, make_cast, make_change, make_live, make_rules
from tests.governance.test_emergencies_begin import begin
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db

PASSWORD = "a-plain-long-sentence"


@pytest.fixture
def cast() -> Cast:
    """Everybody; the owner has a password, something is live."""
    made = make_cast()
    accounts.set_password(person=made.owner, password=PASSWORD, by=made.admin)
    made.owner.refresh_from_db()
    make_live(made, 0.8)
    return made


def page(change: Change) -> str:
    """Its address."""
    return reverse("change", args=[change.pk])


def test_the_form_breaks_the_glass_and_everybody_sees_it(cast: Cast) -> None:
    assert "Break the glass" not in text(signed_in(cast.owner).get(page(make_change(cast, 0.6))))
    make_rules(cast, {"name": "Two", "votes": 2})
    change = make_change(cast, 0.5)
    owner, address = signed_in(cast.owner), reverse("change_emergency", args=[change.pk])
    assert address in owner.get(page(change)).content.decode()
    assert address not in signed_in(cast.integrator).get(page(change)).content.decode()
    shown = owner.get(address).content.decode()
    assert 'value="4"' in shown
    said = {"digest": change.revision.payload_digest, "hours": 2, "reason": "Prices are wrong", "password": PASSWORD}
    told = text(owner.post(address, said, follow=True))
    assert "Live by an emergency until" in told
    assert "Owner broke the glass" in told
    for who in ("reviewer", "auditor", "stranger"):
        assert "The glass is broken" in text(signed_in(cast.people[who]).get(reverse("home")))
    assert "Look back" in text(signed_in(cast.lead).get(reverse("home")))
    assert "Look back" not in text(owner.get(reverse("home")))
    lead = signed_in(cast.lead)
    assert "Prices are wrong" in text(lead.get(reverse("coordination")))
    assert "Emergency" in text(lead.get(reverse("changes"), {"road": "emergency"}))
    (row,) = file(lead.get(reverse("changes_csv"), {"road": "emergency"}))
    assert row["title"] == change.title


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "another-long-sentence"}, "This is not the present password."),
        ({"hours": "25"}, "less than or equal to 24"),
        ({"reason": ""}, "This field is required."),
        ({"digest": "0" * 64}, "was edited since you opened it"),
    ],
)
def test_what_does_not_fit_changes_nothing(cast: Cast, wrong: dict[str, Any], said: str) -> None:
    change = make_change(cast, 0.5)
    sent = {"digest": change.revision.payload_digest, "hours": 2, "reason": "Prices", "password": PASSWORD} | wrong
    answer = signed_in(cast.owner).post(reverse("change_emergency", args=[change.pk]), sent)
    assert answer.status_code == 422
    assert said in text(answer)
    assert not Emergency.objects.exists()


def test_what_speaks_against_it_is_said_before(cast: Cast) -> None:
    change = make_change(cast, 0.5)
    stops.begin(workflow=cast.workflow, reason="It harms", by=cast.lead)
    shown = text(signed_in(cast.owner).get(reverse("change_emergency", args=[change.pk])))
    assert "No emergency makes it live: its workflow is stopped." in shown


def test_it_is_taken_back_from_its_page(cast: Cast) -> None:
    change = make_change(cast, 0.5)
    begin(change, cast.owner)
    lead, address = signed_in(cast.lead), reverse("change_emergency_end", args=[change.pk])
    assert address in lead.get(page(change)).content.decode()
    assert lead.post(address, {"reason": ""}).status_code == 422
    for who, status in (("integrator", 403), ("auditor", 403), ("stranger", 404)):
        assert signed_in(cast.people[who]).post(address, {"reason": "Over"}).status_code == status
    assert PolicyHead.objects.get().change == change
    assert "The emergency is over" in text(lead.post(address, {"reason": "Over"}, follow=True))
    shown = text(lead.get(page(change)))
    assert "It was live by an emergency" in shown
    assert "took it back" in shown
    assert "The glass is broken" not in shown
    assert lead.get(address).status_code == 200
    assert lead.post(address, {"reason": "Twice"}).status_code == 422
    back = PolicyHead.objects.get().change
    assert "Back to what was live before an emergency" in text(lead.get(page(back)))


def test_a_worker_that_was_down_is_shown_and_takes_it_back(cast: Cast) -> None:
    change = make_change(cast, 0.5)
    made = begin(change, cast.owner)
    with time_machine.travel(made.until + timedelta(hours=3), tick=True):
        assert "Its time was over" in text(signed_in(cast.lead).get(page(change)))
        tasks.end_emergencies()
        assert "Its time was over" not in text(signed_in(cast.lead).get(page(change)))
    assert Emergency.objects.get().outcome == "reverted"


def test_what_would_let_it_stay_is_read_from_what_was_before(cast: Cast) -> None:
    change = make_change(cast, 0.5)
    begin(change, cast.owner)
    shown = text(signed_in(cast.lead).get(page(make_change(cast, 0.5))))
    assert "It starts from what an emergency made live" in shown
    assert "as if it started from version 1" in shown
    assert "Nothing differs" not in shown


def test_a_third_looks_back_from_its_page(cast: Cast) -> None:
    make_rules(cast)
    change = make_change(cast, 0.5)
    begin(change, cast.owner)
    address = reverse("change_look_back", args=[change.pk])
    lead = signed_in(cast.lead)
    assert address in lead.get(page(change)).content.decode()
    assert address not in signed_in(cast.owner).get(page(change)).content.decode()
    assert "Say what you found." in text(lead.post(address, {"opinion": "right", "reason": ""}, follow=True))
    assert "had a hand" in text(signed_in(cast.owner).post(address, {"opinion": "right", "reason": "x"}, follow=True))
    assert not Hindsight.objects.exists()
    told = text(lead.post(address, {"opinion": "wrong", "reason": "It could have waited"}, follow=True))
    assert "Lead looked back: it was not right" in told
    assert "It could have waited" in told


def test_overdue_hindsight_stands_in_coordination(cast: Cast) -> None:
    begin(make_change(cast, 0.5), cast.owner)
    with time_machine.travel(timezone.now() + timedelta(days=3), tick=True):
        shown = text(signed_in(cast.lead).get(reverse("coordination")))
    assert "Emergencies" in shown
    assert "late" in shown or "over" in shown
