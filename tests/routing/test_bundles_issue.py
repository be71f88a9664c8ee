"""Bundles: what gateways decide by, issued when it changed, with a serial that only rises."""

import hashlib
import json
import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings as installed
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from governance import changes, registry, workflows
from governance.models import AuditEvent, Endpoint, Model
from ledger import prices
from routing import bundles, keys
from routing.keys import KeysMissingError
from routing.models import Bundle, Snapshot
from smallfirst.engine.compiled import CompiledWorkflow, SnapshotError, read_snapshot
from smallfirst.seal import open_envelope
from tests.cast import (
    BOOTSTRAP,
    approve,
    make_cast,
    make_change,
    make_document,
    make_environment,
    make_exceptions,
    make_live,
    make_standard,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]


def opened(bundle: Bundle, now: datetime) -> dict[str, object]:
    """The payload as a gateway gets to it: with the pinned root key alone."""
    root = keys.root_public_key(Path(installed.KEYS))
    raw = open_envelope(bundle.envelope.encode(), root_public_key=root, purpose="bundle", now=now)
    payload: dict[str, object] = json.loads(raw)
    return payload


def test_a_bundle_says_what_is_live() -> None:
    cast, now = make_cast(), timezone.now()
    head = make_live(cast)

    bundle = bundles.issue(cast.production, now=now)

    payload = opened(bundle, now)
    assert payload["serial"] == bundle.serial
    assert payload["requires"] == []
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
    assert event.after == {
        "serial": bundle.serial,
        "environment": str(cast.production.pk),
        "snapshot": bundle.snapshot_id,
    }


def test_standards_and_exceptions_stand_in_the_bundle_until_their_last_day() -> None:
    cast, now = make_cast(), timezone.now()
    make_live(cast)
    plain = bundles.issue(cast.production, now=now)
    assert "standards" not in json.loads(plain.snapshot.text)
    standard = make_standard(cast, guards={"models": ["lexicon", "tf-idf"]})
    for change in (standard, make_exceptions(cast, "guards.models")):
        changes.activate(change=approve(change, cast.lead), by=cast.lead)

    def held(moment: datetime) -> dict[str, tuple[str, ...]]:
        read = read_snapshot(bundles.current(cast.production, now=moment).snapshot.text.encode())
        return {each.name: each.without for each in read.workflows[str(cast.workflow.pk)].standards}

    assert held(now) == {"the organisation’s standard": ("guards.models",)}
    assert held(now + timedelta(days=30)) == {"the organisation’s standard": ("guards.models",)}
    assert held(now + timedelta(days=32)) == {"the organisation’s standard": ()}


def test_a_policy_that_is_only_watched_is_in_the_bundle_and_to_enforce_it_is_another() -> None:
    cast, now = make_cast(), timezone.now()

    def live(mode: str) -> CompiledWorkflow:
        change = changes.propose(
            workflow=cast.workflow,
            environment=cast.production,
            document=make_document(),
            title=f"To {mode}",
            note="",
            by=cast.integrator,
            mode=mode,
        )
        changes.activate(change=approve(change, cast.owner), by=cast.lead)
        text = str(opened(bundles.current(cast.production, now=now), now)["snapshot"])
        return read_snapshot(text.encode()).workflows[str(cast.workflow.id)]

    assert live("observe").watched is not None
    assert live("enforce").watched is None
    assert Bundle.objects.count() == 2


