"""Keys under which recordings are booked: they open nothing, stand where nothing is served, and no person makes one."""

import pytest

from governance import accounts, registry, workflows
from governance.audit import Service
from governance.errors import InvalidInput
from governance.models import ApiKey, AuditEvent, Environment
from tests.cast import BOOTSTRAP, Cast, make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody."""
    return make_cast()


@pytest.fixture
def recorded(cast: Cast) -> Environment:
    """An environment that holds recordings."""
    return registry.add_environment(name="recorded", votes_needed=1, position=90, recorded=True, by=BOOTSTRAP)


def test_it_has_no_token_and_is_told_from_others_in_the_audit(cast: Cast, recorded: Environment) -> None:
    key = accounts.recording_key(workflow=cast.workflow, environment=recorded, name="Recordings", by=BOOTSTRAP)
    other = accounts.recording_key(workflow=cast.workflow, environment=recorded, name="More of them", by=BOOTSTRAP)
    kept = ApiKey.objects.get(pk=key.pk)
    assert (kept.purpose, kept.sealed_token, kept.created_by) == ("application", None, None)
    assert kept.sha256 not in (other.sha256, accounts.token_sha256(""))
    events = AuditEvent.objects.about(key)
    assert [(event.action, event.actor_name) for event in events] == [("accounts.recording_key", "bootstrap")]
    assert events[0].after == {"prefix": key.prefix, "workflow": cast.workflow.slug, "environment": "recorded"}


@pytest.mark.parametrize("who", ["lead", "owner", "reviewer", "finance", "integrator", "auditor", "admin", "stranger"])
def test_no_person_makes_one(cast: Cast, recorded: Environment, who: str) -> None:
    with pytest.raises(accounts.NotPermitted):
        accounts.recording_key(workflow=cast.workflow, environment=recorded, name="Recordings", by=cast.people[who])
    assert not ApiKey.objects.exists()


def test_nor_a_service_that_makes_no_keys(cast: Cast, recorded: Environment) -> None:
    with pytest.raises(accounts.NotPermitted):
        accounts.recording_key(
            workflow=cast.workflow, environment=recorded, name="Recordings", by=Service("evaluations")
        )
    assert not ApiKey.objects.exists()


def test_where_requests_are_served_there_is_none(cast: Cast) -> None:
    with pytest.raises(InvalidInput, match="serves requests"):
        accounts.recording_key(workflow=cast.workflow, environment=cast.production, name="Recordings", by=BOOTSTRAP)
    assert not ApiKey.objects.exists()


def test_not_of_a_retired_workflow_nor_without_a_name(cast: Cast, recorded: Environment) -> None:
    with pytest.raises(InvalidInput):
        accounts.recording_key(workflow=cast.workflow, environment=recorded, name="", by=BOOTSTRAP)
    workflows.retire(workflow=cast.workflow, reason="Over", by=BOOTSTRAP)
    cast.workflow.refresh_from_db()
    with pytest.raises(InvalidInput, match="retired"):
        accounts.recording_key(workflow=cast.workflow, environment=recorded, name="Recordings", by=BOOTSTRAP)
    assert not ApiKey.objects.exists()


def test_one_with_a_token_is_refused_there(cast: Cast, recorded: Environment) -> None:
    with pytest.raises(InvalidInput, match="nothing is served there"):
        accounts.create_key(workflow=cast.workflow, environment=recorded, name="Shop", by=cast.lead)
    assert not ApiKey.objects.exists()
