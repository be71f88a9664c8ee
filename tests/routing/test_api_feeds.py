"""GET /api/v1/bundle and /api/v1/state: for gateways alone, each for its own environment."""

from dataclasses import dataclass

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from governance import accounts, changes, gateways
from governance.models import Gateway
from routing import stamps
from routing.models import Bundle, Instance, StateFeed
from tests.cast import BOOTSTRAP, Cast, approve, make_cast, make_change, make_environment, make_key, make_live

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]

BOTH = pytest.mark.parametrize("path", ["/api/v1/bundle", "/api/v1/state"])


@dataclass(frozen=True)
class Site:
    """The cast, a live policy, and a gateway of production."""

    cast: Cast
    gateway: Gateway
    bearer: str


@pytest.fixture
def site() -> Site:
    """As it says."""
    cast = make_cast()
    make_live(cast)
    gateway, credential = gateways.register(name="Near the shop", environment=cast.production, by=BOOTSTRAP)
    return Site(cast, gateway, f"Bearer {credential}")


@BOTH
def test_a_gateway_gets_the_document_and_then_304(site: Site, client: Client, path: str) -> None:
    first = client.get(path, headers={"Authorization": site.bearer})
    assert first.status_code == 200
    assert first["Content-Type"] == "application/json"
    assert first.json()["purpose"] == path.rpartition("/")[2]

    again = client.get(path, headers={"Authorization": site.bearer, "If-None-Match": first["ETag"]})

    assert again.status_code == 304
    assert again.content == b""
    assert again["ETag"] == first["ETag"]


@BOTH
def test_304_costs_four_queries_and_for_a_state_three(
    site: Site, client: Client, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    etag = client.get(path, headers={"Authorization": site.bearer})["ETag"]
    if path.endswith("bundle"):
        # As once the audit log shows it: until then three more look for its proof.
        Bundle.objects.update(proof="{}")
        etag = f'{etag[:-1]}-proved"'
    headers = {"Authorization": site.bearer, "If-None-Match": etag}
    # The first time it is noted which bundle the instance holds.
    client.get(path, headers=headers)
    # In the fourth stands what the instance said last.
    with django_assert_num_queries(4 if path.endswith("bundle") else 3):
        client.get(path, headers=headers)


def test_which_bundle_an_instance_holds_is_kept(site: Site, client: Client) -> None:
    def ask(path: str = "/api/v1/bundle", *etags: str) -> str:
        headers = {"Authorization": site.bearer, "If-None-Match": ", ".join(etags)}
        return str(client.get(path, headers=headers)["ETag"])

    def kept() -> tuple[int | None, str]:
        instance = Instance.objects.with_standing().get()
        return instance.held, instance.standing

    ask("/api/v1/state")
    assert not Instance.objects.exists()
    etag = ask()
    first = Bundle.objects.get().serial
    assert kept() == (None, "none")
    ask("/api/v1/bundle", etag)
    assert kept() == (first, "newest")
    changes.activate(change=approve(make_change(site.cast, 0.6), site.cast.owner), by=site.cast.lead)
    ask("/api/v1/bundle", etag)
    assert kept() == (first, "older")
    for other in (
        '"another"',
        etag.replace('"', '"0', 1),
        '"',
        f'"{site.cast.production.pk.hex}-{"9" * 40}-{"0" * 16}"',
    ):
        ask("/api/v1/bundle", other)
        assert kept() == (None, "none"), other


def test_an_activation_is_in_the_next_answer(site: Site, client: Client) -> None:
    first = client.get("/api/v1/bundle", headers={"Authorization": site.bearer})
    changes.activate(change=approve(make_change(site.cast, 0.6), site.cast.owner), by=site.cast.lead)

    second = client.get("/api/v1/bundle", headers={"Authorization": site.bearer, "If-None-Match": first["ETag"]})

    assert second.status_code == 200
    assert second["ETag"] != first["ETag"]


def test_a_revocation_is_in_the_next_answer(site: Site, client: Client) -> None:
    key, _ = make_key(site.cast)
    first = client.get("/api/v1/state", headers={"Authorization": site.bearer})
    accounts.revoke_key(key=key, reason="lost", by=site.cast.integrator)

    second = client.get("/api/v1/state", headers={"Authorization": site.bearer, "If-None-Match": first["ETag"]})

    assert second.status_code == 200
    assert str(key.id) in first.json()["payload"]
    assert str(key.id) not in second.json()["payload"]


def test_a_gateway_gets_its_own_environment_only(site: Site, client: Client) -> None:
    staging = make_environment("staging")
    _, credential = gateways.register(name="Staging", environment=staging, by=BOOTSTRAP)

    answer = client.get("/api/v1/bundle", headers={"Authorization": f"Bearer {credential}"})

    assert Bundle.objects.get().environment == staging
    assert '"staging"' in answer.json()["payload"]
    assert str(site.cast.workflow.id) not in answer.json()["payload"]


@BOTH
def test_what_cannot_be_read_whole_is_not_issued(
    site: Site, client: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that never hold still: the gateway goes on with what it has and asks again."""
    monkeypatch.setattr(stamps, "TRIES", 0)

    answer = client.get(path, headers={"Authorization": site.bearer})

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "try_again")
    assert not Bundle.objects.exists()
    assert not StateFeed.objects.exists()


@BOTH
def test_strangers_get_nothing(site: Site, client: Client, path: str) -> None:
    _, revoked = gateways.register(name="Gone", environment=site.cast.production, by=BOOTSTRAP)
    gateways.revoke(gateway=Gateway.objects.get(name="Gone"), by=BOOTSTRAP, reason="sold")
    for headers in (
        {},
        {"Authorization": "Bearer sfg_unknown"},
        {"Authorization": "Bearer sf_unknown"},
        {"Authorization": f"Bearer {revoked}"},
        {"Authorization": site.bearer.replace("Bearer", "Basic")},
    ):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401, headers
        assert answer.json()["error"]["code"] == "invalid_api_key"
    assert not Bundle.objects.exists()
    assert not StateFeed.objects.exists()


@BOTH
def test_a_session_is_no_gateway(site: Site, client: Client, path: str) -> None:
    client.force_login(site.cast.lead)
    assert client.get(path).status_code == 401
    assert not Bundle.objects.exists()


@BOTH
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_documents_are_only_read(site: Site, client: Client, path: str, method: str) -> None:
    answer = getattr(client, method)(path, headers={"Authorization": site.bearer})
    assert answer.status_code == 405
    assert not Bundle.objects.exists()
