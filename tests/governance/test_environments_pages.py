"""Pages of environments and gateways: what is fixed for good, who is alive, what each runs, a credential shown once."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from governance import accounts, gateways, registry
from governance.models import AuditEvent, Environment, Gateway
from tests import cast as casting
from tests.cast import BOOTSTRAP, Cast, make_cast, make_key
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db
CREDENTIAL = re.compile(r"sfg_[A-Za-z0-9_-]{43}")


@pytest.fixture
def cast() -> Cast:
    """Everybody, with production and an environment of recordings."""
    made = make_cast()
    registry.add_environment(name="recordings", votes_needed=0, position=900, recorded=True, by=BOOTSTRAP)
    return made


def sent(client: Any, **fields: str) -> dict[str, str]:
    """What the form of a new gateway sends, as it was opened by this browser."""
    found = re.search(r'name="once" value="([^"]+)"', client.get(reverse("gateway_new")).content.decode())
    assert found
    return {"once": found[1], "name": "Shop floor", "environment": "production", **fields}


def test_the_list_says_how_many_votes_and_what_is_there(cast: Cast) -> None:
    gateways.register(name="Shop floor", environment=cast.production, by=BOOTSTRAP)
    client = signed_in(cast.finance)
    page = text(client.get(reverse("environments")))
    assert "2 environments on the way to production" in page
    assert re.search(r"production place \d+ 1 of others 3 1 not said recordings recorded place 900 none", page)
    rows = file(client.get(reverse("environments_csv")))
    assert [(row["name"], row["models"], row["open_gateways"]) for row in rows] == [
        ("production", "3", "1"),
        ("recordings", "0", "0"),
    ]
    turned = client.get(reverse("environments"), {"sort": "-place"}).context["page"]
    assert [each.name for each in turned] == ["recordings", "production"]


def test_an_environment_is_added(cast: Cast) -> None:
    client = signed_in(cast.lead)
    assert 'value="901"' in client.get(reverse("environment_new")).content.decode()
    fields = {"name": "staging", "votes_needed": "2", "position": "2"}
    page = text(client.post(reverse("environment_new"), fields, follow=True))
    assert "The environment staging is added" in page
    assert "2 of others" in page
    made = Environment.objects.get(name="staging")
    assert AuditEvent.objects.about(made).get().action == "registry.add_environment"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Staging 1"}, "valid “slug”"),
        ({"name": "Staging"}, "lower case"),
        ({"name": "production"}, "already exists"),
        ({"votes_needed": "-1"}, "greater than or equal"),
        ({"position": "900"}, "already exists"),
    ],
)
def test_what_does_not_fit_adds_no_environment(cast: Cast, fields: dict[str, str], said: str) -> None:
    before = (Environment.objects.count(), AuditEvent.objects.count())
    given = {"name": "staging", "votes_needed": "1", "position": "20", **fields}
    answer = signed_in(cast.lead).post(reverse("environment_new"), given)
    assert (answer.status_code, said in text(answer)) == (422, True)
    assert signed_in(cast.owner).post(reverse("environment_new"), given).status_code == 403
    assert (Environment.objects.count(), AuditEvent.objects.count()) == before


def test_where_its_gateway_is_reached_is_said(cast: Cast) -> None:
    address = reverse("environment_address", args=["production"])
    page = text(signed_in(cast.lead).post(address, {"url": "https://gateway.example.com/"}, follow=True))
    assert "https://gateway.example.com" in page
    answer = signed_in(cast.lead).post(address, {"url": "https://gateway.example.com/v1"})
    assert (answer.status_code, "without a path" in text(answer)) == (422, True)
    recordings = reverse("environment_address", args=["recordings"])
    answer = signed_in(cast.lead).post(recordings, {"url": "https://gateway.example.com"})
    assert (answer.status_code, "nothing is served" in text(answer)) == (422, True)
    assert signed_in(cast.admin).post(address, {"url": ""}).status_code == 403
    assert Environment.objects.get(name="production").gateway_url == "https://gateway.example.com"


def test_a_credential_stands_on_one_page(cast: Cast) -> None:
    client = signed_in(cast.admin)
    answer = client.post(reverse("gateway_new"), sent(client))
    found = CREDENTIAL.search(text(answer))
    assert found
    assert "no-store" in answer["cache-control"]
    made = gateways.authenticate(found[0])
    assert made == Gateway.objects.get(name="Shop floor")
    assert "SMALLFIRST_CONTROL_URL=http://testserver" in text(answer)
    assert found[0] not in str([*AuditEvent.objects.values(), *Gateway.objects.values(), client.session.items()])
    assert not CREDENTIAL.search(text(client.get(reverse("gateways"))))


def test_the_same_form_sent_twice_registers_one(cast: Cast) -> None:
    client = signed_in(cast.admin)
    form = sent(client)
    client.post(reverse("gateway_new"), form)
    # Under another name it is the same form still.
    again = client.post(reverse("gateway_new"), form | {"name": "Shop floor 2"}, follow=True)
    assert again.redirect_chain == [(reverse("gateways"), 302)]
    assert not CREDENTIAL.search(text(again))
    assert Gateway.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "required"),
        ({"environment": "recordings"}, "valid choice"),
        ({"environment": "nowhere"}, "valid choice"),
        ({"once": "forged"}, "too old"),
        ({"name": "Taken"}, "already exists"),
    ],
)
def test_what_does_not_fit_registers_nothing(cast: Cast, fields: dict[str, str], said: str) -> None:
    gateways.register(name="Taken", environment=cast.production, by=BOOTSTRAP)
    client, before = signed_in(cast.admin), AuditEvent.objects.count()
    answer = client.post(reverse("gateway_new"), sent(client, **fields))
    assert (answer.status_code, said in text(answer)) == (422, True)
    assert (Gateway.objects.count(), AuditEvent.objects.count()) == (1, before)


def test_a_gateway_of_recordings_is_not_missed(cast: Cast) -> None:
    place = Environment.objects.get(name="recordings")
    gateways.register(name="Archive", environment=place, by=BOOTSTRAP)
    page = text(signed_in(cast.lead).get(reverse("gateways")))
    assert "No gateway is let in yet" in page
    assert "Archive recordings recorded stands for what was imported" in page


def test_a_gateway_is_revoked_with_a_reason(cast: Cast) -> None:
    gateway, credential = gateways.register(name="Shop floor", environment=cast.production, by=BOOTSTRAP)
    address = reverse("gateway_revoke", args=[gateway.pk])
    assert signed_in(cast.admin).post(address, {"reason": ""}).status_code == 422
    assert signed_in(cast.lead).post(address, {"reason": "mine"}).status_code == 403
    assert signed_in(casting.make_person("Nobody")).post(address, {"reason": "mine"}).status_code == 404
    assert gateways.authenticate(credential) == gateway
    page = text(signed_in(cast.admin).post(address, {"reason": "Stolen"}, follow=True))
    assert "Shop floor is revoked" in page
    assert gateways.authenticate(credential) is None
    assert AuditEvent.objects.about(gateway).newest_first()[0].reason == "Stolen"
    again = signed_in(cast.admin).post(address, {"reason": "Again"})
    assert (again.status_code, "already" in text(again)) == (422, True)


def test_the_page_says_who_is_alive(cast: Cast) -> None:
    now = timezone.now()
    told = [
        ("Alive", now),
        ("Silent", now - timedelta(hours=3)),
        ("Unseen", None),
    ]
    for name, seen in told:
        gateway, _credential = gateways.register(name=name, environment=cast.production, by=BOOTSTRAP)
        Gateway.objects.filter(pk=gateway.pk).update(last_seen_at=seen)
    key, token = make_key(cast, "App")
    gateways.authenticate(token)
    page = text(signed_in(cast.lead).get(reverse("gateways"), {"sort": "name"}))
    assert "1 of 3 gateways was heard in the last two minutes" in page
    for said in (
        "Alive production alive just now its instances",
        "Silent production silent since",
        "Unseen production never seen",
        f"SDK with {key} in an application its key of Customer feedback production alive",
    ):
        assert said in page, said
    accounts.revoke_key(key=key, by=cast.owner)
    assert "ended with its key" in text(signed_in(cast.lead).get(reverse("gateways"), {"state": "ended"}))


def test_the_list_of_gateways_filters_sorts_and_files(cast: Cast) -> None:
    staging = casting.make_environment("staging")
    gateways.register(name="B", environment=cast.production, by=BOOTSTRAP)
    gateways.register(name="A", environment=staging, by=BOOTSTRAP)
    gone, _credential = gateways.register(name="Gone", environment=staging, by=BOOTSTRAP)
    gateways.revoke(gateway=gone, by=cast.admin)
    client = signed_in(cast.lead)

    def names(**query: str) -> list[str]:
        listed = [each.name for each in client.get(reverse("gateways"), query).context["page"]]
        assert [row["name"] for row in file(client.get(reverse("gateways_csv"), query))] == listed
        return listed

    assert names() == names(sort="name") == ["A", "B"]
    assert names(sort="-name") == ["B", "A"]
    assert names(state="ended") == ["Gone"]
    assert names(environment="staging", state="all") == ["Gone", "A"]
    assert names(q="b") == ["B"]
    assert names(kind="key") == []
    assert "No gateway matches" in text(client.get(reverse("gateways"), {"q": "none"}))
    assert "sha256" not in client.get(reverse("gateways_csv")).getvalue().decode()


def test_without_any_the_page_says_what_to_do(cast: Cast) -> None:
    assert reverse("gateway_new") in signed_in(cast.admin).get(reverse("gateways")).content.decode()
    page = text(signed_in(cast.finance).get(reverse("gateways")))
    assert "No gateway is let in yet" in page
    assert "An administrator registers them" in page
