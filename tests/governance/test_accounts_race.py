"""Two administrators who end each other at once: one is left; and one invitation, accepted twice."""

from governance import accounts, people
from governance.accounts import LastAdministrator, NotPermitted
from governance.errors import InvalidInput
from governance.models import Grant, User
from tests.at_once import at_once
from tests.cast import make_cast, make_person
from tests.conftest import LiveDatabase


def test_of_two_administrators_who_revoke_each_other_one_stays(live_database: LiveDatabase) -> None:
    cast = make_cast()
    second = make_person("Second", "admin")
    mine, other = (Grant.objects.get(user=person) for person in (cast.admin, second))
    results = at_once(
        lambda: accounts.revoke(grant=other, by=cast.admin), lambda: accounts.revoke(grant=mine, by=second)
    )
    assert [type(result) for result in results if isinstance(result, Exception)] == [NotPermitted]
    assert Grant.objects.in_force().filter(role="admin", user__is_active=True).count() == 1


def test_of_two_administrators_who_step_down_one_stays(live_database: LiveDatabase) -> None:
    cast = make_cast()
    second = make_person("Second", "admin")
    mine, other = (Grant.objects.get(user=person) for person in (cast.admin, second))
    results = at_once(
        lambda: accounts.revoke(grant=mine, by=cast.admin), lambda: accounts.revoke(grant=other, by=second)
    )
    assert [type(result) for result in results if isinstance(result, Exception)] == [LastAdministrator]
    assert Grant.objects.in_force().filter(role="admin").count() == 1


def test_of_two_administrators_who_deactivate_each_other_one_stays(live_database: LiveDatabase) -> None:
    cast = make_cast()
    second = make_person("Second", "admin")
    results = at_once(
        lambda: accounts.deactivate(person=second, reason="left", by=cast.admin),
        lambda: accounts.deactivate(person=cast.admin, reason="left", by=second),
    )
    assert [type(result) for result in results if isinstance(result, Exception)] == [NotPermitted]
    assert User.objects.filter(grants__role="admin", is_active=True).count() == 1


def test_an_invitation_is_accepted_once(live_database: LiveDatabase) -> None:
    cast = make_cast()
    person = make_person("Newcomer")
    token = people.invite(person=person, by=cast.admin)
    results = at_once(
        *(
            lambda word=word: people.accept(pk=person.pk, token=token, password=word)
            for word in ("the-first-long-one", "the-second-long-one")
        )
    )
    assert [type(result) for result in results if isinstance(result, Exception)] == [InvalidInput]
    chosen = User.objects.get(pk=person.pk)
    assert [chosen.check_password(word) for word in ("the-first-long-one", "the-second-long-one")].count(True) == 1
