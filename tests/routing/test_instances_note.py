"""Instances: what each process says it runs is kept apart, bounded and forgotten, and the page tells how old it is."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.celery import EVERY
from governance import changes, gateways
from governance.models import Gateway
from routing import instances
from routing.instances import Said
from routing.models import Bundle, Instance
from smallfirst.instances import VERSION, headers, new_name
from tests.cast import BOOTSTRAP, Cast, approve, make_cast, make_change, make_key, make_live, make_person
from tests.pages import file, signed_in, text

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]
NOW = timezone.now()


def said(name: str = "", **other: Any) -> Said:
    """What an instance says."""
    usual: dict[str, Any] = {
        "host": "web-1",
        "program": "smallfirst-gateway",
        "version": VERSION,
        "held": 7,
        "proof": "proved",
        "refused": "",
    }
    return Said(**(usual | {"name": name or new_name()} | other))


@pytest.fixture
def cast() -> Cast:
    """The cast, with a live policy."""
    found = make_cast()
    make_live(found)
    return found


def gateway_of(cast: Cast, name: str = "Shop floor") -> tuple[Gateway, str]:
    """A gateway of production and its credential."""
    return gateways.register(name=name, environment=cast.production, by=BOOTSTRAP)


def poll(client: Client, credential: str, name: str, etag: str = "", **more: str) -> str:
    """Ask for the bundle as a gateway does; the ETag of what came."""
    asks = {"Authorization": f"Bearer {credential}", **headers(program="smallfirst-gateway", name=name), **more}
    return str(client.get("/api/v1/bundle", headers=asks | ({"If-None-Match": etag} if etag else {}))["ETag"])


def test_two_instances_of_one_credential_are_told_apart(cast: Cast, client: Client) -> None:
    _, credential = gateway_of(cast)
    first, second = new_name(), new_name()
    etag = poll(client, credential, first)
    poll(client, credential, first, etag, **{"Smallfirst-Proof": "awaited"})
    changes.activate(change=approve(make_change(cast, 0.6), cast.owner), by=cast.lead)
    poll(client, credential, second, poll(client, credential, second))
    poll(client, credential, first, etag)

    known = {each.name: each for each in Instance.objects.with_standing()}
    serials = list(Bundle.objects.order_by("serial").values_list("serial", flat=True))
    assert {name: (each.held, each.standing) for name, each in known.items()} == {
        first: (serials[0], "older"),
        second: (serials[1], "newest"),
    }
    assert {(each.program, each.version) for each in known.values()} == {("smallfirst-gateway", VERSION)}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({}, ("", "", "", "", "")),
        ({"Smallfirst-Instance": "x" * 36}, ("", "", "", "", "")),
        ({"Smallfirst-Instance": "<script>"}, ("", "", "", "", "")),
        ({"Smallfirst-Host": "h\u0000o" + "s" * 500}, ("", "ho" + "s" * 118, "", "", "")),
        ({"User-Agent": "curl/8.1 (x)"}, ("", "", "curl", "8.1", "")),
        ({"User-Agent": "a" * 500}, ("", "", "", "", "")),
        ({"Smallfirst-Proof": "Proved!"}, ("", "", "", "", "")),
        ({"Smallfirst-Proof": "wrong_key"}, ("", "", "", "", "wrong_key")),
        ({"Smallfirst-Bundle": "7"}, ("", "", "", "", "")),
    ],
)
def test_what_cannot_be_read_of_a_poll_is_empty(sent: dict[str, str], kept: tuple[str, ...]) -> None:
    found = instances.read(sent)
    assert (found.name, found.host, found.program, found.version, found.proof) == kept
    assert found.refused == ""


@pytest.mark.parametrize(("sent", "held"), [("7", 7), ("", 5), ("x", 5), ("-7", 5), ("9" * 40, 5)])
def test_the_serial_that_is_said_counts_and_else_that_of_the_etag(sent: str, held: int) -> None:
    assert instances.read({"Smallfirst-Bundle": sent}, held=5).held == held


def test_one_that_refuses_the_newest_bundle_is_told_of_with_what_it_runs(cast: Cast, client: Client) -> None:
    _, credential = gateway_of(cast)
    name = new_name()
    poll(client, credential, name)
    serial = Bundle.objects.get().serial
    changes.activate(change=approve(make_change(cast, 0.6), cast.owner), by=cast.lead)
    refusing = {"Smallfirst-Bundle": str(serial), "Smallfirst-Refused": "bad_signature"}
    poll(client, credential, name, **refusing)
    page = text(signed_in(cast.lead).get(reverse("instances")))
    assert f"{serial} older issued" in page
    assert "refuses the newest bad_signature" in page


def test_one_that_refuses_and_runs_none_yet_is_told_of(cast: Cast, client: Client) -> None:
    _, credential = gateway_of(cast)
    poll(client, credential, new_name(), **{"Smallfirst-Bundle": "", "Smallfirst-Refused": "unproved"})
    page = text(signed_in(cast.lead).get(reverse("instances")))
    assert "none yet refuses the newest unproved no bundle yet" in page


def test_saying_the_same_again_writes_once_in_half_a_minute(cast: Cast) -> None:
    gateway, _ = gateway_of(cast)
    same = said("one")
    for seconds, seen in ((0, 0), (29, 0), (31, 31), (40, 31)):
        instances.note(gateway=gateway, said=same, now=NOW + timedelta(seconds=seconds))
        assert Instance.objects.get().last_seen_at == NOW + timedelta(seconds=seen)
    instances.note(gateway=gateway, said=said("one", held=8), now=NOW + timedelta(seconds=41))
    assert Instance.objects.get().last_seen_at == NOW + timedelta(seconds=41)


def test_who_makes_up_names_pushes_out_his_own_alone(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "MOST", 3)
    gateway, _ = gateway_of(cast)
    other, _ = gateway_of(cast, "Back office")
    instances.note(gateway=other, said=said("other"), now=NOW - timedelta(hours=1))
    for number in range(6):
        instances.note(gateway=gateway, said=said(f"made-up-{number}"), now=NOW + timedelta(seconds=number))
    assert set(Instance.objects.values_list("name", flat=True)) == {"other", "made-up-3", "made-up-4", "made-up-5"}


def test_the_silent_are_forgotten_those_in_applications_sooner(cast: Cast) -> None:
    gateway, _ = gateway_of(cast)
    key, _token = make_key(cast)
    application = gateways.of_key(key)
    for whose, name, ago in (
        (gateway, "a", timedelta(hours=25)),
        (gateway, "b", timedelta(hours=23)),
        (application, "c", timedelta(minutes=16)),
        (application, "d", timedelta(minutes=14)),
    ):
        instances.note(gateway=whose, said=said(name), now=NOW - ago)
    assert instances.forget(now=NOW) == 2
    assert set(Instance.objects.values_list("name", flat=True)) == {"b", "d"}
    assert "routing.tasks.forget_instances" in EVERY


def test_the_page_says_who_runs_what(cast: Cast, client: Client) -> None:
    _, credential = gateway_of(cast)
    behind, current = new_name(), new_name()
    etag = poll(client, credential, behind)
    poll(client, credential, behind, etag)
    changes.activate(change=approve(make_change(cast, 0.6), cast.owner), by=cast.lead)
    poll(client, credential, current, poll(client, credential, current), **{"Smallfirst-Proof": "wrong_key"})
    reader = signed_in(cast.lead)

    page = text(reader.get(reverse("instances"), {"workflow": cast.workflow.slug}))

    assert "1 of 2 instances run the newest bundle" in page
    assert f"{behind[-6:]} Shop floor production smallfirst-gateway {VERSION}" in page
    assert "older issued" in page
    assert "version 1 " in page
    assert "version 2 not proved another log signed it" in page
    only = text(reader.get(reverse("instances"), {"standing": "older"}))
    assert behind[-6:] in only
    assert current[-6:] not in only
    silent = text(reader.get(reverse("instances"), {"standing": "silent"}))
    assert "No instance matches" in silent
    rows = file(reader.get(reverse("instances_csv")))
    assert {(row["name"], row["standing"]) for row in rows} == {(behind, "older"), (current, "newest")}


def test_who_may_not_read_the_register_reads_no_instance(cast: Cast) -> None:
    stranger = signed_in(make_person("Stranger"))
    for page in ("instances", "instances_csv"):
        assert stranger.get(reverse(page)).status_code == 403
