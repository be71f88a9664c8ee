"""Bundles: what gateways decide by, issued when it changed, with a serial that only rises."""

import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from governance import registry, workflows
from governance.models import AuditEvent, Endpoint, Environment, PolicyHead
from routing import bundles, keys
from routing.models import Bundle, Snapshot
from smallfirst.engine.compiled import read_snapshot
from smallfirst.seal import open_envelope
from tests.cast import BOOTSTRAP, make_cast, make_live

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]


def opened(bundle: Bundle, now: datetime) -> dict[str, object]:
    """The payload as a gateway gets to it: with the pinned root key alone."""
    root = keys.root_public_key(Path(settings.KEYS))
    raw = open_envelope(bundle.envelope.encode(), root_public_key=root, purpose="bundle", now=now)
    payload: dict[str, object] = json.loads(raw)
    return payload


def test_a_bundle_says_what_is_live() -> None:
    cast, now = make_cast(), timezone.now()
    head = make_live(cast)

    bundle = bundles.issue(cast.production, now=now)

    payload = opened(bundle, now)
    assert payload["serial"] == bundle.serial
    assert payload["environment"] == {"id": str(cast.production.id), "name": "production"}
    text = str(payload["snapshot"])
    assert payload["digest"] == hashlib.sha256(text.encode()).hexdigest() == Snapshot.objects.get().digest
    snapshot = read_snapshot(text.encode())
    assert set(snapshot.models) == {"lexicon", "tf-idf", "smollm2"}
    (workflow,) = snapshot.workflows.values()
    assert workflow.id == str(cast.workflow.id)
    assert workflow.policy_version.id == str(head.version_id)
    event = AuditEvent.objects.about(bundle).get()
    assert (event.action, event.actor_name) == ("bundles.issue", "bundles")
    assert event.after == {"serial": bundle.serial, "snapshot": bundle.snapshot_id}
