"""Filters of lists: what names nothing is an error at its field, what leaves nothing says so, and each can go."""

import dataclasses
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.http import urlencode

from governance.models import Workflow
from tests import cast as casting
from tests.ledger.reports import Site, make_site
from tests.pages import Links, signed_in, text

pytestmark = pytest.mark.django_db

# Which list, opened by whom: its field that names something, and what another one must be asked for to leave nothing.
NAMING = {
    ("requests", "lead"): ("workflow", {"run": "no such run"}),
    ("runs", "lead"): ("workflow", {"kind": "evaluation"}),
    ("reviews", "reviewer"): ("workflow", {"status": "mine"}),
    ("changes", "lead"): ("workflow", {"state": "withdrawn"}),
    ("evaluations", "lead"): ("step", {"state": "cancelled"}),
    ("sample_sets", "lead"): ("workflow", {"q": "no such set"}),
    ("keys", "integrator"): ("environment", {"q": "no such key"}),
    ("people", "admin"): ("team", {"q": "nobody"}),
    ("models", "lead"): ("provider", {"q": "no such model"}),
    ("terms", "lead"): ("model", {"at": "2001-01-01T12:00"}),
    ("workflows", "lead"): ("team", {"q": "no such workflow"}),
    ("gateways", "admin"): ("environment", {"q": "no such gateway"}),
    ("instances", "admin"): ("environment", {"standing": "silent"}),
    ("simulations", "lead"): ("workflow", {"of": "draft"}),
    ("deliveries", "lead"): ("webhook", {"state": "dead"}),
    ("spend", "finance"): ("workflow", {"step": "no such step"}),
    ("spend_attempts", "finance"): ("model", {"show": "late"}),
    ("savings", "finance"): ("workflow", {"workflow": "idle"}),
}
# Those without a field that names anything: what does not fit there, and what leaves nothing.
CLOSED: dict[tuple[str, str], tuple[str, dict[str, str]]] = {
    ("audit", "auditor"): ("since", {"q": "nothing like it"}),
    ("stops", "lead"): ("state", {"state": "lifted"}),
    ("webhooks", "lead"): ("form", {"state": "closed"}),
    ("providers", "lead"): ("state", {"q": "no such provider"}),
    ("teams", "admin"): ("", {"q": "no such team"}),
}
LISTS = sorted({**NAMING, **CLOSED})


@pytest.fixture
def site(installation_keys: None) -> Site:
    """What lists need to be opened, and a workflow of another team."""
    made = make_site()
    casting.make_workflow(made.cast.team, made.cast.owner, "idle")
    casting.make_workflow(made.cast.elsewhere, made.cast.stranger, "hidden")
    return made


@pytest.mark.parametrize(("name", "who"), sorted(NAMING))
def test_a_name_of_nothing_is_an_error_at_its_field_and_leaves_no_row(site: Site, name: str, who: str) -> None:
    field, _nothing = NAMING[name, who]
    client = signed_in(site.cast.people[who])

    answer = client.get(reverse(name), {field: "no-such-name"})

    assert answer.status_code == 422
    assert list(answer.context["filter_form"].errors) == [field]
    assert "This filter does not fit" in text(answer)
    assert text(answer).count("no-such-name") >= 2
    assert "<tbody" not in answer.content.decode()
    file = client.get(reverse(f"{name}_csv"), {field: "no-such-name"})
    assert (file.status_code, file["content-type"]) == (400, "text/html; charset=utf-8")


@pytest.mark.parametrize(("name", "who"), [each for each in sorted(CLOSED) if CLOSED[each][0]])
def test_a_word_that_a_field_does_not_know_is_an_error_at_the_field(site: Site, name: str, who: str) -> None:
    field, _nothing = CLOSED[name, who]
    answer = signed_in(site.cast.people[who]).get(reverse(name), {field: "nonsense"})

    assert answer.status_code == 422
    assert list(answer.context["filter_form"].errors) == [field]
    assert "<tbody" not in answer.content.decode()


@pytest.mark.parametrize("name", ["requests", "runs", "changes", "sample_sets", "simulations", "spend", "savings"])
def test_what_one_may_not_see_is_told_as_what_there_is_not(site: Site, name: str) -> None:
    assert Workflow.objects.filter(slug="hidden").exists()
    client = signed_in(site.cast.owner)

    hidden, nothing = (client.get(reverse(name), {"workflow": slug}) for slug in ("hidden", "nothing"))

    assert hidden.status_code == nothing.status_code == 422
    assert text(hidden).replace("hidden", "nothing") == text(nothing)
    assert client.get(reverse(name), {"workflow": "idle"}).status_code == 200


@pytest.mark.parametrize(("name", "who"), LISTS)
def test_filters_that_leave_nothing_say_so_and_can_be_taken_away(site: Site, name: str, who: str) -> None:
    _field, nothing = {**NAMING, **CLOSED}[name, who]
    asked = {"sort": "-name"} | nothing
    client = signed_in(site.cast.people[who])

    answer = client.get(reverse(name), asked)

    assert answer.status_code == 200
    assert "matches this filter" in text(answer)
    links = {unescape(href): words for href, words in Links(answer.content.decode()).links}
    assert links[reverse(name)].startswith("Take the filter away")
    (narrowed,) = answer.context["filter_form"].narrowed
    assert links[narrowed.without] == f"{narrowed.label}: {narrowed.words} ×"
    assert narrowed.without == "?sort=-name"
    assert "matches this filter" not in text(client.get(reverse(name)))


def test_each_part_of_a_filter_can_be_taken_away_alone(site: Site) -> None:
    query = {"workflow": "customer-feedback", "outcome": "kept", "page": "3", "sort": "cost"}
    answer = signed_in(site.cast.lead).get(reverse("requests"), query)

    parts = answer.context["filter_form"].narrowed
    assert [(each.label, each.words) for each in parts] == [
        ("Workflow", Workflow.objects.get(slug="customer-feedback").name),
        ("Outcome", "A model answered"),
    ]
    kept = [urlencode({key: query[key] for key in (left, "sort")}) for left in ("outcome", "workflow")]
    assert sorted(each.without for each in parts) == sorted(f"?{each}" for each in kept)
    assert "Take all away" in text(answer)
    assert "matches these filters" in text(answer)


def test_all_names_of_a_filter_are_found_in_one_query(site: Site) -> None:
    client = signed_in(site.cast.lead)
    names = {"environment": "production", "provider": "local", "team": site.cast.team.slug}

    def taken(query: dict[str, str]) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse("models"), query).status_code == 200
        return len(queries)

    assert [taken(names) - taken({}), taken({"team": site.cast.team.slug}) - taken({})] == [1, 1]


def test_a_key_is_found_by_its_name_and_by_its_letters_as_pages_show_them(site: Site) -> None:
    hidden = Workflow.objects.get(slug="hidden")
    stranger = dataclasses.replace(site.cast, workflow=hidden, integrator=site.cast.stranger)
    other, _token = casting.make_key(stranger, "Another")
    client = signed_in(site.cast.owner)

    for known in (site.key.name, site.key.prefix, f"sf_{site.key.prefix}"):
        assert client.get(reverse("requests"), {"key": known}).status_code == 200
    assert client.get(reverse("requests"), {"key": other.prefix}).status_code == 422
