"""How many queries each list takes: the same whether it shows 3 rows or 30, and at most 12.

A new list adds its line to QUERIES, and to `add` what it shows, where nothing there makes it yet.
"""

import dataclasses

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import reverse
from django.utils import timezone

from governance import accounts, changes, gateways, notifications, stops, webhooks
from governance.models import Role, User
from ledger import rollups
from routing import evaluations, instances, simulations
from smallfirst.instances import INSTANCE, new_name
from tests import cast as casting
from tests.ledger.reports import BERLIN, Site, make_site
from tests.pages import signed_in
from tests.routing.asked import Shop
from tests.routing.lab import alike, bring_home, lab_of, measured, row

pytestmark = pytest.mark.django_db

LIMIT = 12
# Which list, opened by whom: how many queries it takes, those of the frame and of signing in among them.
QUERIES: dict[tuple[str, str], int] = {
    ("workflows", "lead"): 9,
    ("changes", "lead"): 10,
    ("stops", "lead"): 9,
    ("terms", "lead"): 9,
    ("coordination", "lead"): 12,
    ("standards", "lead"): 12,
    ("keys", "integrator"): 8,
    ("webhooks", "lead"): 8,
    ("deliveries", "lead"): 8,
    ("account_notifications", "lead"): 5,
    ("models", "lead"): 10,
    ("providers", "lead"): 8,
    ("environments", "lead"): 7,
    ("gateways", "admin"): 9,
    ("instances", "admin"): 9,
    ("people", "admin"): 9,
    ("teams", "admin"): 7,
    ("reviews", "reviewer"): 9,
    ("audit", "auditor"): 11,
    ("audit_samples", "auditor"): 7,
    ("spend", "finance"): 9,
    ("spend_attempts", "finance"): 11,
    ("savings", "finance"): 9,
    ("setup", "lead"): 10,
    ("month_facts", "finance"): 4,
    ("month_saved", "finance"): 4,
    ("month_requests", "finance"): 4,
    ("answered", "finance"): 6,
    ("evaluations", "lead"): 10,
    ("simulations", "lead"): 8,
    ("sample_sets", "lead"): 8,
    ("requests", "lead"): 11,
    ("runs", "lead"): 10,
    ("troubles", "integrator"): 9,
    ("home", "lead"): 9,
    ("home", "auditor"): 8,
    ("home", "reviewer"): 8,
}
# The same lists opened by one who holds every role, of whom therefore most is asked.
OF_ALL_ROLES: dict[str, int] = {
    "workflows": 9,
    "changes": 10,
    "stops": 9,
    "terms": 9,
    "coordination": 12,
    "keys": 8,
    "webhooks": 8,
    "deliveries": 8,
    "account_notifications": 5,
    "models": 10,
    "providers": 8,
    "environments": 7,
    "gateways": 9,
    "instances": 9,
    "people": 9,
    "teams": 7,
    "reviews": 9,
    "audit": 11,
    "audit_samples": 7,
    "spend": 9,
    "spend_attempts": 11,
    "savings": 9,
    "setup": 10,
    "month_facts": 4,
    "month_saved": 4,
    "month_requests": 4,
    "answered": 6,
    "evaluations": 10,
    "simulations": 8,
    "sample_sets": 8,
    "requests": 11,
    "runs": 10,
    "troubles": 8,
    "home": 11,
    "standards": 12,
}
PATIENCE = {"max_latency_ms": 60_000}

ALL = "everybody"
COMMITTED = QUERIES | {(name, ALL): number for name, number in OF_ALL_ROLES.items()}


def add(site: Site, number: int) -> None:
    """One more of everything that lists show, seen in rows of its own."""
    workflow = casting.make_workflow(site.cast.team, site.cast.owner, f"workflow-{number}")
    cast = dataclasses.replace(site.cast, workflow=workflow)
    evaluation = measured(lab_of(cast), [row("Fine")], alike([{"label": "positive", "confidence": 0.9}]))
    bring_home()
    change = casting.make_change(cast, 0.6)
    simulations.begin(change=change, by=cast.integrator, now=timezone.now())
    provider = site.endpoint().provider
    model = casting.make_model(f"model-{number}", "mid", cast.owner, cast.team, provider, cast.production)
    casting.serve(model, casting.make_environment(f"place-{number}"), casting.make_provider(f"account-{number}"))
    gateway, _ = gateways.register(name=f"Shop {number}", environment=cast.production, by=casting.BOOTSTRAP)
    said = instances.read({INSTANCE: new_name()}, held=number)
    instances.note(gateway=gateway, said=said, now=timezone.now())
    team = casting.make_team(f"Team {number}")
    casting.make_person(f"Person {number}", "reviewer", team)
    for held in (
        casting.make_standard(cast, team=team, guards=PATIENCE),
        casting.make_exceptions(cast, "guards.max_latency_ms"),
    ):
        changes.activate(change=casting.approve(held, cast.lead), by=cast.lead)
    stops.begin(workflow=workflow, reason="It harms.", by=site.cast.owner)
    with override_settings(WEBHOOK_ORIGINS={"http://127.0.0.1:9"}):
        webhooks.add(
            name=f"Chat {number}",
            form="slack",
            url="http://127.0.0.1:9/take",
            kinds=["audit.faults"],
            owner=site.cast.lead,
            by=site.cast.admin,
        )
    casting.make_audit_sample(cast)
    notifications.tell_of_faults(checkpoint=number, to=[site.cast.lead.pk], faults=1)
    key, _token = casting.make_key(cast)
    evaluations.schedule(
        sample_set=evaluation.sample_set,
        environment=cast.production,
        cron="0 6 * * 1",
        by=cast.owner,
        now=timezone.now(),
    )
    shop = Shop(dataclasses.replace(site, cast=cast, key=key))
    shop.ask(0.3, 0.5, 0.4, run=f"mail-{number}", charged=False)
    shop.ask(data_class="restricted")


def taken(site: Site, everybody: User) -> dict[tuple[str, str], int]:
    """How many queries each list takes now."""
    rollups.fold(zone=BERLIN)
    people, found = site.cast.people | {ALL: everybody}, {}
    for name, who in COMMITTED:
        client = signed_in(people[who])
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse(name)).status_code == 200, name
        found[name, who] = len(queries)
    return found


def make_everybody() -> User:
    """A person who holds every role in the whole organisation."""
    made = casting.make_person("Everybody")
    for role in Role:
        accounts.grant(user=made, role=role, team=None, by=casting.BOOTSTRAP)
    return made


def test_a_list_takes_the_committed_number_of_queries_whatever_its_length(installation_keys: None) -> None:
    site, everybody = make_site(), make_everybody()
    ours = casting.make_standard(site.cast, guards=PATIENCE)
    changes.activate(change=casting.approve(ours, site.cast.lead), by=site.cast.lead)
    for number in range(3):
        add(site, number)
    few = taken(site, everybody)
    for number in range(3, 30):
        add(site, number)
    assert (few, taken(site, everybody)) == (COMMITTED, COMMITTED)
    assert max(COMMITTED.values()) <= LIMIT
    assert {name for name, _who in QUERIES} == set(OF_ALL_ROLES)
