"""Deliveries: made at least once under one key, tried again, given up and said so; to real receivers and servers."""

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from email import message_from_string, policy
from typing import Any

import psycopg
import pytest
import time_machine
from django.core import mail
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from governance import accounts, deliveries, emails, preferences, stops, webhooks
from governance.deliveries import AFTER, LEASE
from governance.models import Delivery, Notification, NotificationKind, Webhook
from smallfirst.origins import origin_of
from tests.at_once import at_once
from tests.cast import Cast, make_cast, make_change
from tests.governance.outside import MailServer, Receiver, verified

pytestmark = pytest.mark.usefixtures("installation_keys")
Kind = NotificationKind
EVERYTHING = [Kind.VOTE_NEEDED, Kind.STOP_BEGUN]


class Killed(BaseException):
    """The worker is gone between sending and marking."""


@pytest.fixture
def cast(db: None) -> Cast:
    """Everybody."""
    return make_cast()


def hook(cast: Cast, receiver: Receiver, form: str = "signed", name: str = "Program") -> tuple[Webhook, str]:
    """A webhook at a receiver on this machine, which the operator named."""
    with override_settings(WEBHOOK_ORIGINS={origin_of(receiver.url)}):
        return webhooks.add(
            name=name, form=form, url=f"{receiver.url}/take", kinds=EVERYTHING, owner=cast.lead, by=cast.admin
        )


def turn(receiver: Receiver, at: datetime | None = None) -> int:
    """One turn of the sweeper, now or at a moment."""
    with override_settings(WEBHOOK_ORIGINS={origin_of(receiver.url)}):
        return deliveries.deliver_due(clock=lambda: at or timezone.now())


def to_webhook() -> Delivery:
    """The only delivery to a webhook."""
    return Delivery.objects.get(webhook__isnull=False)


