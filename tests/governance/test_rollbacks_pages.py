"""The form that goes back, and the pages that tell of it."""

from typing import Any

import pytest
from django.urls import reverse

from governance import accounts, stops
from governance.models import Change, PolicyHead, Rollback
from tests.cast import Cast, make_cast, make_live
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db

PASSWORD = "a-plain-long-sentence"


@pytest.fixture
def cast() -> Cast:
    """Everybody; the lead has a password."""
    made = make_cast()
    accounts.set_password(person=made.lead, password=PASSWORD, by=made.admin)
    made.lead.refresh_from_db()
    return made


def two(cast: Cast) -> tuple[Change, PolicyHead, str]:
    """What was live, what is, and the address of the form."""
    first = make_live(cast, 0.8).change
    return first, make_live(cast, 0.6), reverse("rollback_new", args=[cast.workflow.slug, cast.production.name])


def test_the_form_goes_back_and_the_pages_tell(cast: Cast) -> None:
    first, head, address = two(cast)
    lead = signed_in(cast.lead)
    assert address in lead.get(reverse("workflow", args=[cast.workflow.slug])).content.decode()
    assert address in lead.get(reverse("change", args=[head.change.pk])).content.decode()
    shown = text(lead.get(address))
    assert "Version 1, live until" in shown
    assert "no rest and no freeze holds it" in shown

    said = {"seen": head.version_id, "to": first.pk, "reason": "Cases pile up", "password": PASSWORD}
    answer = lead.post(address, said, follow=True)
    told = text(answer)
    assert "Rolled back: it is live as version 3." in told
    assert "Lead went back to version 1 at once" in told
    assert f"by the votes of change {first.number}" in told
    assert PASSWORD not in answer.content.decode()
    assert "Cases pile up" in text(signed_in(cast.owner).get(reverse("home")))
    assert "Cases pile up" in text(signed_in(cast.integrator).get(reverse("home")))
    assert "Cases pile up" not in text(lead.get(reverse("home")))
    assert "a roll-back" in text(lead.get(reverse("workflow", args=[cast.workflow.slug])))
    (row,) = file(lead.get(reverse("changes_csv"), {"road": "rollback"}))
    assert row["title"] == "Roll back to version 1"
    assert len(file(lead.get(reverse("changes_csv"), {"road": "proposed"}))) == 2
    assert "roll-back" in text(lead.get(reverse("changes"), {"road": "rollback"}))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "another-long-sentence"}, "This is not the present password."),
        ({"password": ""}, "This field is required."),
        ({"reason": ""}, "This field is required."),
        ({"to": ""}, "Choose a version."),
        ({"to": "00000000-0000-0000-0000-000000000000"}, "Nobody goes back to that at once."),
        ({"seen": "00000000-0000-0000-0000-000000000000"}, "Another version became live"),
    ],
)
def test_what_does_not_fit_changes_nothing(cast: Cast, wrong: dict[str, Any], said: str) -> None:
    first, head, address = two(cast)
    sent = {"seen": head.version_id, "to": first.pk, "reason": "Cases pile up", "password": PASSWORD} | wrong
    answer = signed_in(cast.lead).post(address, sent)
    assert answer.status_code == 422
    assert said in text(answer)
    assert not Rollback.objects.exists()
    assert PolicyHead.objects.get().change == head.change


def test_tries_of_the_password_are_braked(cast: Cast) -> None:
    first, head, address = two(cast)
    lead = signed_in(cast.lead)
    sent = {"seen": head.version_id, "to": first.pk, "reason": "Cases pile up", "password": "guessed"}
    for _ in range(6):
        lead.post(address, sent)
    assert "Too many tries" in text(lead.post(address, sent | {"password": PASSWORD}))
    assert not Rollback.objects.exists()


def test_what_nobody_goes_back_to_says_why(cast: Cast) -> None:
    _first, _head, address = two(cast)
    stops.begin(model=cast.models[1], reason="It harms", by=cast.owner)
    shown = text(signed_in(cast.lead).get(address))
    assert "there is nothing to go back to at once" in shown
    assert "Its model Tf-Idf is stopped; propose it as a change." in shown


def test_who_may_not_sees_no_way(cast: Cast) -> None:
    _first, head, address = two(cast)
    page = signed_in(cast.integrator).get(reverse("change", args=[head.change.pk])).content.decode()
    assert address not in page
    assert "Propose version 1 again" in page
    assert "Roll back" not in text(signed_in(cast.integrator).get(reverse("workflow", args=[cast.workflow.slug])))
