"""Keys that the control plane itself uses: one for each purpose and place, its token sealed."""

import pytest

from governance import accounts, registry, workflows
from governance.audit import Service
from governance.errors import InvalidInput
from governance.models import ApiKey, AuditEvent
from smallfirst.seal import SealError
from tests.at_once import at_once
from tests.cast import BOOTSTRAP, make_cast
from tests.conftest import LiveDatabase

TRIAL, EVALUATION = ApiKey.Purpose.TRIAL, ApiKey.Purpose.EVALUATION

pytestmark = pytest.mark.usefixtures("installation_keys")


@pytest.mark.django_db
def test_it_is_made_once_and_its_token_opens_again() -> None:
    cast = make_cast()
    key, token = accounts.own_key(workflow=cast.workflow, environment=cast.production, purpose=TRIAL, by=cast.lead)

    again, same = accounts.own_key(
        workflow=cast.workflow, environment=cast.production, purpose=TRIAL, by=cast.integrator
    )

    assert (again, same) == (key, token)
    assert key.sha256 == accounts.token_sha256(token)
    assert token.encode() not in bytes(ApiKey.objects.get().sealed_token or b"")
    assert token[12:] not in str(list(AuditEvent.objects.values()))
    assert AuditEvent.objects.filter(action="accounts.create_key").count() == 1


@pytest.mark.django_db
def test_each_purpose_has_its_own() -> None:
    cast = make_cast()
    worker = Service("evaluations")
    one, _ = accounts.own_key(workflow=cast.workflow, environment=cast.production, purpose=EVALUATION, by=worker)
    two, _ = accounts.own_key(workflow=cast.workflow, environment=cast.production, purpose=TRIAL, by=cast.owner)
    assert (one.purpose, two.purpose) == (EVALUATION, TRIAL)
    with pytest.raises(accounts.NotPermitted):
        accounts.own_key(workflow=cast.workflow, environment=cast.production, purpose=TRIAL, by=worker)


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["reviewer", "finance", "auditor", "admin", "stranger"])
def test_others_get_none(who: str) -> None:
    cast = make_cast()
    with pytest.raises(accounts.NotPermitted):
        accounts.own_key(workflow=cast.workflow, environment=cast.production, purpose=TRIAL, by=cast.people[who])
    assert not ApiKey.objects.exists()


@pytest.mark.django_db
def test_a_revoked_one_is_replaced() -> None:
    cast = make_cast()
    old, token = accounts.own_key(workflow=cast.workflow, environment=cast.production, purpose=TRIAL, by=cast.lead)
    accounts.revoke_key(key=old, by=cast.lead)
    new, other = accounts.own_key(workflow=cast.workflow, environment=cast.production, purpose=TRIAL, by=cast.lead)
    assert new != old
    assert other != token


@pytest.mark.django_db
def test_nothing_is_served_where_recordings_are() -> None:
    cast = make_cast()
    recorded = registry.add_environment(name="recorded", votes_needed=1, position=90, recorded=True, by=BOOTSTRAP)
    with pytest.raises(InvalidInput, match="recordings"):
        accounts.own_key(workflow=cast.workflow, environment=recorded, purpose=TRIAL, by=cast.lead)
    with pytest.raises(InvalidInput, match="recordings"):
        accounts.create_key(workflow=cast.workflow, environment=recorded, name="App", by=cast.lead)
    workflows.retire(workflow=cast.workflow, reason="closed", by=cast.lead)
    cast.workflow.refresh_from_db()
    with pytest.raises(InvalidInput, match="retired"):
        accounts.own_key(workflow=cast.workflow, environment=cast.production, purpose=TRIAL, by=cast.lead)
    assert not ApiKey.objects.exists()


@pytest.mark.django_db
def test_a_token_sealed_for_one_key_opens_for_no_other() -> None:
    cast = make_cast()
    trial, _ = accounts.own_key(workflow=cast.workflow, environment=cast.production, purpose=TRIAL, by=cast.lead)
    other, _ = accounts.own_key(
        workflow=cast.workflow, environment=cast.production, purpose=EVALUATION, by=Service("evaluations")
    )
    other.sealed_token = trial.sealed_token
    other.save()
    with pytest.raises(SealError):
        accounts.own_key(
            workflow=cast.workflow, environment=cast.production, purpose=EVALUATION, by=Service("evaluations")
        )


def test_two_who_try_at_once_share_one(live_database: LiveDatabase) -> None:
    cast = make_cast()

    def act() -> str:
        return accounts.own_key(workflow=cast.workflow, environment=cast.production, purpose=TRIAL, by=cast.lead)[1]

    first, second = at_once(act, act)
    assert first == second
    assert ApiKey.objects.count() == 1
