"""A bundle brings the proof that the audit log holds its issue, once that is sealed; gateways believe nothing else."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from governance import gateways, seals
from governance.models import AuditCheckpoint, AuditEvent
from routing import bundles, keys
from routing.models import Bundle, Instance
from smallfirst import proofs
from smallfirst.documents import BundlePayload
from smallfirst.seal import Envelope
from tests.at_once import at_once
from tests.cast import BOOTSTRAP, Cast, make_cast, make_key, make_live
from tests.conftest import LiveDatabase

pytestmark = pytest.mark.usefixtures("installation_keys")
KEYS = Path(settings.KEYS)


def seal() -> int:
    """Let the sealer do its work."""
    return seals.seal(keys=KEYS, now=timezone.now())


def gateway_of(cast: Cast) -> dict[str, str]:
    """The headers of a new gateway of production."""
    _, credential = gateways.register(name="Near the shop", environment=cast.production, by=BOOTSTRAP)
    return {"Authorization": f"Bearer {credential}"}


def finding(raw: bytes) -> str:
    """What a gateway finds that pins this installation's key."""
    payload = msgspec.json.decode(msgspec.json.decode(raw, type=Envelope).payload, type=BundlePayload)
    return proofs.check(proofs.attached(raw), payload, proofs.read_keys(keys.audit_public_key(KEYS)))


def test_a_gateway_is_sent_the_bundle_again_with_its_proof(live_database: LiveDatabase, client: Client) -> None:
    cast = make_cast()
    make_live(cast)
    asks = gateway_of(cast)
    first = client.get("/api/v1/bundle", headers=asks)
    assert finding(first.content) == "missing"
    assert client.get("/api/v1/bundle", headers=asks | {"If-None-Match": first["ETag"]}).status_code == 304

    seal()
    second = client.get("/api/v1/bundle", headers=asks | {"If-None-Match": first["ETag"]})

    assert second.status_code == 200
    assert finding(second.content) == "proved"
    assert second.json() | {"proof": None} == first.json() | {"proof": None}
    third = client.get("/api/v1/bundle", headers=asks | {"If-None-Match": second["ETag"]})
    assert (third.status_code, third["ETag"]) == (304, second["ETag"])
    assert Instance.objects.get().held == Bundle.objects.get().serial


def test_the_issue_of_a_bundle_is_signed_at_once(live_database: LiveDatabase) -> None:
    cast = make_cast()
    make_live(cast)
    seal()
    before = AuditCheckpoint.objects.count()
    bundles.issue(cast.production, now=timezone.now() + timedelta(days=2))
    seal()
    assert AuditCheckpoint.objects.count() == before + 1


def test_the_key_that_auditors_hold_proves_it_too(live_database: LiveDatabase) -> None:
    cast = make_cast()
    make_live(cast)
    bundle = bundles.current(cast.production, now=timezone.now())
    seal()
    assert bundles.prove(bundle)
    raw = bundles.sent(bundle)
    payload = msgspec.json.decode(msgspec.json.decode(raw, type=Envelope).payload, type=BundlePayload)
    whole = seals.verification_key(KEYS)
    assert whole
    assert proofs.check(proofs.attached(raw), payload, proofs.read_keys(whole)) == "proved"


def test_the_entry_that_travels_says_nothing_of_who_asked(live_database: LiveDatabase, client: Client) -> None:
    cast = make_cast()
    make_live(cast)
    client.get("/api/v1/bundle", headers=gateway_of(cast), REMOTE_ADDR="10.1.2.3")
    event = AuditEvent.objects.get(action="bundles.issue")
    assert (event.ip, event.request_id, event.auth_method) == (None, None, None)


def test_an_api_key_gets_its_own_bundle_without_a_proof(live_database: LiveDatabase, client: Client) -> None:
    cast = make_cast()
    make_live(cast)
    _, token = make_key(cast)
    asks = {"Authorization": f"Bearer {token}"}
    first = client.get("/api/v1/bundle", headers=asks)
    seal()
    second = client.get("/api/v1/bundle", headers=asks | {"If-None-Match": first["ETag"]})
    assert (first.status_code, second.status_code) == (200, 304)
    assert "proof" not in first.json()


def test_many_who_prove_a_bundle_keep_one_proof(live_database: LiveDatabase) -> None:
    cast = make_cast()
    make_live(cast)
    issued = bundles.current(cast.production, now=timezone.now())
    seal()

    def prove() -> str:
        found = bundles.current(cast.production, now=timezone.now())
        assert bundles.prove(found)
        return found.proof

    found: list[Any] = at_once(*[prove] * 6)
    assert len(set(found)) == 1
    assert found[0]
    issued.refresh_from_db()
    assert issued.proof == found[0]


def test_a_proof_stays_as_the_log_grows_and_nobody_takes_it_back(live_database: LiveDatabase) -> None:
    cast = make_cast()
    make_live(cast)
    bundle = bundles.current(cast.production, now=timezone.now())
    seal()
    assert bundles.prove(bundle)
    kept = bundle.proof
    make_live(cast, 0.5)
    seal()
    unread = Bundle(pk=bundle.pk)
    assert bundles.prove(unread)
    assert unread.proof == kept
    for other in ("", "{}"):
        with pytest.raises(IntegrityError, match="a bundle keeps its proof"), transaction.atomic():
            Bundle.objects.filter(pk=bundle.pk).update(proof=other)
    bundle.refresh_from_db()
    assert bundle.proof == kept
    assert finding(bundles.sent(bundle)) == "proved"
