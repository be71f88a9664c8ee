"""Simulations by the API: begun and read by a person's own program, with a name for each refusal."""

import json
from typing import Any

import jsonschema_rs
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config import schema
from governance import access_tokens, canonical
from governance.models import AuditEvent, User
from routing import simulating
from routing.models import Simulation
from tests.cast import make_change, make_live
from tests.config.test_schema_read import whole
from tests.routing.asked import Shop, make_shop

pytestmark = pytest.mark.django_db
DOCUMENT = schema.control_plane()


@pytest.fixture
def shop(installation_keys: None) -> Shop:
    """Kept from 0.8; one request was answered at once, one by the second model."""
    shop = make_shop()
    shop.ask(0.9)
    shop.ask(0.6, 0.9)
    return shop


def ask(person: User, method: str, name: str, pk: object, *, scope: str = "propose", **body: Any) -> Any:
    """Ask an address of the API with a person's token."""
    said: dict[str, Any] = {"name": "Job", "scope": scope, "days": 7, "confirmed_at": timezone.now()}
    _, token = access_tokens.create(by=person, **said)
    sent: dict[str, Any] = {"headers": {"Authorization": f"Bearer {token}"}}
    if method == "post":
        sent |= {"data": json.dumps(body), "content_type": "application/json"}
    return getattr(Client(), method)(reverse(name, args=[pk]), **sent)


def code(answer: Any) -> tuple[int, str]:
    """Status and name of a refusal."""
    return answer.status_code, answer.json()["error"]["code"]


def test_a_program_simulates_a_change_and_reads_what_came_of_it(shop: Shop) -> None:
    cast = shop.cast
    change = make_change(cast, 0.55)
    begun = ask(cast.integrator, "post", "api_change_simulations", change.pk, days=7)
    assert (begun.status_code, begun.json()["state"], begun.json()["days"]) == (201, "queued", 7)
    assert code(ask(cast.lead, "post", "api_change_simulations", change.pk)) == (409, "already_running")
    while simulating.work():
        pass
    told = ask(cast.auditor, "get", "api_simulation", begun.json()["id"], scope="read")
    jsonschema_rs.validate(whole(DOCUMENT, "ToldSimulation"), told.json(), validate_formats=True)
    said = told.json()
    assert (said["state"], said["change"], said["why_stale"]) == ("done", str(change.pk), "")
    assert canonical.digest(said["result"]) == said["digest"]
    stands = ask(cast.auditor, "get", "api_change", change.pk, scope="read").json()["simulation"]
    assert (stands["state"], stands["digest"]) == ("fresh", said["digest"])
    listed = ask(cast.auditor, "get", "api_change_simulations", change.pk, scope="read").json()["simulations"]
    assert [(each["id"], each["result"]) for each in listed] == [(said["id"], None)]


def test_who_may_not_and_what_is_not_are_refused(shop: Shop) -> None:
    cast = shop.cast
    change = make_change(cast, 0.55)
    before = (Simulation.objects.count(), AuditEvent.objects.filter(action__startswith="simulations").count())
    name = "api_change_simulations"
    assert code(ask(cast.lead, "post", name, change.pk, scope="read")) == (403, "token_scope")
    assert code(ask(cast.finance, "post", name, change.pk)) == (403, "not_allowed")
    assert code(ask(cast.reviewer, "post", name, change.pk)) == (403, "not_allowed")
    assert ask(cast.stranger, "post", name, change.pk).status_code == 404
    for days in (0, 91, "x"):
        assert code(ask(cast.lead, "post", name, change.pk, days=days)) == (400, "invalid_request")
    after = (Simulation.objects.count(), AuditEvent.objects.filter(action__startswith="simulations").count())
    assert after == before
    make_live(cast, 0.6)
    assert code(ask(cast.lead, "post", name, change.pk)) == (409, "not_present")
