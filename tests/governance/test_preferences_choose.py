"""Preferences: what a person is told by e-mail, on his own page; what waits on him stands on home all the same."""

import pytest

from governance import preferences
from governance.accounts import NotPermitted
from governance.errors import InvalidInput
from governance.models import AuditEvent, Delivery, Preference
from tests.cast import Cast, make_cast, make_change
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db
PAGE = "/account/notifications/"
ALL = {kind.value: "at_once" for kind in preferences.CHOSEN}


@pytest.fixture
def cast() -> Cast:
    """Everybody."""
    return make_cast()


def test_never_leaves_home_as_it_is(cast: Cast) -> None:
    owner = signed_in(cast.owner)
    assert owner.post(PAGE, ALL | {"change.vote_needed": "never"}).status_code == 302
    change = make_change(cast)
    assert not Delivery.objects.filter(person=cast.owner).exists()
    assert change.title in text(owner.get("/"))
    assert "Nothing was told to you yet" in text(owner.get(PAGE))


def test_the_page_shows_what_was_told_and_what_is_chosen(cast: Cast) -> None:
    change = make_change(cast)
    owner = signed_in(cast.owner)
    page = owner.get(PAGE)
    assert f"Change {change.number} for {change.place} asks for votes" in text(page)
    assert f'href="/changes/{change.pk}/"' in page.content.decode()
    owner.post(PAGE, ALL | {"change.live": "daily"})
    (event,) = AuditEvent.objects.filter(action="preferences.choose")
    assert (event.before, event.after) == ({"change.live": "at_once"}, {"change.live": "daily"})
    owner.post(PAGE, ALL | {"change.live": "daily"})
    assert AuditEvent.objects.filter(action="preferences.choose").count() == 1
    assert Preference.objects.of(cast.owner) == {"change.live": "daily"}


def test_nobody_chooses_for_another_nor_what_there_is_not(cast: Cast) -> None:
    with pytest.raises(NotPermitted):
        preferences.choose(person=cast.owner, choices={"change.live": "never"}, by=cast.admin)
    for choices in ({"change.live": "weekly"}, {"change.other": "never"}, {"webhook.test": "never"}):
        with pytest.raises(InvalidInput):
            preferences.choose(person=cast.owner, choices=choices, by=cast.owner)
    assert signed_in(cast.owner).post(PAGE, ALL | {"change.live": "weekly"}).status_code == 422
    assert not Preference.objects.exists()
    assert not AuditEvent.objects.filter(action="preferences.choose").exists()
