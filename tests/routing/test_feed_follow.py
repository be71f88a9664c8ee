"""The gateway's own feed against the real web process: what was approved and revoked is there at the next poll."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from governance import accounts, changes, gateways
from governance.accounts import token_sha256
from routing import bundles, keys
from routing.models import Bundle
from smallfirst.gateway.control import ControlPlane
from smallfirst.gateway.feed import Feed
from smallfirst.instances import kept_name
from smallfirst.loops import play
from tests.cast import BOOTSTRAP, approve, make_cast, make_change, make_key, make_live
from tests.conftest import LiveDatabase

pytestmark = pytest.mark.usefixtures("installation_keys")


def polled(site: str, credential: str, directory: Path) -> Feed:
    """A gateway's feed after it read its disk and polled once."""
    (directory / "credential").write_text(credential)

    async def run() -> Feed:
        control = ControlPlane(url=site, credential_file=directory / "credential", name=kept_name(directory))
        async with control:
            feed = Feed(
                control=control,
                root_key=keys.root_public_key(Path(settings.KEYS)),
                directory=directory,
                bundle_seconds=2,
                state_seconds=1,
            )
            feed.start_from_disk()
            await feed.poll()
            return feed

    return play(run())


def test_a_gateway_follows_what_people_decide(live_database: LiveDatabase, live_site: str, tmp_path: Path) -> None:
    cast = make_cast()
    make_live(cast, 0.8)
    key, token = make_key(cast)
    _, credential = gateways.register(name="Near the shop", environment=cast.production, by=BOOTSTRAP)

    first = polled(live_site, credential, tmp_path)

    assert first.bundle.value is not None
    assert first.state.value is not None
    (workflow,) = first.bundle.value.snapshot.workflows.values()
    assert (workflow.id, workflow.policy_version.number) == (str(cast.workflow.id), 1)
    assert first.state.value.keys[token_sha256(token)].workflow == str(cast.workflow.id)

    changes.activate(change=approve(make_change(cast, 0.6), cast.owner), by=cast.lead)
    accounts.revoke_key(key=key, reason="lost", by=cast.integrator)
    second = polled(live_site, credential, tmp_path)

    assert second.bundle.value is not None
    assert second.state.value is not None
    (workflow,) = second.bundle.value.snapshot.workflows.values()
    assert workflow.policy_version.number == 2
    assert second.state.value.keys == {}
    assert second.bundle.refusal is second.state.refusal is None


def test_a_gateway_keeps_what_it_has_when_an_older_bundle_is_offered(
    live_database: LiveDatabase, live_site: str, tmp_path: Path
) -> None:
    """The control plane forgot the newest one, as it does when its database is restored from a copy."""
    cast = make_cast()
    make_live(cast, 0.8)
    _, credential = gateways.register(name="Near the shop", environment=cast.production, by=BOOTSTRAP)
    with transaction.atomic():
        newer = bundles.issue(cast.production, now=timezone.now() + timedelta(minutes=10))
        transaction.set_rollback(True)
    (tmp_path / "bundle.json").write_text(newer.envelope)

    feed = polled(live_site, credential, tmp_path)

    assert Bundle.objects.get().serial < newer.serial
    assert feed.bundle.value is not None
    assert feed.bundle.value.payload.serial == newer.serial
    assert feed.bundle.refusal is not None
    assert feed.bundle.refusal.cause == "older_serial"
    assert (tmp_path / "bundle.json").read_text() == newer.envelope
