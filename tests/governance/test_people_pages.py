"""Pages of people: who there is, adding one, roles given and taken, the link to a password, letting go."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance import accounts, people
from governance.models import AuditBody, AuditEvent, Grant, User
from tests import cast as casting
from tests.cast import BOOTSTRAP, Cast, make_cast, make_person
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db
LINK = re.compile(r"http://testserver(/welcome/\S+/)")
PASSWORD = "a-plain-long-sentence"


@pytest.fixture
def cast() -> Cast:
    """Everybody."""
    return make_cast()


def written() -> tuple[int, int, int]:
    """How much there is of what a refusal must leave as it was."""
    return User.objects.count(), Grant.objects.count(), AuditEvent.objects.count()


def invitation(cast: Cast, person: User) -> str:
    """The address of a sign-in link, made by the administrator."""
    page = text(signed_in(cast.admin).post(reverse("person_invite", args=[person.pk])))
    found = LINK.search(page)
    assert found
    return found[1]


def test_a_person_is_added_granted_and_comes_in_by_a_link(cast: Cast) -> None:
    client = signed_in(cast.admin)
    fields = {"name": "Ada", "email": "Ada@Example.com", "time_zone": "Europe/Berlin"}
    page = client.post(reverse("person_new"), fields, follow=True)
    assert "Ada may do nothing yet" in text(page)
    assert "no password chosen" in text(page)
    ada = User.objects.get(email="ada@example.com")

    role = {"role": "owner", "team": str(cast.team.pk), "environment": "", "until": ""}
    page = client.post(reverse("grant_new", args=[ada.pk]), role, follow=True)
    assert "Ada is now workflow owner" in text(page)
    assert "Models read the register of models" in text(page)

    address = invitation(cast, ada)
    newcomer = Client()
    assert "Choose your password, Ada" in text(newcomer.get(address))
    answer = newcomer.post(address, {"password": PASSWORD, "again": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (302, "/")
    assert newcomer.get(reverse("workflow", args=[cast.workflow.slug])).status_code == 200
    assert Client().login(username="ada@example.com", password=PASSWORD)
    by = list(AuditEvent.objects.about(ada).newest_first().values_list("action", "actor_name"))
    assert by == [("accounts.set_password", "Ada"), ("people.invite", "Admin"), ("accounts.create_person", "Admin")]

    assert Client().get(address).status_code == 404
    assert "This link has ended" in text(Client().post(address, {"password": "another-long-one", "again": ""}))
    assert Client().login(username="ada@example.com", password=PASSWORD)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": " "}, "required"),
        ({"email": "nowhere"}, "valid email"),
        ({"email": "TAKEN"}, "already exists"),
        ({"time_zone": "Mars/Olympus"}, "valid choice"),
    ],
)
def test_what_does_not_fit_adds_nobody(cast: Cast, fields: dict[str, str], said: str) -> None:
    given = {"name": "Ada", "email": "ada@example.com", "time_zone": "UTC", **fields}
    if given["email"] == "TAKEN":
        given["email"] = cast.owner.email.upper()
    before = written()
    answer = signed_in(cast.admin).post(reverse("person_new"), given)
    assert (answer.status_code, said in text(answer)) == (422, True)
    for who in ("lead", "auditor", "owner", "stranger"):
        given = {"name": "Eve", "email": "eve@example.com", "time_zone": "UTC"}
        assert signed_in(cast.people[who]).post(reverse("person_new"), given).status_code == 403
    assert written() == before


def test_a_weak_password_is_refused_and_the_link_goes_on(cast: Cast) -> None:
    person = make_person("Newcomer")
    address = invitation(cast, person)
    for fields, said in (
        ({"password": "short", "again": "short"}, "too short"),
        ({"password": PASSWORD, "again": f"{PASSWORD}!"}, "not alike"),
        ({"password": "", "again": ""}, "required"),
    ):
        answer = Client().post(address, fields)
        assert (answer.status_code, said in text(answer)) == (422, True), fields
    assert not User.objects.get(pk=person.pk).has_usable_password()
    assert Client().post(address, {"password": PASSWORD, "again": PASSWORD}).status_code == 302


def test_a_link_of_somebody_else_or_of_someone_let_go_opens_nothing(cast: Cast) -> None:
    person = make_person("Newcomer")
    address = invitation(cast, person)
    assert Client().get(address.replace(str(person.pk), str(cast.lead.pk))).status_code == 404
    assert Client().get(f"{address[:-3]}zz/").status_code == 404
    accounts.deactivate(person=person, reason="left", by=cast.admin)
    assert Client().post(address, {"password": PASSWORD, "again": PASSWORD}).status_code == 404
    assert not User.objects.get(pk=person.pk).has_usable_password()
    refused = signed_in(cast.admin).post(reverse("person_invite", args=[person.pk]), follow=True)
    assert "may not sign in: reactivate the account first" in text(refused)
    assert not LINK.search(text(refused))
    assert signed_in(cast.auditor).post(reverse("person_invite", args=[person.pk])).status_code == 403


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"role": "emperor"}, "valid choice"),
        ({"role": "admin"}, "leave team and environment out"),
        ({"role": "reviewer"}, "already"),
        ({"until": "2020-01-01"}, "a day to come"),
        ({"team": "00000000-0000-4000-8000-000000000000"}, "valid choice"),
    ],
)
def test_a_grant_that_does_not_fit_is_refused(cast: Cast, fields: dict[str, str], said: str) -> None:
    given = {"role": "owner", "team": str(cast.team.pk), "environment": "", "until": "", **fields}
    before = written()
    address = reverse("grant_new", args=[cast.reviewer.pk])
    answer = signed_in(cast.admin).post(address, given)
    assert (answer.status_code, said in text(answer)) == (422, True)
    assert signed_in(cast.auditor).post(address, given).status_code == 403
    assert signed_in(cast.lead).post(address, given).status_code == 404
    assert written() == before


def test_nobody_grants_himself_a_role_on_the_page(cast: Cast) -> None:
    address = reverse("grant_new", args=[cast.admin.pk])
    before = written()
    assert signed_in(cast.admin).post(address, {"role": "lead"}).status_code == 403
    assert written() == before
    page = signed_in(cast.admin).get(reverse("person", args=[cast.admin.pk])).content.decode()
    assert address not in page
    assert reverse("person_deactivate", args=[cast.admin.pk]) not in page


def test_a_grant_ends_with_its_last_day_in_the_zone_of_who_gave_it(cast: Cast) -> None:
    people.edit(person=cast.admin, name="Admin", time_zone="Asia/Tokyo", by=cast.admin)
    person = make_person("Guest")
    fields = {"role": "viewer", "team": "", "environment": "", "until": "2090-03-31"}
    signed_in(cast.admin).post(reverse("grant_new", args=[person.pk]), fields)
    ends = Grant.objects.get(user=person).valid_until
    assert ends is not None
    assert ends.isoformat() == "2090-03-31T15:00:00+00:00"


def test_a_role_is_revoked_with_a_reason(cast: Cast) -> None:
    held = Grant.objects.get(user=cast.reviewer)
    address = reverse("grant_revoke", args=[held.pk])
    assert signed_in(cast.admin).post(address, {"reason": ""}).status_code == 422
    assert signed_in(cast.auditor).post(address, {"reason": "x"}).status_code == 403
    assert signed_in(cast.lead).post(address, {"reason": "x"}).status_code == 404
    assert accounts.can(cast.reviewer, "reviews.take")
    page = text(signed_in(cast.admin).post(address, {"reason": "Moved on"}, follow=True))
    assert "Reviewer may do nothing yet" in page
    assert "1 role of before" in page
    assert not accounts.can(cast.reviewer, "reviews.take")
    assert AuditEvent.objects.about(held).newest_first()[0].reason == "Moved on"
    again = signed_in(cast.admin).post(address, {"reason": "Again"})
    assert (again.status_code, "ended already" in text(again)) == (422, True)


def test_the_last_administrator_stays(cast: Cast) -> None:
    held = Grant.objects.get(user=cast.admin)
    address = reverse("grant_revoke", args=[held.pk])
    before = written()
    answer = signed_in(cast.admin).post(address, {"reason": "Tired"})
    assert (answer.status_code, "make another person administrator first" in text(answer)) == (422, True)
    with pytest.raises(accounts.LastAdministrator):
        accounts.deactivate(person=cast.admin, reason="Tired", by=BOOTSTRAP)
    # One who may not sign in is none.
    second = make_person("Second", "admin")
    accounts.deactivate(person=second, reason="away", by=cast.admin)
    assert signed_in(cast.admin).post(address, {"reason": "Tired"}).status_code == 422
    held.refresh_from_db()
    assert (held.valid_until, User.objects.get(pk=cast.admin.pk).is_active) == (None, True)
    assert written() == (before[0] + 1, before[1] + 1, before[2] + 3)
    accounts.reactivate(person=second, reason="back", by=cast.admin)
    assert signed_in(cast.admin).post(address, {"reason": "Tired"}).status_code == 302


def test_a_person_let_go_is_signed_out_and_comes_back(cast: Cast) -> None:
    browser = signed_in(cast.owner)
    assert browser.get("/").status_code == 200
    address = reverse("person_deactivate", args=[cast.owner.pk])
    assert signed_in(cast.auditor).post(address, {"reason": "x"}).status_code == 403
    assert signed_in(cast.admin).post(address, {"reason": ""}).status_code == 422
    assert browser.get("/").status_code == 200
    page = text(signed_in(cast.admin).post(address, {"reason": "Left"}, follow=True))
    assert "Owner may not sign in" in page
    assert browser.get("/").status_code == 302
    page = text(
        signed_in(cast.admin).post(reverse("person_reactivate", args=[cast.owner.pk]), {"reason": "Back"}, follow=True)
    )
    assert "Owner may sign in again" in page
    assert "Owner holds 1 role" in page


def test_the_list_filters_sorts_and_files(cast: Cast) -> None:
    gone = make_person("Gone", "viewer", cast.elsewhere)
    accounts.deactivate(person=gone, reason="left", by=cast.admin)
    make_person("Newcomer")
    accounts.revoke(grant=Grant.objects.get(user=cast.finance), by=cast.admin)
    client = signed_in(cast.auditor)

    def names(**query: str) -> list[str]:
        listed = [each.name for each in client.get(reverse("people"), query).context["page"]]
        assert [row["name"] for row in file(client.get(reverse("people_csv"), query))] == listed
        return listed

    assert len(names()) == 10
    assert names(sort="-name")[0] == "Stranger"
    assert names(role="lead") == ["Lead", "Second lead", "Stranger"]
    assert names(role="lead", team="elsewhere") == ["Stranger"]
    assert names(team="customer-care") == ["Integrator", "Owner", "Reviewer"]
    assert names(role="none") == ["Finance", "Newcomer"]
    assert names(role="none", team="customer-care") == []
    assert names(state="gone") == ["Gone"]
    assert names(q="OWNER") == ["Owner"]
    assert names(q="nobody") == []
    assert "No person matches" in text(client.get(reverse("people"), {"q": "nobody"}))
    page = text(client.get(reverse("people")))
    assert "10 people may sign in" in page
    assert f"Owner {cast.owner.email} workflow owner · Customer care" in page
    rows = {row["name"]: row for row in file(client.get(reverse("people_csv")))}
    assert (rows["Owner"]["roles"], rows["Newcomer"]["roles"], rows["Finance"]["roles"]) == ("owner", "", "")
    assert "password" not in rows["Owner"]


def test_a_page_tells_what_the_roles_come_to(cast: Cast) -> None:
    staging = casting.make_environment("staging")
    accounts.grant(user=cast.owner, role="reviewer", team=cast.team, environment=staging, by=BOOTSTRAP)
    accounts.grant(user=cast.owner, role="finance", by=BOOTSTRAP, valid_from=timezone.now() + timedelta(days=9))
    page = text(signed_in(cast.auditor).get(reverse("person", args=[cast.owner.pk])))
    assert "Owner holds 3 roles" in page
    assert "In Customer care Workflows read workflows and their policies" in page
    assert "In Customer care, staging alone Workflows read" in page
    assert "set prices" not in page
    assert "Revoke" not in page
    assert "Grant a role" not in page


def test_who_sees_no_accounts_finds_no_person(cast: Cast) -> None:
    for who in ("lead", "owner", "finance", "stranger"):
        client = signed_in(cast.people[who])
        assert client.get(reverse("people")).status_code == 403
        assert client.get(reverse("person", args=[cast.admin.pk])).status_code == 404


def test_a_name_of_before_can_be_erased(cast: Cast) -> None:
    people.edit(person=cast.owner, name="Another", time_zone="UTC", by=cast.admin)
    event = AuditEvent.objects.about(cast.owner).newest_first()[0]
    assert event.action == "people.edit"
    assert AuditBody.objects.get(event=event).content == {"before": "Owner", "after": "Another"}
    with pytest.raises(accounts.NotPermitted):
        people.edit(person=cast.owner, name="Mine", time_zone="UTC", by=cast.lead)


def test_an_administrator_calls_a_person_by_another_name(cast: Cast) -> None:
    client, address = signed_in(cast.admin), reverse("person_edit", args=[cast.owner.pk])
    assert address in client.get(reverse("person", args=[cast.owner.pk])).content.decode()
    assert 'value="Owner"' in client.get(address).content.decode()
    said = text(client.post(address, {"name": "Ann", "time_zone": "Asia/Tokyo", "email": "x@y.example"}, follow=True))
    assert "Ann holds" in said
    email = cast.owner.email
    cast.owner.refresh_from_db()
    assert (cast.owner.name, cast.owner.time_zone, cast.owner.email) == ("Ann", "Asia/Tokyo", email)
    before = written()
    assert client.post(address, {"name": "", "time_zone": "Asia/Tokyo"}).status_code == 422
    assert signed_in(cast.auditor).post(address, {"name": "Bo", "time_zone": "UTC"}).status_code == 403
    assert signed_in(cast.lead).post(address, {"name": "Bo", "time_zone": "UTC"}).status_code == 404
    assert written() == before
    # His own as well: who sets up alone begins as First person.
    client.post(reverse("person_edit", args=[cast.admin.pk]), {"name": "Cleo", "time_zone": "UTC"})
    assert "You are signed in as Cleo" in text(client.get(reverse("account")))


def reached(client: Any) -> bool:
    """Whether a browser is still signed in."""
    return bool(client.get(reverse("account")).status_code == 200)


def test_one_sets_ones_time_zone_and_nobody_elses_name(cast: Cast) -> None:
    client = signed_in(cast.finance)
    page = text(client.post(reverse("account_edit"), {"name": "Lead", "time_zone": "Asia/Tokyo"}, follow=True))
    assert "You are signed in as Finance" in page
    assert "Asia/Tokyo" in page
    before = written()
    client.post(reverse("account_edit"), {"time_zone": "Asia/Tokyo"})
    assert client.post(reverse("account_edit"), {"time_zone": "Mars/Olympus"}).status_code == 422
    with pytest.raises(accounts.NotPermitted):
        people.edit(person=cast.finance, name="Lead", time_zone="Asia/Tokyo", by=cast.finance)
    assert written() == before


def test_the_record_of_a_password_names_who_made_its_link(cast: Cast) -> None:
    token = people.invite(person=cast.owner, by=cast.admin)
    people.accept(pk=cast.owner.pk, token=token, password=PASSWORD)
    event = AuditEvent.objects.about(cast.owner).newest_first()[0]
    assert (event.action, event.actor_name) == ("accounts.set_password", "Owner")
    assert event.summary == "Set a new password for Owner, by the link that Admin made"


def test_one_changes_ones_password_and_is_signed_out_elsewhere(cast: Cast) -> None:
    accounts.set_password(person=cast.owner, password=PASSWORD, by=BOOTSTRAP)
    owner = User.objects.get(pk=cast.owner.pk)
    here, elsewhere = signed_in(owner), signed_in(owner)
    fields = {"current": PASSWORD, "password": "another-long-sentence", "again": "another-long-sentence"}
    for wrong, said in (
        ({"current": "guess"}, "not the present password"),
        ({"again": "different"}, "not alike"),
        ({"password": "short", "again": "short"}, "too short"),
    ):
        answer = here.post(reverse("account_password"), fields | wrong)
        assert (answer.status_code, said in text(answer)) == (422, True)
        assert "guess" not in text(answer)
    assert reached(elsewhere)
    assert User.objects.get(pk=owner.pk).check_password(PASSWORD)
    page = text(here.post(reverse("account_password"), fields, follow=True))
    assert "You are signed in here alone" in page
    assert (reached(here), reached(elsewhere)) == (True, False)
    assert Client().login(username=owner.email, password="another-long-sentence")


def test_one_signs_out_everywhere_else(cast: Cast) -> None:
    here, elsewhere, other = signed_in(cast.owner), signed_in(cast.owner), signed_in(cast.lead)
    page = text(here.post(reverse("account_sessions"), follow=True))
    assert "You are signed in here alone" in page
    assert (reached(here), reached(elsewhere), reached(other)) == (True, False, True)
    assert AuditEvent.objects.about(cast.owner).newest_first()[0].action == "people.end_sessions"
    with pytest.raises(accounts.NotPermitted):
        people.end_sessions(person=cast.owner, by=cast.lead)


def test_places_where_one_may_do_the_same_stand_together_and_a_role_tells_what_it_adds(cast: Cast) -> None:
    both = make_person("Both", "reviewer", cast.team)
    accounts.grant(user=both, role="reviewer", team=cast.elsewhere, by=BOOTSTRAP)
    page = text(signed_in(both).get(reverse("account")))
    assert "In Customer care; in Elsewhere Workflows read workflows and their policies" in page
    page = text(signed_in(cast.admin).get(reverse("grant_new", args=[both.pk])))
    assert "Viewer nothing more Reviewer Cases for people see which wait, take and answer them Workflow owner" in page


def test_ones_account_tells_what_one_may_do(cast: Cast) -> None:
    assert "Everywhere Workflows read workflows and their policies" in text(
        signed_in(cast.lead).get(reverse("account"))
    )
    assert "Ask an administrator for a role" in text(signed_in(make_person("Nobody")).get(reverse("account")))
