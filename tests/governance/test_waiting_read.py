"""What the frame knows of a person: by a query that is made once, and says the same as one made for him."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from governance import accounts, notifications, stops, waiting
from governance.models import User
from tests.cast import Cast, make_cast, make_change, make_key, make_live, make_person, make_review

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody, a change that asks for votes, a case that waits, and all stopped."""
    made = make_cast()
    make_live(made)
    make_change(made, 0.6)
    make_review(make_key(made)[0])
    stops.begin(reason="It harms.", by=made.lead)
    notifications.tell_of_faults(checkpoint=1, to=[], faults=1)
    return made


@pytest.mark.parametrize("at", [datetime(2026, 11, 24, 9, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)])
def test_the_query_that_is_made_once_is_the_one_that_would_be_made(cast: Cast, at: datetime) -> None:
    for person in (cast.reviewer, cast.lead, make_person("Nobody yet")):
        with time_machine.travel(at, tick=False):
            sql, given = waiting._prepared()
            stand = {id(waiting._PERSON): person.pk, id(waiting._MOMENT): timezone.now()}
            wanted = waiting._asked(person).query.sql_with_params()
        assert (sql, tuple(stand.get(id(each), each) for each in given)) == wanted


def test_everybody_is_told_what_a_query_of_his_own_would_tell(cast: Cast) -> None:
    told = {name: waiting.frame_of(person) for name, person in cast.people.items()}
    assert told == {name: waiting._frame(list(waiting._asked(person))) for name, person in cast.people.items()}
    assert (told["reviewer"].reviews, told["owner"].changes, told["finance"].waiting["home"]) == (1, 1, 0)
    assert all(frame.all_stopped for frame in told.values())
    assert waiting.frame_of(make_person("Nobody yet")) == waiting.Frame()


def test_rights_that_ended_or_begin_later_are_none(cast: Cast) -> None:
    for later in (timedelta(0), timedelta(days=1)):
        with time_machine.travel(timezone.now() + later, tick=False):
            assert "reviews.take" in waiting.frame_of(cast.reviewer).acts
    accounts.deactivate(person=cast.reviewer, reason="left", by=cast.admin)
    gone = User.objects.get(pk=cast.reviewer.pk)
    assert waiting.frame_of(gone).reviews == 0
