"""Gateways: registered by administrators, known by a hash alone, turned away once revoked."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from governance import accounts, gateways
from governance.accounts import NotPermitted
from governance.errors import InvalidInput
from governance.models import AuditEvent, Gateway
from tests.cast import BOOTSTRAP, Cast, make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody."""
    return make_cast()


def test_a_gateway_is_registered_and_let_in_by_its_credential(cast: Cast) -> None:
    gateway, credential = gateways.register(name="Shop floor", environment=cast.production, by=cast.admin)

    assert credential.startswith("sfg_")
    assert gateways.authenticate(credential) == gateway
    assert (gateway.environment, gateway.created_by) == (cast.production, cast.admin)
    event = AuditEvent.objects.about(gateway).get()
    assert (event.action, event.actor_name) == ("gateways.register", "Admin")


def test_the_credential_is_kept_nowhere(cast: Cast) -> None:
    gateway, credential = gateways.register(name="Shop floor", environment=cast.production, by=BOOTSTRAP)

    row = Gateway.objects.values().get()
    assert credential not in str(row)
    assert gateway.sha256 == accounts.token_sha256(credential)
    events = AuditEvent.objects.values()
    assert credential not in str(list(events))
    assert gateway.sha256 not in str(list(events))


@pytest.mark.parametrize("who", ["lead", "owner", "reviewer", "finance", "integrator", "auditor", "stranger"])
def test_only_administrators_register_and_revoke(cast: Cast, who: str) -> None:
    gateway, credential = gateways.register(name="Shop floor", environment=cast.production, by=cast.admin)

    with pytest.raises(NotPermitted):
        gateways.register(name="Another", environment=cast.production, by=cast.people[who])
    with pytest.raises(NotPermitted):
        gateways.revoke(gateway=gateway, by=cast.people[who])

    assert gateways.authenticate(credential) == gateway
    assert Gateway.objects.count() == AuditEvent.objects.filter(action__startswith="gateways.").count() == 1


@pytest.mark.parametrize(
    ("name", "field"), [("Shop floor", "name"), ("", "name"), ("x" * 121, "name"), ("a\x00", "name")]
)
def test_a_name_out_of_form_or_in_use_is_refused(cast: Cast, name: str, field: str) -> None:
    gateways.register(name="Shop floor", environment=cast.production, by=cast.admin)

    with pytest.raises(InvalidInput) as refused:
        gateways.register(name=name, environment=cast.production, by=cast.admin)

    assert refused.value.field == field
    assert Gateway.objects.count() == 1


def test_a_revoked_gateway_is_turned_away_and_stays_revoked(cast: Cast) -> None:
    gateway, credential = gateways.register(name="Shop floor", environment=cast.production, by=cast.admin)

    gateways.revoke(gateway=gateway, by=cast.admin, reason="stolen")

    assert gateways.authenticate(credential) is None
    held = Gateway.objects.get()
    assert held.revoked_by == cast.admin
    event = AuditEvent.objects.get(action="gateways.revoke")
    assert event.reason == "stolen"
    with pytest.raises(InvalidInput, match="revoked already"):
        gateways.revoke(gateway=gateway, by=cast.admin)
    assert Gateway.objects.get().revoked_at == held.revoked_at


def test_no_other_text_is_a_credential(cast: Cast) -> None:
    gateway, credential = gateways.register(name="Shop floor", environment=cast.production, by=cast.admin)
    for other in ("", "sfg_", "sf_", gateway.sha256, credential[:-1], credential.upper(), f" {credential}"):
        assert gateways.authenticate(other) is None


def test_being_seen_is_noted_now_and_then_and_is_no_governed_act(cast: Cast) -> None:
    _, credential = gateways.register(name="Shop floor", environment=cast.production, by=cast.admin)
    long_ago = timezone.now() - timedelta(hours=1)
    Gateway.objects.update(last_seen_at=long_ago)
    before = AuditEvent.objects.count()

    gateways.authenticate(credential)

    seen = Gateway.objects.get().last_seen_at
    assert seen is not None
    assert seen > long_ago
    gateways.authenticate(credential)
    assert Gateway.objects.get().last_seen_at == seen
    assert AuditEvent.objects.count() == before


def test_the_database_lets_no_gateway_change_hands_or_vanish(cast: Cast) -> None:
    gateway, _ = gateways.register(name="Shop floor", environment=cast.production, by=cast.admin)

    for change in ({"name": "Other"}, {"sha256": "0" * 64}):
        with pytest.raises(DatabaseError, match="rows keep their"), transaction.atomic():
            Gateway.objects.update(**change)
    with pytest.raises(DatabaseError, match="never deleted"), transaction.atomic():
        gateway.delete()
    assert Gateway.objects.get() == gateway