def test_nothing_changed_costs_two_queries_and_issues_nothing(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    cast, now = make_cast(), timezone.now()
    make_live(cast)
    first = bundles.current(cast.production, now=now)

    with django_assert_num_queries(2):
        again = bundles.current(cast.production, now=now + timedelta(hours=23))

    assert again == first
    assert Bundle.objects.count() == AuditEvent.objects.filter(action="bundles.issue").count() == 1


def test_an_activation_is_in_the_next_bundle_and_the_old_snapshot_stays() -> None:
    cast, now = make_cast(), timezone.now()
    make_live(cast, 0.8)
    first = bundles.current(cast.production, now=now)
    change = approve(make_change(cast, 0.6), cast.owner)
    changes.activate(change=change, by=cast.lead)

    second = bundles.current(cast.production, now=now)

    assert second.serial > first.serial
    (workflow,) = read_snapshot(second.snapshot.text.encode()).workflows.values()
    assert workflow.policy_version.number == 2
    assert Snapshot.objects.filter(digest=first.snapshot_id).exists()


def test_a_write_that_changes_no_content_issues_nothing(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    cast, now = make_cast(), timezone.now()
    make_live(cast)
    first = bundles.current(cast.production, now=now)
    workflow = cast.workflow
    workflows.edit(
        workflow=workflow,
        name="Another name",
        purpose=workflow.purpose,
        owner=workflow.owner,
        deputy=None,
        retention_days=30,
        cost_centre=None,
        people_affected="",
        rationale="",
        review_due=None,
        by=cast.lead,
    )

    assert bundles.current(cast.production, now=now) == first
    with django_assert_num_queries(2):
        assert bundles.current(cast.production, now=now) == first


def test_a_day_old_bundle_is_signed_anew() -> None:
    cast, now = make_cast(), timezone.now()
    first = bundles.current(cast.production, now=now)

    second = bundles.current(cast.production, now=now + timedelta(hours=25))

    assert second.serial > first.serial
    assert second.snapshot_id == first.snapshot_id
    assert second.expires_at > first.expires_at


def test_a_new_certificate_is_in_the_next_bundle(tmp_path: Path, installation_keys: Path, settings: Settings) -> None:
    cast, now = make_cast(), timezone.now()
    first = bundles.current(cast.production, now=now)
    settings.KEYS = tmp_path / "keys"
    shutil.copytree(installation_keys, settings.KEYS)
    (settings.KEYS / keys.SIGNING).unlink()
    keys.ensure(settings.KEYS, now=now)

    second = bundles.current(cast.production, now=now)

    assert second.serial > first.serial
    opened(second, now)


def test_serials_rise_by_the_clock_and_over_a_clock_that_went_back() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert bundles.next_serial(None, now) == int(now.timestamp())
    assert bundles.next_serial(int(now.timestamp()), now) == int(now.timestamp()) + 1
    assert bundles.next_serial(int(now.timestamp()) + 500, now) == int(now.timestamp()) + 501


def test_a_price_is_in_the_bundle_from_its_first_second_on() -> None:
    cast, now = make_cast(), timezone.now()
    endpoint = Endpoint.objects.get(version__model__name="lexicon")
    begins = now + timedelta(hours=1)
    prices.set_own_price(
        endpoint=endpoint,
        input=Decimal("0.1000"),
        output=Decimal(2),
        cache_read=None,
        cache_write=None,
        currency="USD",
        valid_from=begins,
        by=cast.finance,
    )

    before = bundles.current(cast.production, now=begins - timedelta(seconds=1))
    after = bundles.current(cast.production, now=begins)

    assert read_snapshot(before.snapshot.text.encode()).rates == {}
    assert json.loads(after.snapshot.text)["prices"] == [
        {
            "endpoint": str(endpoint.id),
            "currency": "USD",
            "input": "0.1",
            "output": "2",
            "cache_read": None,
            "cache_write": None,
        }
    ]


def test_retired_and_closed_things_leave_the_bundle() -> None:
    cast, now = make_cast(), timezone.now()
    make_live(cast)
    registry.close_endpoint(endpoint=Endpoint.objects.get(version__model__name="smollm2"), reason="moved", by=cast.lead)
    workflows.retire(workflow=cast.workflow, reason="done", by=cast.lead)

    snapshot = read_snapshot(bundles.current(cast.production, now=now).snapshot.text.encode())

    assert snapshot.workflows == {}
    assert snapshot.served["smollm2"] == ()
    assert len(snapshot.served["lexicon"]) == 1


def test_of_a_providers_secret_only_the_reference_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    cast, now = make_cast(), timezone.now()
    monkeypatch.setenv("PROVIDER_KEY", "the-secret-itself")
    registry.add_endpoint(
        version=cast.models[0].versions.get(),
        provider=Endpoint.objects.all()[0].provider,
        environment=cast.production,
        url="https://provider.example/v1",
        upstream_model="lexicon-1",
        region="eu",
        hosting="hosted",
        secret="env:PROVIDER_KEY",
        by=BOOTSTRAP,
    )

    bundle = bundles.issue(cast.production, now=now)

    assert "env:PROVIDER_KEY" in bundle.snapshot.text
    assert "the-secret-itself" not in bundle.envelope


def test_another_environment_has_a_bundle_of_its_own() -> None:
    cast, now = make_cast(), timezone.now()
    make_live(cast)
    staging = make_environment("staging")

    bundle = bundles.issue(staging, now=now)

    snapshot = read_snapshot(bundle.snapshot.text.encode())
    assert (snapshot.workflows, snapshot.endpoints) == ({}, {})
    assert not Bundle.objects.filter(environment=cast.production).exists()


def test_rows_the_engine_cannot_read_reach_no_gateway() -> None:
    cast, now = make_cast(), timezone.now()
    first = bundles.current(cast.production, now=now)
    Model.objects.filter(name="lexicon").update(licence="a line\nbreak")

    with pytest.raises(SnapshotError, match="models"):
        bundles.current(cast.production, now=now)

    assert list(Bundle.objects.all()) == [first]
    assert Snapshot.objects.count() == 1


def test_without_keys_nothing_is_written(tmp_path: Path, settings: Settings) -> None:
    cast = make_cast()
    settings.KEYS = tmp_path

    with pytest.raises(KeysMissingError, match="bootstrap"):
        bundles.issue(cast.production, now=timezone.now())

    assert not Bundle.objects.exists()
    assert not Snapshot.objects.exists()


@pytest.mark.parametrize("change", [{"serial": 1}, {"envelope": "{}"}, {"digest": "0" * 64}])
def test_an_issued_bundle_is_never_changed(change: dict[str, object]) -> None:
    cast, now = make_cast(), timezone.now()
    bundle = bundles.issue(cast.production, now=now)

    with pytest.raises(IntegrityError), transaction.atomic():
        Bundle.objects.filter(pk=bundle.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        Snapshot.objects.filter(pk=bundle.snapshot_id).update(text="{}")
    with pytest.raises(IntegrityError), transaction.atomic():
        Bundle.objects.filter(pk=bundle.pk).delete()
