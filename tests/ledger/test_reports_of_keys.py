"""Usage and decisions that an API key reports: of exactly its key, workflow and environment, each other one refused."""

from typing import Any

import pytest
from django.test import Client

from governance import accounts, gateways
from governance.models import AuditEvent
from ledger.models import Decision, UsageEvent, UsageQueue
from tests.cast import make_environment, make_key, make_workflow
from tests.ledger.reports import Site, make_site

pytestmark = pytest.mark.django_db

BOTH = pytest.mark.parametrize(("to", "noun"), [("usage", "events"), ("decisions", "decisions")])


@pytest.fixture
def shop() -> tuple[Site, str, str]:
    """A site with another key of its workflow: the key's id and its token."""
    site = make_site()
    key, token = make_key(site.cast, "Shop, in process")
    return site, str(key.pk), token


def made(site: Site, to: str, **given: Any) -> dict[str, Any]:
    """A record of the kind that an address takes."""
    return site.event(**given) if to == "usage" else site.decision(**given)


def post(to: str, noun: str, token: str, *records: dict[str, Any]) -> Any:
    """What is answered to a batch."""
    headers = {"Authorization": f"Bearer {token}"}
    return Client().post(f"/api/v1/{to}", {noun: records}, content_type="application/json", headers=headers)


def stored() -> tuple[int, int, int]:
    """How many rows there are."""
    return UsageEvent.objects.count(), UsageQueue.objects.count(), Decision.objects.count()


@BOTH
def test_a_key_reports_for_itself(shop: tuple[Site, str, str], to: str, noun: str) -> None:
    site, key, token = shop
    record = made(site, to, key=key)

    assert post(to, noun, token, record).json() == {"accepted": 1, "repeated": 0, "refused": []}
    assert post(to, noun, token, record).json() == {"accepted": 0, "repeated": 1, "refused": []}

    row = (UsageEvent if to == "usage" else Decision).objects.get()
    assert str(row.key_id) == key
    assert str(row.gateway.key_id) == key


@BOTH
def test_a_key_writes_into_no_other_ledger(shop: tuple[Site, str, str], to: str, noun: str) -> None:
    """Whatever mixture of names a record carries, it is refused by the field that is not the key's."""
    site, key, token = shop
    cast = site.cast
    other = make_workflow(cast.elsewhere, cast.stranger, slug="elsewhere")
    foreign, _ = accounts.create_key(workflow=other, environment=cast.production, name="Foreign", by=cast.stranger)
    staging = make_environment("staging")
    staged, _ = accounts.create_key(workflow=cast.workflow, environment=staging, name="Staged", by=cast.lead)
    sent = [
        made(site, to),
        made(site, to, key=str(foreign.pk), workflow=str(other.pk)),
        made(site, to, key=key, workflow=str(other.pk)),
        made(site, to, key=key, environment=str(staging.pk)),
        made(site, to, key=str(staged.pk), environment=str(staging.pk)),
        made(site, to, key=str(staged.pk)),
    ]
    before = AuditEvent.objects.count()

    answer = post(to, noun, token, *sent)

    assert answer.status_code == 200
    assert answer.json()["accepted"] == 0
    assert [(each["id"], each["field"]) for each in answer.json()["refused"]] == [
        (sent[0]["id"], "key"),
        (sent[1]["id"], "key"),
        (sent[2]["id"], "workflow"),
        (sent[3]["id"], "environment"),
        (sent[4]["id"], "environment"),
        (sent[5]["id"], "key"),
    ]
    assert stored() == (0, 0, 0)
    assert AuditEvent.objects.count() == before + 1  # that the key was seen for the first time


@BOTH
def test_good_records_beside_bad_ones_count(shop: tuple[Site, str, str], to: str, noun: str) -> None:
    site, key, token = shop
    answer = post(to, noun, token, made(site, to), made(site, to, key=key)).json()
    assert (answer["accepted"], len(answer["refused"])) == (1, 1)


@BOTH
def test_a_revoked_key_reports_nothing(shop: tuple[Site, str, str], to: str, noun: str) -> None:
    site, key, token = shop
    gateways.authenticate(token)
    accounts.revoke_key(key=site.cast.workflow.keys.get(pk=key), by=site.cast.integrator)

    assert post(to, noun, token, made(site, to, key=key)).status_code == 401

    assert stored() == (0, 0, 0)
    # A gateway still may: what the application did before is owed.
    assert post(to, noun, site.credential, made(site, to, key=key)).json()["accepted"] == 1


def test_work_is_not_passed_off_as_a_measurement(shop: tuple[Site, str, str]) -> None:
    """Which the figures leave out."""
    site, key, token = shop
    record = site.decision(key=key)
    record["facts"] = record["facts"] | {"purpose": "evaluation"}
    answer = post("decisions", "decisions", token, record).json()
    assert [each["field"] for each in answer["refused"]] == ["facts.purpose"]
    assert stored() == (0, 0, 0)
