"""The demo's door: open on this machine alone, for the demo's people alone."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from demo.people import PEOPLE, of_demo
from demo.views import STORY
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


def client(**environment: Any) -> Client:
    """A browser on this machine, unless said otherwise."""
    return Client(raise_request_exception=False, **{"HTTP_HOST": "127.0.0.1", **environment})


def signed_in(browser: Client) -> bool:
    return "_auth_user_id" in browser.session


@pytest.fixture(autouse=True)
def organisation(tmp_path: Path) -> None:
    """Harbour & Vale."""
    seed(tmp_path)


def test_it_names_everybody_and_tells_the_story() -> None:
    page = client().get(reverse("demo")).content.decode()
    for person in PEOPLE:
        assert person.first in page
        assert f'action="{reverse("demo_as", args=[person.login])}"' in page
    assert len(STORY) == 5
    for minute in STORY:
        assert minute.title in page


@pytest.mark.parametrize("login", [person.login for person in PEOPLE])
def test_one_press_signs_in_as_each(login: str) -> None:
    browser = client()
    answer = browser.post(reverse("demo_as", args=[login]))
    assert (answer.status_code, answer["location"]) == (302, "/")
    assert browser.session["_auth_user_id"] == str(of_demo(login).pk)


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
    setattr(settings, name, value)
    browser = client()
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
    assert browser.post(reverse("demo_as", args=["lead"])).status_code == 403
    assert not signed_in(browser)
