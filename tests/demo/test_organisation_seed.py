"""Harbour & Vale, made by the product's verbs: once, whatever is repeated, and whole in every row that a page shows."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from config import state as places
from demo import organisation, processes
from demo.people import BOOTSTRAP, PEOPLE
from demo.recorded import world
from demo.register import Servers
from governance import accounts, registry
from governance.models import (
    ApiKey,
    AuditEvent,
    Change,
    Endpoint,
    Environment,
    Grant,
    Model,
    PolicyHead,
    User,
    Workflow,
)
from ledger import prices
from ledger.models import Baseline
from routing import bundles
from smallfirst.engine import read_snapshot

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]


def seed(state: Path, port: int = 8011) -> None:
    """What `up` does at every start."""
    if not Environment.objects.filter(name="production").exists():
        registry.add_environment(name="production", votes_needed=1, position=1, by=BOOTSTRAP)
    servers = Servers(f"http://127.0.0.1:{port}/v1", f"http://127.0.0.1:{port + 1}/v1")
    organisation.seed(state=state, servers=servers, gateway_url="http://127.0.0.1:8001", now=timezone.now())


def counted() -> dict[str, int]:
    """How many rows there are of what it makes."""
    tables: tuple[Any, ...] = (User, Grant, Workflow, Change, Model, Endpoint, ApiKey, Baseline, AuditEvent)
    return {table.__name__: table._default_manager.count() for table in tables}


def test_five_workflows_of_different_risk_and_mode_are_whole(tmp_path: Path) -> None:
    seed(tmp_path)
    live = {
        head.workflow.slug: (
            str(head.workflow.risk),
            str(head.workflow.data_class),
            str(head.mode),
            head.environment.name,
        )
        for head in PolicyHead.objects.select_related("workflow", "environment")
    }
    assert live == {
        "customer-feedback": ("limited", "internal", "enforce", "production"),
        "message-screen": ("high", "confidential", "enforce", "production"),
        "social-listening": ("minimal", "public", "observe", "production"),
        "staff-assistant": ("limited", "internal", "enforce", "recorded"),
        "refund-sums": ("high", "confidential", "enforce", "recorded"),
    }
    for workflow in Workflow.objects.select_related("owner", "deputy"):
        assert workflow.deputy
        assert workflow.deputy != workflow.owner
        for field in ("people_affected", "rationale", "cost_centre", "regions", "retention_days", "review_due"):
            assert getattr(workflow, field), (workflow.slug, field)
        assert [step.name for step in workflow.steps.order_by("position")] == [
            name for name, _purpose in next(each for each in processes.ALL if each.slug == workflow.slug).steps
        ]


def test_every_policy_was_proposed_by_one_and_approved_by_another(tmp_path: Path) -> None:
    seed(tmp_path)
    changes = Change.objects.select_related("proposed_by", "revision")
    assert {str(change.state) for change in changes} == {"applied"}
    assert len(changes) == len(processes.ALL)
    for change in changes:
        [vote] = change.revision.votes.select_related("voter")
        assert (vote.choice, vote.digest) == ("approve", change.revision.payload_digest)
        assert vote.voter != change.proposed_by


def test_a_later_start_makes_nothing_again(tmp_path: Path) -> None:
    seed(tmp_path)
    before, files = counted(), {path.name: path.read_text() for path in tmp_path.iterdir()}
    seed(tmp_path)
    assert counted() == before
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_models_are_followed_to_where_they_are_served_now(tmp_path: Path) -> None:
    seed(tmp_path)
    seed(tmp_path, port=9011)
    own = Endpoint.objects.filter(provider__slug="own-machines").select_related("version__model")
    served = {each.version.model.name: each.url for each in own}
    assert served.pop("smollm2-135m") == "http://127.0.0.1:9012/v1"
    assert set(served.values()) == {"http://127.0.0.1:9011/v1"}
    assert not Endpoint.objects.exclude(provider__slug="own-machines").filter(url__contains="127.0.0.1").exists()


def test_each_live_workflow_has_a_key_that_opens_and_the_recorded_ones_have_none(tmp_path: Path) -> None:
    seed(tmp_path)
    for slug, (name, file) in organisation.APPLICATIONS.items():
        token = places.read_secret(tmp_path / file)
        key = ApiKey.objects.usable().get(sha256=accounts.token_sha256(token))
        assert (key.workflow.slug, key.environment.name, key.name) == (slug, "production", name)
    assert (tmp_path / "demo-key").stat().st_mode & 0o077 == 0
    assert "demo-key" not in json.dumps(list(AuditEvent.objects.values_list("after", flat=True)), default=str)


def test_a_lost_key_file_ends_its_key(tmp_path: Path) -> None:
    seed(tmp_path)
    lost = places.read_secret(tmp_path / "demo-key-message-screen")
    (tmp_path / "demo-key-message-screen").unlink()
    seed(tmp_path)
    assert places.read_secret(tmp_path / "demo-key-message-screen") != lost
    assert not ApiKey.objects.usable().filter(sha256=accounts.token_sha256(lost)).exists()
    assert ApiKey.objects.usable().filter(workflow__slug="message-screen").count() == 1


def test_what_gateways_get_holds_the_live_ones_alone(tmp_path: Path) -> None:
    seed(tmp_path)
    production = bundles.current(Environment.objects.get(name="production"), now=timezone.now())
    snapshot = read_snapshot(production.snapshot.text.encode())
    assert {each.slug for each in snapshot.workflows.values()} == {each.slug for each in processes.LIVE}
    assert {endpoint.hosting for endpoint in snapshot.endpoints.values()} == {"self"}


def test_the_model_of_the_baselines_is_priced_and_named_by_no_policy(tmp_path: Path) -> None:
    seed(tmp_path)
    frontier = Model.objects.get(name=world.FRONTIER)
    [endpoint] = Endpoint.objects.filter(version__model=frontier).select_related("provider")
    assert endpoint.environment.name == world.ENVIRONMENT
    assert endpoint.secret == "env:HARBOUR_VALE_ANTHROPIC_KEY"
    price = prices.current([endpoint], timezone.now())[endpoint.pk]
    assert price.kind == "list"
    assert (price.input or 0) > 0
    assert (price.output or 0) > 0
    assert not PolicyHead.objects.naming(frontier.name).exists()
    based = {each.workflow.slug: each for each in Baseline.objects.select_related("workflow", "model")}
    assert set(based) == {each.slug for each in processes.ALL}
    measured = based.pop("refund-sums")
    assert (measured.assumed, measured.model.name) == (False, "gpt-4-1106-preview")
    assert {(each.assumed, each.model) for each in based.values()} == {(True, frontier)}
    assert all("never called" in each.reason for each in based.values())


def test_everybody_of_the_demo_is_named_by_role_and_can_sign_in(tmp_path: Path) -> None:
    seed(tmp_path)
    password = places.read_secret(tmp_path / "demo-password")
    for person in PEOPLE:
        user = User.objects.get(email=person.email)
        assert user.check_password(password)
        assert set(Grant.objects.filter(user=user).values_list("role", flat=True)) == {person.role}