def test_a_signed_webhook_is_told_in_a_form_that_another_program_verifies(cast: Cast) -> None:
    with Receiver() as receiver:
        _webhook, secret = hook(cast, receiver)
        change = make_change(cast)
        assert turn(receiver) >= 1
        assert turn(receiver) == 0
    assert (to_webhook().state, to_webhook().answer) == ("delivered", "Taken (204).")
    ((headers, body),) = zip(receiver.headers, receiver.bodies, strict=True)
    assert verified(secret, headers, body)
    assert not verified(secret, headers, body + b" ")
    assert not verified("whsec_" + "A" * 32, headers, body)
    assert abs(int(headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
    assert headers["content-type"] == "application/json"
    (told,) = receiver.told
    assert told["type"] == "change.vote_needed"
    assert (told["data"]["number"], told["data"]["name"]) == (change.number, change.title)
    assert told["data"]["title"] == f"Change {change.number} for {change.place} asks for votes"
    assert told["data"]["url"].endswith(f"/changes/{change.pk}/")
    assert datetime.fromisoformat(told["timestamp"]) == Notification.objects.get().created_at


def test_a_chat_is_told_a_line_whose_names_are_no_markup(cast: Cast) -> None:
    with Receiver(200) as receiver:
        hook(cast, receiver, "slack")
        change = make_change(cast)
        Notification.objects.update(title="<!channel> & <https://elsewhere.example|here>")
        turn(receiver)
    (told,) = receiver.told
    assert told["text"].startswith(
        f"<http://127.0.0.1:8000/changes/{change.pk}/|&lt;!channel&gt; &amp; &lt;https://elsewhere.example|here&gt;>\n"
    )
    assert not any(name.startswith("webhook-") for name in receiver.headers[0])


def test_what_fails_is_tried_again_under_the_same_id_and_arrives(cast: Cast) -> None:
    with Receiver(500, 302, 200) as receiver:
        hook(cast, receiver)
        make_change(cast)
        on = "It sends on to another address (302), which is not followed: enter that one."
        for answer in ("It answered 500.", on):
            turn(receiver)
            assert (to_webhook().state, to_webhook().answer) == ("waiting", answer)
            before = len(receiver.bodies)
            assert turn(receiver) == 0
            assert len(receiver.bodies) == before
            Delivery.objects.waiting().update(due_at=timezone.now())
        turn(receiver)
    assert (to_webhook().state, to_webhook().tries) == ("delivered", 3)
    assert len({headers["webhook-id"] for headers in receiver.headers}) == 1
    assert len(set(receiver.bodies)) == 1
    assert {path for _method, path in receiver.asked} == {"/take"}


def test_after_the_last_try_it_is_given_up_and_its_owner_is_told_once_a_day(cast: Cast) -> None:
    with Receiver(500) as receiver:
        webhook, _secret = hook(cast, receiver)
        make_change(cast)
        make_change(cast, 0.7)
        at = timezone.now()
        for _try in range(len(AFTER) + 1):
            at += timedelta(hours=15)
            with time_machine.travel(at, tick=True):
                turn(receiver)
    assert set(Delivery.objects.filter(webhook=webhook).values_list("state", "tries")) == {("dead", len(AFTER) + 1)}
    assert len(receiver.bodies) == 2 * (len(AFTER) + 1)
    told = Notification.objects.get(kind=Kind.WEBHOOK_FAILED)
    assert [each.person for each in told.deliveries.all()] == [cast.lead]
    assert told.path == f"/webhooks/{webhook.pk}/"


def test_what_is_gone_for_good_is_given_up_at_once(cast: Cast) -> None:
    with Receiver(410) as receiver:
        hook(cast, receiver)
        make_change(cast)
        turn(receiver)
    assert (to_webhook().state, to_webhook().tries) == ("dead", 1)


def test_where_nothing_listens_others_are_told_all_the_same(cast: Cast, free_port: Any) -> None:
    with Receiver() as receiver:
        hook(cast, receiver)
        away = Receiver()
        away.url = f"http://127.0.0.1:{free_port()}"
        hook(cast, away, name="Away")
        make_change(cast)
        with override_settings(WEBHOOK_ORIGINS={origin_of(receiver.url), origin_of(away.url)}):
            deliveries.deliver_due(clock=timezone.now)
    assert {(each.webhook.name, each.state, each.answer) for each in Delivery.objects.all() if each.webhook} == {
        ("Program", "delivered", "Taken (204)."),
        ("Away", "waiting", "127.0.0.1 could not be reached."),
    }


def test_who_is_killed_between_sending_and_marking_repeats_it_once(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_given: object, **_more: object) -> None:
        raise Killed

    with Receiver() as receiver:
        hook(cast, receiver)
        stops.begin(workflow=cast.workflow, reason="harm", by=cast.owner)
        with monkeypatch.context() as patched:
            patched.setattr(deliveries, "_mark", die)
            with pytest.raises(Killed):
                turn(receiver)
        assert (len(receiver.bodies), to_webhook().state) == (1, "waiting")
        # Its lease still holds.
        mail.outbox.clear()
        turn(receiver)
        assert len(receiver.bodies) == 1
        turn(receiver, timezone.now() + LEASE)
        turn(receiver, timezone.now() + 2 * LEASE)
    assert (len(receiver.bodies), to_webhook().state) == (2, "delivered")
    assert receiver.headers[0]["webhook-id"] == receiver.headers[1]["webhook-id"]
    assert receiver.bodies[0] == receiver.bodies[1]


SENDER = """
import django
django.setup()
from django.conf import settings
from django.utils import timezone
from governance import deliveries
print("ready", flush=True)
deliveries.deliver_due(clock=timezone.now)
"""


def test_kill_minus_nine_of_the_sender_loses_nothing_and_repeats_it_once(live_database: Any) -> None:
    cast = make_cast()
    senders: list[subprocess.Popen[bytes]] = []

    def kill() -> None:
        # The first post is killed while it waits for the answer: it has arrived, and nobody wrote so.
        if not senders[0].poll() and len(receiver.bodies) == 1:
            os.kill(senders[0].pid, signal.SIGKILL)

    with Receiver(204, began=kill) as receiver:
        hook(cast, receiver)
        make_change(cast)
        given = {"DATABASE_URL": live_database.url, "SMALLFIRST_WEBHOOK_ORIGINS": origin_of(receiver.url)}
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings", **given}
        senders.append(subprocess.Popen([sys.executable, "-c", SENDER], env=environment))
        assert senders[0].wait(60) == -signal.SIGKILL
        connection.close()
        assert (to_webhook().state, to_webhook().tries, len(receiver.bodies)) == ("waiting", 1, 1)
        turn(receiver, timezone.now() + LEASE)
        turn(receiver, timezone.now() + 2 * LEASE)
    assert (to_webhook().state, len(receiver.bodies)) == ("delivered", 2)
    assert receiver.headers[0]["webhook-id"] == receiver.headers[1]["webhook-id"]


def test_of_two_sweepers_at_once_each_message_is_sent_by_one(live_database: Any) -> None:
    cast = make_cast()
    with Receiver() as receiver:
        hook(cast, receiver)
        for keep_from in (0.5, 0.6, 0.7):
            make_change(cast, keep_from)
        # Settings are those of all threads: each that ended would take them from the others.
        with override_settings(WEBHOOK_ORIGINS={origin_of(receiver.url)}):
            at_once(*[lambda: deliveries.deliver_due(clock=timezone.now)] * 3)
    assert len({headers["webhook-id"] for headers in receiver.headers}) == len(receiver.bodies) == 3
    assert not Delivery.objects.waiting().filter(webhook__isnull=False).exists()


def test_no_transaction_is_open_while_a_network_is_waited_for(live_database: Any) -> None:
    cast = make_cast()
    open_ones: list[int] = []

    def look() -> None:
        with psycopg.connect(live_database.url) as database:
            row = database.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"
            ).fetchone()
            open_ones.extend(row or ())

    with Receiver(began=look) as receiver:
        hook(cast, receiver)
        make_change(cast)
        turn(receiver)
    assert open_ones == [0]


def test_a_mail_server_is_handed_one_message_with_its_page_and_a_key(cast: Cast, settings: Any) -> None:
    with MailServer(refuses=1) as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", server.port, False
        change = make_change(cast, by=cast.second_lead)
        Delivery.objects.exclude(person=cast.owner).delete()
        deliveries.deliver_due(clock=timezone.now)
        assert Delivery.objects.get().answer == "The mail server did not take it: SMTPDataError."
        later = timezone.now() + timedelta(minutes=1)
        deliveries.deliver_due(clock=lambda: later)
        deliveries.deliver_due(clock=lambda: later)
    ((to, text),) = server.taken
    message = message_from_string(text, policy=policy.default)
    assert to == [cast.owner.email]
    assert message["subject"] == f"[Smallfirst] Change {change.number} for {change.place} asks for votes"
    assert message["message-id"].startswith(f"<{Delivery.objects.get().pk}@")
    assert f"http://127.0.0.1:8000/changes/{change.pk}/" in text
    assert "/account/notifications/" in text
    assert (Delivery.objects.get().state, Delivery.objects.get().tries) == ("delivered", 2)


def test_a_mail_server_that_is_away_is_asked_once_a_turn(cast: Cast, settings: Any, free_port: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", free_port(), False
    make_change(cast)
    assert Delivery.objects.count() > 1
    assert deliveries.deliver_due(clock=timezone.now) == 1
    answers = set(Delivery.objects.values_list("answer", flat=True))
    assert answers == {"", "The mail server could not be reached: ConnectionRefusedError."}


def test_what_is_told_once_a_day_is_one_message(cast: Cast) -> None:
    preferences.choose(person=cast.owner, choices={Kind.VOTE_NEEDED: "daily"}, by=cast.owner)
    made = [make_change(cast, keep_from) for keep_from in (0.5, 0.6)]
    mine = Delivery.objects.filter(person=cast.owner)
    due = mine[0].due_at
    Delivery.objects.exclude(person=cast.owner).delete()
    assert deliveries.deliver_due(clock=lambda: due - timedelta(seconds=1)) == 0
    assert deliveries.deliver_due(clock=lambda: due) == 2
    (sent,) = mail.outbox
    assert sent.subject == "[Smallfirst] 2 things happened"
    assert all(f"/changes/{change.pk}/" in sent.body for change in made)
    assert set(mine.values_list("state", flat=True)) == {"delivered"}


def test_who_may_no_longer_sign_in_is_sent_nothing(cast: Cast) -> None:
    make_change(cast)
    accounts.deactivate(person=cast.second_lead, reason="left", by=cast.admin)
    deliveries.deliver_due(clock=timezone.now)
    assert cast.second_lead.email not in str([sent.to for sent in mail.outbox])
    assert Delivery.objects.get(person=cast.second_lead).state == "dead"
    assert Delivery.objects.get(person=cast.owner).state == "delivered"


def test_a_message_holds_no_reason_and_no_policy(cast: Cast) -> None:
    make_change(cast)
    for person in (cast.lead, cast.owner):
        text = emails.composed(person, list(Delivery.objects.filter(person=person))).message().as_string()
        assert "So that people see fewer of them" not in text
        assert "keep_from" not in text


def test_what_nobody_looks_back_to_is_forgotten(cast: Cast) -> None:
    make_change(cast)
    deliveries.forget(now=timezone.now() + timedelta(days=89))
    assert Notification.objects.count() == 1
    deliveries.forget(now=timezone.now() + timedelta(days=91))
    assert (Notification.objects.count(), Delivery.objects.count()) == (0, 0)
