"""The demo's door: open to who has its key, on this machine alone, for the demo's people alone."""

import secrets
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse

from config import state as places
from demo import people
from demo.people import PEOPLE, of_demo
from demo.views import COOKIE, STORY
from governance import accounts
from tests.cast import BOOTSTRAP, make_person
from tests.demo.test_organisation_seed import seed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]

ELSEWHERE: tuple[dict[str, Any], ...] = (
    {"REMOTE_ADDR": "192.0.2.7"},
    {"REMOTE_ADDR": "not an address"},
    {"HTTP_X_FORWARDED_FOR": "192.0.2.7"},
    {"HTTP_FORWARDED": "for=192.0.2.7"},
    {"HTTP_X_FORWARDED_HOST": "demo.example"},
    {"HTTP_X_FORWARDED_PROTO": "https"},
    {"HTTP_X_REAL_IP": "192.0.2.7"},
    {"HTTP_X_CLIENT_IP": "192.0.2.7"},
    {"HTTP_TRUE_CLIENT_IP": "192.0.2.7"},
    {"HTTP_VIA": "1.1 proxy.example"},
    {"HTTP_HOST": "testserver"},
)


def stranger(**environment: Any) -> Client:
    """A browser on this machine, unless said otherwise."""
    return Client(raise_request_exception=False, **{"HTTP_HOST": "127.0.0.1", **environment})


def key() -> str:
    """What `up` prints behind the door's address."""
    return places.read_secret(django_settings.STATE / "demo-door")


def client(**environment: Any) -> Client:
    """A browser that came in by the address that `up` printed, and asks now from here unless said otherwise."""
    browser = stranger()
    answer = browser.get(reverse("demo"), {"door": key()})
    assert (answer.status_code, answer["location"]) == (302, reverse("demo"))
    browser.defaults |= environment
    return browser


def signed_in(browser: Client) -> bool:
    return "_auth_user_id" in browser.session


@pytest.fixture(autouse=True)
def door(tmp_path: Path, settings: Any) -> None:
    """Harbour & Vale's people, who are all that the door leads to, and its key."""
    settings.STATE = tmp_path
    people.make("a password of the demo")
    places.write_secret(tmp_path / "demo-door", secrets.token_urlsafe(32))


@pytest.fixture
def organisation(tmp_path: Path, settings: Any) -> None:
    """All of Harbour & Vale, as `up` makes it."""
    settings.STATE = tmp_path
    (tmp_path / "demo-door").unlink(missing_ok=True)
    seed(tmp_path)


@pytest.mark.usefixtures("organisation")
def test_it_names_everybody_and_tells_the_story() -> None:
    page = client().get(reverse("demo")).content.decode()
    for person in PEOPLE:
        assert person.first in page
        assert f'action="{reverse("demo_as", args=[person.login])}"' in page
    assert len(STORY) == 5
    for minute in STORY:
        assert minute.title in page
    assert key() not in page


def refused(browser: Client, **sent: str) -> list[int]:
    """The statuses of the door and of being somebody; nobody is signed in."""
    answers = [browser.get(reverse("demo"), sent), browser.post(reverse("demo_as", args=["lead"]))]
    assert not signed_in(browser)
    return [answer.status_code for answer in answers]


@pytest.mark.usefixtures("organisation")
def test_a_browser_without_the_key_stays_outside_and_is_told_where_it_is(tmp_path: Path) -> None:
    """As whatever relays TCP to this machine: same peer, same Host."""
    assert refused(stranger()) == [403, 404]
    assert "./run up printed" in stranger().get(reverse("demo")).content.decode()
    for wrong in (key()[:-1], f"{key()}x", key().swapcase(), "x"):
        assert refused(stranger(), door=wrong) == [404, 404]
    forged = stranger()
    forged.cookies[COOKIE] = accounts.token_sha256(key())
    assert refused(forged) == [403, 404]
    assert (tmp_path / "demo-door").stat().st_mode & 0o777 == 0o600


def test_the_key_is_in_no_cookie_and_another_key_ends_what_the_old_one_opened(tmp_path: Path) -> None:
    browser = client()
    cookie = browser.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/demo/")
    assert key() not in cookie.value
    assert browser.get(reverse("demo")).status_code == 200
    places.write_secret(tmp_path / "demo-door", "another-key")
    assert refused(browser) == [403, 404]
    (tmp_path / "demo-door").unlink()
    assert refused(browser) == [403, 404]
    assert refused(stranger(), door="") == [403, 404]


def test_the_door_stays_open_for_the_next_to_be() -> None:
    browser = client()
    for login in ("lead", "auditor"):
        browser.post(reverse("demo_as", args=[login]))
        assert browser.session["_auth_user_id"] == str(of_demo(login).pk)


@pytest.mark.parametrize("login", [person.login for person in PEOPLE])
def test_one_press_signs_in_as_each(login: str) -> None:
    browser = client()
    answer = browser.post(reverse("demo_as", args=[login]))
    assert (answer.status_code, answer["location"]) == (302, "/")
    assert browser.session["_auth_user_id"] == str(of_demo(login).pk)


@pytest.mark.usefixtures("organisation")
def test_every_minute_begins_on_a_page_that_its_person_may_open() -> None:
    for minute in STORY:
        browser = client()
        answer = browser.post(reverse("demo_as", args=[minute.login]), {"next": minute.address})
        assert answer["location"] == minute.address
        assert browser.get(minute.address).status_code == 200, minute.title


@pytest.mark.parametrize("wanted", ["https://elsewhere.example/", "//elsewhere.example", "/keys/", "javascript:1"])
def test_it_leads_nowhere_else(wanted: str) -> None:
    assert client().post(reverse("demo_as", args=["lead"]), {"next": wanted})["location"] == "/"


@pytest.mark.parametrize("environment", ELSEWHERE)
def test_from_elsewhere_there_is_no_door(environment: dict[str, Any], settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    browser = client(**environment)
    assert browser.get(reverse("demo")).status_code == 404
    assert browser.post(reverse("demo_as", args=["lead"])).status_code == 404
    assert not signed_in(browser)


@pytest.mark.parametrize(("name", "value"), [("DEMO", False), ("BEHIND_PROXY", True)])
def test_outside_the_demo_and_behind_a_proxy_there_is_no_door(settings: Any, name: str, value: bool) -> None:
    browser = client()
    setattr(settings, name, value)
    assert browser.get(reverse("demo")).status_code == 404
    assert browser.post(reverse("demo_as", args=["lead"])).status_code == 404
    assert not signed_in(browser)


def test_nobody_but_the_demos_people_and_nobody_who_was_deactivated() -> None:
    make_person("Own administrator")
    accounts.deactivate(person=of_demo("finance"), reason="left", by=BOOTSTRAP)
    browser = client()
    for login in ("own-administrator", "finance", "nobody"):
        assert browser.post(reverse("demo_as", args=[login])).status_code == 404
    assert not signed_in(browser)
    page = browser.get(reverse("demo")).content.decode()
    assert reverse("demo_as", args=["finance"]) not in page


def test_a_form_of_another_site_is_refused() -> None:
    browser = Client(enforce_csrf_checks=True, HTTP_HOST="127.0.0.1")
    browser.get(reverse("demo"), {"door": key()})
    assert browser.post(reverse("demo_as", args=["lead"])).status_code == 403
    assert not signed_in(browser)
