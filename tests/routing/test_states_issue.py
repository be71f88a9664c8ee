"""The state feed: keys and stops, signed every half minute and at once when they change."""

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from django.conf import settings as installed
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from governance import accounts, registry, stops, workflows
from governance.models import ApiKey, AuditEvent, Endpoint
from routing import keys, states
from routing.models import StateFeed
from smallfirst.documents import StatePayload
from smallfirst.seal import SealError, open_envelope
from tests.cast import BOOTSTRAP, make_cast, make_environment, make_key, make_model, make_provider, make_workflow

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]


def opened(state: StateFeed, now: datetime) -> StatePayload:
    """The payload as a gateway reads it, with the pinned root key alone."""
    root = keys.root_public_key(Path(installed.KEYS))
    raw = open_envelope(state.envelope.encode(), root_public_key=root, purpose="state", now=now)
    return msgspec.json.decode(raw, type=StatePayload)


def test_a_state_names_the_keys_of_its_environment() -> None:
    cast, now = make_cast(), timezone.now()
    key, token = make_key(cast)
    staging = make_environment("staging")
    accounts.create_key(workflow=cast.workflow, environment=staging, name="Elsewhere", by=BOOTSTRAP)

    state = states.issue(cast.production, now=now)

    payload = opened(state, now)
    assert (payload.serial, payload.environment) == (state.serial, str(cast.production.id))
    (only,) = payload.keys
    assert (only.id, only.workflow) == (str(key.id), str(cast.workflow.id))
    assert only.sha256 == accounts.token_sha256(token)
    assert token not in state.envelope
    assert payload.expires_at == now + states.LIFE


@pytest.mark.parametrize("purpose", [ApiKey.Purpose.TRIAL, ApiKey.Purpose.EVALUATION])
def test_a_key_of_our_own_says_what_it_is_for(purpose: ApiKey.Purpose) -> None:
    cast, now = make_cast(), timezone.now()
    make_key(cast)
    own, _token = accounts.own_key(workflow=cast.workflow, environment=cast.production, purpose=purpose, by=cast.lead)

    payload = opened(states.issue(cast.production, now=now), now)

    assert {key.id: key.purpose for key in payload.keys}[str(own.id)] == purpose
    assert sorted(key.purpose for key in payload.keys) == ["application", purpose]


def test_nothing_changed_costs_two_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    cast, now = make_cast(), timezone.now()
    make_key(cast)
    first = states.current(cast.production, now=now)

    with django_assert_num_queries(2):
        again = states.current(cast.production, now=now + timedelta(seconds=29))

    assert again.serial == first.serial


def test_half_a_minute_later_it_is_signed_anew() -> None:
    cast, now = make_cast(), timezone.now()
    first = states.current(cast.production, now=now)

    second = states.current(cast.production, now=now + timedelta(seconds=31))

    assert second.serial > first.serial
    assert second.digest == first.digest
    assert StateFeed.objects.count() == 1


def test_a_revoked_key_is_gone_from_the_next_state() -> None:
    cast, now = make_cast(), timezone.now()
    key, _ = make_key(cast)
    first = states.current(cast.production, now=now)
    accounts.revoke_key(key=key, reason="lost", by=cast.integrator)

    second = states.current(cast.production, now=now)

    assert second.serial > first.serial
    assert opened(second, now).keys == ()


def test_what_left_service_is_stopped() -> None:
    cast, now = make_cast(), timezone.now()
    make_key(cast)
    other = make_workflow(cast.team, cast.owner, slug="other")
    spare = make_model("spare", "small", cast.owner, cast.team, make_provider("spare"), cast.production)
    registry.retire(model=spare, reason="old", by=cast.lead)
    closed = Endpoint.objects.get(version__model__name="smollm2")
    registry.close_endpoint(endpoint=closed, reason="moved", by=cast.lead)
    workflows.retire(workflow=other, reason="done", by=cast.lead)

    told = opened(states.current(cast.production, now=now), now).stops

    assert told.models == (str(spare.id),)
    assert told.endpoints == (str(closed.id),)
    assert told.workflows == (str(other.id),)


def test_a_stop_is_sent_at_once_and_leaves_with_its_lifting() -> None:
    cast, now = make_cast(), timezone.now()
    make_key(cast)
    before = states.current(cast.production, now=now)
    model = cast.models[0]
    made = [
        stops.begin(workflow=cast.workflow, reason="wrong answers", by=cast.owner),
        stops.begin(model=model, reason="recalled", by=cast.lead),
    ]

    sent = states.current(cast.production, now=now)
    told = opened(sent, now).stops
    assert sent.serial > before.serial
    assert (told.workflows, told.models, told.everything) == ((str(cast.workflow.pk),), (str(model.pk),), False)

    made.append(stops.begin(reason="somebody is inside", by=cast.lead))
    assert opened(states.current(cast.production, now=now), now).stops.everything

    for stop in made:
        stops.lift(stop=stop, reason="mended", by=cast.lead)
    told = opened(states.current(cast.production, now=now), now).stops
    assert (told.workflows, told.models, told.everything) == ((), (), False)


def test_what_is_stopped_is_never_crowded_out_by_what_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "MOST_STOPS", 1)
    cast, now = make_cast(), timezone.now()
    other = make_workflow(cast.team, cast.owner, slug="other")
    workflows.retire(workflow=other, reason="done", by=cast.lead)
    stops.begin(workflow=cast.workflow, reason="wrong answers", by=cast.owner)
    assert opened(states.current(cast.production, now=now), now).stops.workflows == (str(cast.workflow.pk),)


def test_keys_of_a_retired_workflow_are_not_let_in() -> None:
    cast, now = make_cast(), timezone.now()
    make_key(cast)
    workflows.retire(workflow=cast.workflow, reason="done", by=cast.lead)
    assert opened(states.current(cast.production, now=now), now).keys == ()


def test_a_state_is_no_bundle() -> None:
    cast, now = make_cast(), timezone.now()
    state = states.issue(cast.production, now=now)
    root = keys.root_public_key(Path(installed.KEYS))
    with pytest.raises(SealError) as refused:
        open_envelope(state.envelope.encode(), root_public_key=root, purpose="bundle", now=now)
    assert refused.value.cause == "wrong_purpose"


def test_signing_a_state_is_no_governed_act() -> None:
    cast, now = make_cast(), timezone.now()
    before = AuditEvent.objects.count()
    states.issue(cast.production, now=now)
    assert AuditEvent.objects.count() == before


def test_the_serial_of_a_state_never_goes_back() -> None:
    cast, now = make_cast(), timezone.now()
    state = states.issue(cast.production, now=now)
    with pytest.raises(IntegrityError, match="rises"), transaction.atomic():
        StateFeed.objects.update(serial=state.serial - 1)
    with pytest.raises(IntegrityError, match="rises"), transaction.atomic():
        StateFeed.objects.update(envelope="{}")
