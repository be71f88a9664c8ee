"""Webhooks on their pages: added with a secret shown once, tried, given another secret, told again, closed."""

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import override_settings
from django.utils import timezone

from governance import accounts, deliveries, webhooks
from governance.accounts import NotPermitted
from governance.errors import InvalidInput
from governance.models import AuditEvent, Delivery, NotificationKind, User, Webhook
from smallfirst.origins import origin_of
from tests.cast import Cast, make_cast, make_change
from tests.governance.outside import Receiver, verified
from tests.pages import file, signed_in, text

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]
NOWHERE = "http://127.0.0.1:9/take"


@pytest.fixture
def cast() -> Cast:
    """Everybody."""
    return make_cast()


@pytest.fixture
def named(settings: Any) -> None:
    """The operator named an origin at which nothing listens."""
    settings.WEBHOOK_ORIGINS = {origin_of(NOWHERE)}


def add(cast: Cast, by: User | None = None, **given: Any) -> tuple[Webhook, str]:
    """A webhook that the administrator adds, unless said."""
    facts: dict[str, Any] = {
        "name": "Program",
        "form": "signed",
        "url": NOWHERE,
        "kinds": ["change.vote_needed"],
        "owner": cast.lead,
    }
    return webhooks.add(by=by or cast.admin, **(facts | given))


def form(client: Any, page: str, **given: Any) -> dict[str, Any]:
    """What the form on a page is sent with: what it holds itself, and what is typed."""
    once = re.search(r'name="once" value="([^"]+)"', client.get(page).content.decode())
    return ({"once": once[1]} if once else {}) | given


def test_it_is_added_with_a_secret_that_is_shown_once_and_kept_sealed(cast: Cast, named: None) -> None:
    lead = signed_in(cast.lead)
    given = {
        "name": "Program",
        "form": "signed",
        "url": f"{NOWHERE}?token=hidden",
        "kinds": ["stop.begun", "change.vote_needed"],
        "owner": cast.lead.pk,
    }
    asked = form(lead, "/webhooks/new/", **given)
    answer = lead.post("/webhooks/new/", asked)
    assert (answer.status_code, answer["cache-control"]) == (
        200,
        "max-age=0, no-cache, no-store, must-revalidate, private",
    )
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]{44}", answer.content.decode())
    made = Webhook.objects.get()
    assert made.kinds == ["change.vote_needed", "stop.begun"]
    assert deliveries.secrets_of(made, timezone.now()) == [secret]
    # Sent again, it makes no second one.
    again = lead.post("/webhooks/new/", asked)
    assert (again.status_code, Webhook.objects.count()) == (302, 1)
    shown = "".join(
        [
            text(lead.get("/webhooks/")),
            text(lead.get(f"/webhooks/{made.pk}/")),
            str(file(lead.get("/webhooks/export.csv"))),
            str(list(AuditEvent.objects.values())),
            repr([bytes(made.sealed_url), bytes(made.sealed_secret or b"")]),
        ]
    )
    assert "Program" in shown
    assert origin_of(NOWHERE) in shown
    for hidden in (secret, "hidden", "/take"):
        assert hidden not in shown


def test_an_address_inside_is_refused_with_what_to_do(cast: Cast) -> None:
    lead = signed_in(cast.lead)
    given = {"name": "Inside", "form": "slack", "kinds": ["stop.begun"], "owner": cast.lead.pk}
    for url, said in (
        ("https://10.0.0.1/x", "SMALLFIRST_WEBHOOK_ORIGINS"),
        ("http://hooks.example.com/x", "Take https"),
        ("gopher", "such as https://"),
    ):
        answer = lead.post("/webhooks/new/", form(lead, "/webhooks/new/", url=url, **given))
        assert answer.status_code == 422
        assert said in text(answer)
    assert not Webhook.objects.exists()


def test_a_test_says_what_came_of_it(cast: Cast, settings: Any) -> None:
    with Receiver(200, 404) as receiver:
        settings.WEBHOOK_ORIGINS = {origin_of(receiver.url)}
        made, secret = add(cast, url=f"{receiver.url}/take")
        admin, page = signed_in(cast.admin), f"/webhooks/{made.pk}/"
        assert "The test arrived. Taken (200)." in text(admin.post(f"{page}test/", follow=True))
        refused = text(admin.post(f"{page}test/", follow=True))
        assert "The test did not arrive. It answered 404: there is nothing at this path." in refused
        assert "did not take the last it was told" in refused
    assert verified(secret, receiver.headers[0], receiver.bodies[0])
    assert receiver.told[0]["type"] == "webhook.test"
    assert list(Delivery.objects.order_by("id").values_list("state", "tries")) == [("delivered", 1), ("dead", 1)]
    # A test is tried once, and its owner need not hear what whoever tries it sees.
    assert not Delivery.objects.filter(notification__kind=NotificationKind.WEBHOOK_FAILED).exists()


def test_with_another_secret_both_sign_for_a_day(cast: Cast, settings: Any) -> None:
    with Receiver() as receiver:
        settings.WEBHOOK_ORIGINS = {origin_of(receiver.url)}
        made, former = add(cast, url=f"{receiver.url}/take")
        answer = signed_in(cast.lead).post(f"/webhooks/{made.pk}/secret/")
        (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]{44}", answer.content.decode())
        third = signed_in(cast.lead).post(f"/webhooks/{made.pk}/secret/")
        assert third.status_code == 422
        assert "still signs" in text(third)
        for hours in (1, 25):
            with time_machine.travel(timezone.now() + timedelta(hours=hours), tick=True):
                webhooks.send_test(webhook=made, by=cast.lead, clock=timezone.now)
    assert secret != former
    both, one = zip(receiver.headers, receiver.bodies, strict=True)
    assert (verified(former, *both), verified(secret, *both)) == (True, True)
    assert (verified(former, *one), verified(secret, *one)) == (False, True)


