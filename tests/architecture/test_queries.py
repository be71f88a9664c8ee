"""How many queries each list takes: the same whether it shows 3 rows or 30, and at most 12.

A new list adds its line to QUERIES, and to `add` what it shows, where nothing there makes it yet.
"""

import dataclasses

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger import rollups
from tests import cast as casting
from tests.ledger.reports import BERLIN, Site, make_site
from tests.pages import signed_in

pytestmark = pytest.mark.django_db

LIMIT = 12
# Which list, opened by whom: how many queries it takes, those of the frame and of signing in among them.
QUERIES: dict[tuple[str, str], int] = {
    ("workflows", "lead"): 12,
    ("changes", "lead"): 8,
    ("keys", "integrator"): 8,
    ("models", "lead"): 12,
    ("reviews", "reviewer"): 10,
    ("audit", "auditor"): 6,
    ("spend", "finance"): 9,
    ("spend_attempts", "finance"): 10,
    ("savings", "finance"): 9,
    ("month_facts", "finance"): 7,
    ("answered", "finance"): 6,
    ("home", "lead"): 8,
    ("home", "auditor"): 7,
    ("home", "reviewer"): 8,
}


def add(site: Site, number: int) -> None:
    """One more of everything that lists show, seen in rows of its own."""
    workflow = casting.make_workflow(site.cast.team, site.cast.owner, f"workflow-{number}")
    cast = dataclasses.replace(site.cast, workflow=workflow)
    casting.make_live(cast)
    casting.make_change(cast, 0.6)
    provider = site.endpoint().provider
    casting.make_model(f"model-{number}", "mid", cast.owner, cast.team, provider, cast.production)
    key, _token = casting.make_key(cast)
    casting.make_review(key)
    site.report([site.event(workflow=str(workflow.pk), key=str(key.pk))])


def measured(site: Site) -> dict[tuple[str, str], int]:
    """How many queries each list takes now."""
    rollups.fold(zone=BERLIN)
    found = {}
    for name, who in QUERIES:
        client = signed_in(site.cast.people[who])
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse(name)).status_code == 200, name
        found[name, who] = len(queries)
    return found


def test_a_list_takes_the_committed_number_of_queries_whatever_its_length() -> None:
    site = make_site()
    for number in range(3):
        add(site, number)
    few = measured(site)
    for number in range(3, 30):
        add(site, number)
    assert (few, measured(site)) == (QUERIES, QUERIES)
    assert max(QUERIES.values()) <= LIMIT
