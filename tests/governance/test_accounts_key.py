"""API keys: shown once, kept as a hash, ended for good."""

import hashlib
import re

import pytest
from django.db import IntegrityError, connection, transaction

from governance import accounts, workflows
from governance.errors import InvalidInput
from governance.models import ApiKey, AuditEvent
from tests.cast import make_cast, make_key

pytestmark = pytest.mark.django_db


def test_a_token_is_shown_once_and_only_its_hash_kept() -> None:
    cast = make_cast()
    key, token = make_key(cast)
    assert re.fullmatch(r"sf_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}", token)
    assert key.sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert token.split("_")[1] == key.prefix
    secret = token[12:]
    assert secret not in str(list(ApiKey.objects.values())) + str(list(AuditEvent.objects.values()))
    assert list(ApiKey.objects.usable()) == [key]


def test_a_revoked_key_stays_revoked() -> None:
    cast = make_cast()
    key, _token = make_key(cast)
    ended = accounts.revoke_key(key=key, reason="leaked", by=cast.owner)
    assert ended.revoked_by == cast.owner
    assert not ApiKey.objects.usable()
    with pytest.raises(InvalidInput, match="already"):
        accounts.revoke_key(key=key, by=cast.owner)
    assert AuditEvent.objects.about(key).newest_first()[0].reason == "leaked"


@pytest.mark.parametrize("who", ["reviewer", "finance", "auditor", "admin", "stranger"])
def test_others_neither_make_nor_revoke_keys(who: str) -> None:
    cast = make_cast()
    key, _token = make_key(cast)
    with pytest.raises(accounts.NotPermitted):
        accounts.create_key(workflow=cast.workflow, environment=cast.production, name="Mine", by=cast.people[who])
    with pytest.raises(accounts.NotPermitted):
        accounts.revoke_key(key=key, by=cast.people[who])
    assert list(ApiKey.objects.usable()) == [key]


def test_a_key_needs_a_name_and_a_workflow_in_use() -> None:
    cast = make_cast()
    with pytest.raises(InvalidInput, match="name"):
        make_key(cast, name=" ")
    key, _token = make_key(cast)
    workflows.retire(workflow=cast.workflow, reason="closed", by=cast.lead)
    cast.workflow.refresh_from_db()
    assert not ApiKey.objects.usable()
    with pytest.raises(InvalidInput, match="retired"):
        make_key(cast)
    assert list(ApiKey.objects.all()) == [key]


def test_a_key_cannot_be_moved_to_another_workflow() -> None:
    cast = make_cast()
    key, _token = make_key(cast)
    with pytest.raises(IntegrityError, match="keep their"), transaction.atomic(), connection.cursor() as sql:
        sql.execute("UPDATE governance_apikey SET sha256 = repeat('0', 64) WHERE id = %s", [key.pk])