def test_what_was_given_up_is_told_again_under_the_same_id(cast: Cast, settings: Any) -> None:
    with Receiver(410, 204) as receiver:
        settings.WEBHOOK_ORIGINS = {origin_of(receiver.url)}
        made, _secret = add(cast, url=f"{receiver.url}/take")
        make_change(cast)
        deliveries.deliver_due(clock=timezone.now)
        delivery = Delivery.objects.get(webhook=made)
        admin = signed_in(cast.admin)
        assert "1 delivery was given up" in text(admin.get("/webhooks/deliveries/"))
        assert [row["state"] for row in file(admin.get("/webhooks/deliveries/export.csv?state=dead"))] == ["dead"]
        again = f"/webhooks/deliveries/{delivery.pk}/again/"
        assert "sent again within seconds" in text(admin.post(again, follow=True))
        assert "still to be delivered" in text(admin.post(again, follow=True))
        deliveries.deliver_due(clock=timezone.now)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == ("delivered", 1)
    assert receiver.headers[0]["webhook-id"] == receiver.headers[1]["webhook-id"]


def test_edited_it_keeps_its_address_unless_another_is_given(cast: Cast, named: None) -> None:
    made, _secret = add(cast)
    lead, page = signed_in(cast.lead), f"/webhooks/{made.pk}/edit/"
    given = {"name": "Other", "kinds": ["stop.lifted"], "owner": cast.owner.pk}
    assert lead.post(page, given).status_code == 302
    held = Webhook.objects.get()
    assert (held.name, held.kinds, held.owner, held.sealed_url) == (
        "Other",
        ["stop.lifted"],
        cast.owner,
        made.sealed_url,
    )
    assert lead.post(page, given | {"url": f"{NOWHERE}/b"}).status_code == 302
    assert Webhook.objects.get().sealed_url != made.sealed_url
    assert "Edited the webhook Other, with another address" in AuditEvent.objects.about(made).newest_first()[0].summary


def test_closed_it_is_told_nothing_more_for_good(cast: Cast, named: None) -> None:
    made, _secret = add(cast)
    make_change(cast)
    admin = signed_in(cast.admin)
    assert admin.post(f"/webhooks/{made.pk}/close/", {"reason": "unused"}).status_code == 302
    assert Delivery.objects.get(webhook=made).state == "dead"
    make_change(cast, 0.7)
    assert Delivery.objects.filter(webhook=made).count() == 1
    with pytest.raises(InvalidInput, match="is closed"):
        webhooks.send_test(webhook=made, by=cast.admin, clock=timezone.now)
    assert "Program is closed" in text(admin.get(f"/webhooks/{made.pk}/"))
    # Its name is free again.
    add(cast)


@pytest.mark.parametrize("who", ["owner", "reviewer", "finance", "integrator", "auditor", "stranger"])
def test_nobody_else_touches_one(cast: Cast, named: None, who: str) -> None:
    made, _secret = add(cast)
    person, before = cast.people[who], list(Webhook.objects.values())
    written = AuditEvent.objects.count()
    acts: list[Any] = [
        lambda: add(cast, by=person, name="Other"),
        lambda: webhooks.edit(webhook=made, name="X", url="", kinds=["stop.begun"], owner=person, by=person),
        lambda: webhooks.renew_secret(webhook=made, by=person, now=timezone.now()),
        lambda: webhooks.send_test(webhook=made, by=person, clock=timezone.now),
        lambda: webhooks.close(webhook=made, reason="no", by=person, now=timezone.now()),
    ]
    for act in acts:
        with pytest.raises(NotPermitted):
            act()
    assert list(Webhook.objects.values()) == before
    assert (AuditEvent.objects.count(), Delivery.objects.count()) == (written, 0)


def test_what_it_cannot_be_is_refused(cast: Cast, named: None) -> None:
    add(cast)
    accounts.deactivate(person=cast.finance, reason="left", by=cast.admin)
    cast.finance.refresh_from_db()
    for given, said in (
        ({}, "of this name"),
        ({"name": "B", "kinds": []}, "at least one"),
        ({"name": "B", "kinds": ["webhook.test"]}, "is none of"),
        ({"name": "B", "owner": cast.finance}, "may not sign in"),
        ({"name": ""}, "name"),
    ):
        with pytest.raises(InvalidInput, match=said):
            add(cast, **given)
    assert Webhook.objects.count() == 1


def test_a_lead_of_one_team_sees_that_there_is_one_and_no_delivery(cast: Cast, named: None) -> None:
    made, _secret = add(cast)
    stranger = signed_in(cast.stranger)
    assert f"/webhooks/{made.pk}/" not in stranger.get("/webhooks/").content.decode()
    assert stranger.get("/webhooks/deliveries/").status_code == 403


def test_its_address_cannot_be_read_with_another_review_key(cast: Cast, named: None, tmp_path: Any) -> None:
    made, _secret = add(cast)
    with override_settings(KEYS=tmp_path):
        tried = webhooks.send_test(webhook=made, by=cast.admin, clock=timezone.now)
    assert (tried.state, tried.answer) == (
        "dead",
        "Its address and secret cannot be opened with this installation’s review key.",
    )
