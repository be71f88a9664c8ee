"""The first day: on an installation that holds nothing yet each page says in words what to do, and no zero shouts."""

import re

import pytest
from django.urls import reverse

from governance import accounts
from governance.models import Role
from ledger.views import selection as chosen
from tests.cast import BOOTSTRAP, make_person
from tests.pages import plain, signed_in, text

pytestmark = pytest.mark.django_db

# What each page says first to who may do all, and how its empty list begins.
FIRST = {
    "home": ("Nothing is live yet: set it up first", None),
    "follow": ("No request came in the last hour", "No request yet"),
    "reviews": ("No case waits for a person", "No review waits"),
    "changes": ("Nobody has proposed a change yet", "Nobody has proposed a change yet"),
    "terms": ("No policy is live yet", "No policy is live yet"),
    "workflows": ("Add the first workflow: a process that is to use AI", "No workflow yet"),
    "models": ("Register the first model", "No model is registered yet"),
    "providers": ("Add the first provider, who runs the models", "No provider is known yet"),
    "keys": ("Make the first key, so that an application can ask", "No application has a key yet"),
    "teams": ("Add the first team, to which workflows and models belong", "There is no team yet"),
    "gateways": ("No gateway is let in yet", "No gateway is registered yet"),
    "instances": ("No instance was heard in the last two minutes", "No instance was heard within a day"),
    "evaluations": ("Nothing has been evaluated here yet", "No step has been evaluated"),
    "sample_sets": ("No sample set yet", "No sample set yet"),
    "simulations": ("What would another policy have done?", "Nothing has been simulated"),
    "requests": ("No request came yet", "No request yet"),
    "runs": ("No run yet", "No run yet"),
    "stops": ("Nothing is stopped", "Nothing was ever stopped"),
    "spend": ("AI cost nothing in {month} so far", "No attempt was counted in {month}"),
    "savings": ("No task was counted in {month}", "No task was counted in these days"),
    "webhooks": ("Nobody outside is told what happens here", "No webhook yet"),
}


@pytest.mark.parametrize("name", FIRST)
def test_a_page_of_an_empty_installation_says_what_to_do_first(name: str) -> None:
    person = make_person("First")
    for role in Role:
        accounts.grant(user=person, role=role, by=BOOTSTRAP)

    answer = signed_in(person).get(reverse(name))

    month = f"{chosen.today():%B}"
    html, (headline, empty) = answer.content.decode(), [said and said.format(month=month) for said in FIRST[name]]
    (said,) = re.findall(r"<h1>(.*?)</h1>", html, re.DOTALL)
    assert plain(said) == headline
    assert empty is None or f'<p class="empty-title">{empty}</p>' in html
    assert "<tbody" not in html
    assert "matches" not in text(answer)


def test_what_is_to_set_up_stands_on_the_first_page_with_the_first_thing_to_do() -> None:
    person = make_person("First")
    for role in Role:
        accounts.grant(user=person, role=role, by=BOOTSTRAP)
    client = signed_in(person)

    home, part = (client.get(reverse(name)) for name in ("home", "setup"))

    assert f'hx-get="{reverse("setup")}"' in home.content.decode()
    assert text(part).startswith("Set up Smallfirst 0 of 9 done 1 A team")
    assert text(part).index("Do it : A team") < text(part).index("2 A provider")
    assert "<tbody" not in part.content.decode()


def test_who_may_not_begin_is_told_who_may() -> None:
    reader = signed_in(make_person("Reader", Role.VIEWER))
    for name, said in (
        ("workflows", "You see no workflow yet"),
        ("models", "No model is registered yet"),
        ("keys", "No application has a key yet"),
        ("providers", "No provider is known yet"),
    ):
        html = reader.get(reverse(name)).content.decode()
        assert plain(re.findall(r"<h1>(.*?)</h1>", html, re.DOTALL)[0]) == said
        assert "btn main" not in html
