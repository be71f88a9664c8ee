"""The navigation of every role leads to pages that open, and hides none that would."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from governance.models import User
from tests import cast as casting

pytestmark = pytest.mark.django_db

ENTRIES = (
    *("home", "follow", "reviews", "changes", "workflows", "models", "evaluations", "simulations", "stops", "keys"),
    *(
        "gateways",
        "webhooks",
        "api_docs_gateway",
        "spend",
        "savings",
        "requests",
        "environments",
        "providers",
        "people",
        "teams",
        "audit",
    ),
)


@pytest.fixture
def cast() -> casting.Cast:
    """Everybody with a live policy and a change to vote on."""
    made = casting.make_cast()
    casting.make_live(made)
    casting.make_change(made, 0.6, by=made.lead)
    return made


def as_(person: User) -> Client:
    """A browser in which this person is signed in."""
    client = Client()
    client.force_login(person)
    return client


def shown(client: Client) -> set[str]:
    """The addresses of the navigation on the home page."""
    return set(re.findall(r'class="item" href="([^"]+)"', client.get("/").content.decode()))


def test_an_entry_is_shown_exactly_where_its_page_opens(cast: casting.Cast) -> None:
    for role, person in cast.people.items():
        client = as_(person)
        opens = {reverse(name) for name in ENTRIES if client.get(reverse(name)).status_code == 200}
        assert shown(client) == opens, role


def test_someone_without_a_role_has_only_home(cast: casting.Cast) -> None:
    assert shown(as_(casting.make_person("Nobody yet"))) == {"/"}


def test_a_vote_that_waits_is_counted_beside_its_entry(cast: casting.Cast) -> None:
    assert re.findall(r'class="waiting">(\d+)<', as_(cast.owner).get("/").content.decode()) == ["1", "1"]
    assert re.findall(r'class="waiting">(\d+)<', as_(cast.finance).get("/").content.decode()) == []


def test_a_page_that_refuses_says_which_role_it_takes(cast: casting.Cast) -> None:
    answer = as_(cast.finance).get(reverse("audit"))
    assert answer.status_code == 403
    assert "it takes the role" in answer.content.decode()


@pytest.mark.parametrize(
    ("page", "entry"),
    [
        ("trial", "follow"),
        ("sample_sets", "evaluations"),
        ("api_docs", "api_docs_gateway"),
        ("follow", "follow"),
        ("home", "home"),
    ],
)
def test_the_entry_a_page_belongs_to_is_lit_alone(cast: casting.Cast, page: str, entry: str) -> None:
    shown = as_(cast.lead).get(reverse(page)).content.decode()
    assert re.findall(r'class="item" href="([^"]+)" aria-current', shown) == [reverse(entry)]
