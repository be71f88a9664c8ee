"""What an API key is sent: its environment's bundle and state with its own workflow and key alone."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from governance import accounts, changes, registry, stops, workflows
from governance.models import ApiKey, AuditEvent, Environment, PolicyHead, Workflow
from routing import keys, states
from routing.models import Bundle, Snapshot, StateFeed
from smallfirst.documents import BundlePayload, StatePayload
from smallfirst.engine import Facts, Signals, State, plan, read_snapshot
from smallfirst.seal import open_envelope
from tests.cast import (
    Cast,
    approve,
    make_cast,
    make_change,
    make_document,
    make_key,
    make_live,
    make_model,
    make_provider,
    make_standard,
    make_workflow,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]

BOTH = pytest.mark.parametrize("path", ["bundle", "state"])


@dataclass(frozen=True)
class Site:
    """The cast with a live policy and its key, and another workflow with its own."""

    cast: Cast
    key: ApiKey
    token: str
    other: Workflow
    other_token: str


@pytest.fixture
def site() -> Site:
    """As it says."""
    cast = make_cast()
    make_live(cast)
    key, token = make_key(cast)
    other = make_workflow(cast.team, cast.owner, slug="secret-plans")
    go_live(cast, other, "the other team's own title")
    _, other_token = accounts.create_key(workflow=other, environment=cast.production, name="Other", by=cast.integrator)
    return Site(cast, key, token, other, other_token)


def go_live(cast: Cast, workflow: Workflow, title: str) -> PolicyHead:
    """A live policy of a workflow."""
    document = make_document(0.7)
    document["steps"][0]["review"]["title"] = title
    change = changes.propose(
        workflow=workflow, environment=cast.production, document=document, title="First", note="",
        by=cast.integrator, mode="enforce",
    )  # fmt: skip
    changes.activate(change=approve(change, cast.owner), by=cast.lead)
    return PolicyHead.objects.get(workflow=workflow)


def get(client: Client, path: str, token: str, etag: str = "") -> Any:
    """The answer to a poll."""
    headers = {"Authorization": f"Bearer {token}"} | ({"If-None-Match": etag} if etag else {})
    return client.get(f"/api/v1/{path}", headers=headers)


def opened(answer: Any, path: str) -> Any:
    """The payload as an application reads it, with the pinned root key alone."""
    root = keys.root_public_key(Path(settings.KEYS))
    raw = open_envelope(answer.content, root_public_key=root, purpose=path, now=timezone.now())  # type: ignore[arg-type]
    return msgspec.json.decode(raw, type=BundlePayload if path == "bundle" else StatePayload)


def test_a_bundle_holds_the_keys_workflow_alone_and_is_kept_for_replays(site: Site, client: Client) -> None:
    answer = get(client, "bundle", site.token)

    payload = opened(answer, "bundle")
    whole = Bundle.objects.get()
    assert (payload.serial, payload.issued_at) == (whole.serial, whole.issued_at)
    snapshot = read_snapshot(payload.snapshot.encode())
    assert list(snapshot.workflows) == [str(site.cast.workflow.pk)]
    assert Snapshot.objects.get(digest=payload.digest).text == payload.snapshot
    for secret in (str(site.other.pk), "secret-plans", "the other team"):
        assert secret in whole.envelope
        assert secret not in answer.content.decode()


def test_a_key_is_not_sent_the_standards_of_other_teams(site: Site, client: Client) -> None:
    cast = site.cast
    for team in (None, cast.team, cast.elsewhere):
        change = make_standard(cast, team=team, guards={"max_latency_ms": 60_000})
        changes.activate(change=approve(change, cast.lead), by=cast.lead)

    sent = opened(get(client, "bundle", site.token), "bundle").snapshot

    names = [each["name"] for each in msgspec.json.decode(sent)["standards"]]
    assert names == ["the organisation’s standard", "the standard of Customer care"]


def test_the_narrowed_bundle_decides_as_the_whole_one(site: Site, client: Client) -> None:
    narrow = read_snapshot(opened(get(client, "bundle", site.token), "bundle").snapshot.encode())
    whole = read_snapshot(Bundle.objects.get().snapshot.text.encode())
    for model in ("auto", "lexicon", "smollm2", "unknown"):
        facts = Facts(workflow=str(site.cast.workflow.pk), step="sentiment", model=model)
        assert plan(facts, Signals(), State(), narrow) == plan(facts, Signals(), State(), whole)


def test_a_state_holds_the_key_alone(site: Site, client: Client) -> None:
    retired = make_workflow(site.cast.team, site.cast.owner, slug="retired")
    workflows.retire(workflow=retired, reason="done", by=site.cast.lead)
    spare = make_model("spare", "small", site.cast.owner, site.cast.team, make_provider("spare"), site.cast.production)
    registry.retire(model=spare, reason="old", by=site.cast.lead)

    stops.begin(reason="somebody is inside", by=site.cast.lead)

    payload = opened(get(client, "state", site.token), "state")

    whole = StateFeed.objects.get()
    assert payload.stops.everything
    assert (payload.serial, payload.issued_at) == (whole.serial, whole.issued_at)
    (only,) = payload.keys
    assert (only.id, only.workflow) == (str(site.key.pk), str(site.cast.workflow.pk))
    assert payload.stops.models == (str(spare.pk),)
    assert payload.stops.workflows == ()
    assert str(retired.pk) in whole.envelope


@BOTH
def test_an_unchanged_document_is_not_sent_again(site: Site, client: Client, path: str) -> None:
    first = get(client, path, site.token)
    again = get(client, path, site.token, first["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert get(client, path, site.other_token, first["ETag"]).status_code == 200


@BOTH
def test_304_costs_four_queries_and_for_a_state_three(
    site: Site, client: Client, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    etag = get(client, path, site.token)["ETag"]
    # The first time it is noted which bundle the instance holds.
    get(client, path, site.token, etag)
    with django_assert_num_queries(4 if path == "bundle" else 3):
        get(client, path, site.token, etag)


def test_serials_rise_with_those_of_the_environment(site: Site, client: Client) -> None:
    first = opened(get(client, "bundle", site.token), "bundle")
    changes.activate(change=approve(make_change(site.cast, 0.6), site.cast.owner), by=site.cast.lead)
    second = opened(get(client, "bundle", site.token), "bundle")
    assert second.serial > first.serial
    assert second.digest != first.digest
    assert get(client, "state", site.token).json()["payload"].count('"serial"') == 1


def test_what_changes_elsewhere_stores_no_further_snapshot(site: Site, client: Client) -> None:
    first = opened(get(client, "bundle", site.token), "bundle")
    go_live(site.cast, site.other, "another title")
    stored = Snapshot.objects.count()

    second = opened(get(client, "bundle", site.token), "bundle")

    assert second.serial > first.serial
    assert second.digest == first.digest
    assert Snapshot.objects.count() == stored + 1  # the environment's own


def test_sending_is_no_governed_act_and_stores_no_bundle(site: Site, client: Client) -> None:
    get(client, "bundle", site.token)
    before = AuditEvent.objects.count()
    get(client, "bundle", site.other_token)
    get(client, "state", site.other_token)
    acts = list(AuditEvent.objects.order_by("at", "id").values_list("action", flat=True)[before:])
    assert acts == ["gateways.register"]
    assert Bundle.objects.count() == 1


@BOTH
@pytest.mark.parametrize("end", ["key", "workflow"])
def test_what_ended_is_turned_away(site: Site, client: Client, path: str, end: str) -> None:
    assert get(client, path, site.token).status_code == 200
    if end == "key":
        accounts.revoke_key(key=site.key, by=site.cast.integrator)
    else:
        workflows.retire(workflow=site.cast.workflow, reason="done", by=site.cast.lead)
    answer = get(client, path, site.token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert get(client, path, site.other_token).status_code == 200


def test_a_key_revoked_between_two_queries_is_in_no_state(site: Site, client: Client) -> None:
    """Let in a moment before; the document is of the moment after."""
    accounts.revoke_key(key=site.key, by=site.cast.integrator)
    environment = Environment.objects.get(pk=site.cast.production.pk)
    issued = states.current(environment, now=timezone.now() + timedelta(seconds=1))
    assert str(site.key.pk) not in issued.envelope


def test_a_workflow_without_a_live_policy_is_sent_an_empty_bundle(site: Site, client: Client) -> None:
    bare = make_workflow(site.cast.team, site.cast.owner, slug="bare")
    _, token = accounts.create_key(
        workflow=bare, environment=site.cast.production, name="Bare", by=site.cast.integrator
    )
    payload = opened(get(client, "bundle", token), "bundle")
    assert read_snapshot(payload.snapshot.encode()).workflows == {}
