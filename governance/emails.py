"""E-mails that tell people of notifications: plain text, one thing or those of a day, each leading to its page."""

from collections.abc import Sequence
from email.utils import formataddr

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.urls import reverse

from governance.models import Delivery, NotificationKind, User


class Unsent(Exception):
    """The mail server did not take a message; the text says why, with nothing of the message."""


class ServerAway(Unsent):
    """The mail server could not be reached at all: others will not arrive either."""


def send(person: User, deliveries: Sequence[Delivery]) -> str:
    """Send a person one message about these deliveries, or raise Unsent; return what came of it.

    Its Message-ID is the first one's key: sent again, mail programs know that it is the same.
    """
    connection = get_connection(fail_silently=False)
    try:
        connection.open()
    except Exception as error:
        raise ServerAway(f"The mail server could not be reached: {type(error).__name__}.") from error
    try:
        composed(person, deliveries, connection=connection).send()
    except Exception as error:
        # SMTP's errors hold addresses and what the server said: their names are enough.
        raise Unsent(f"The mail server did not take it: {type(error).__name__}.") from error
    finally:
        connection.close()
    return "The mail server took it."


def composed(
    person: User, deliveries: Sequence[Delivery], *, connection: BaseEmailBackend | None = None
) -> EmailMessage:
    """Return the message about these deliveries, at least one."""
    told = [each.notification for each in deliveries]
    many = len(told) > 1
    subject = f"{len(told)} things happened" if many else told[0].title
    parts = [f"{each.title}.\n{each.text}\n{settings.PUBLIC_URL}{each.path}" for each in told]
    kinds = dict.fromkeys(NotificationKind(each.kind).label for each in told)
    footer = (
        f"-- \nYou are told this as “{'”, “'.join(kinds)}”. Nothing is decided by opening a link.\n"
        f"Choose what you are told: {settings.PUBLIC_URL}{reverse('account_notifications')}"
    )
    return EmailMessage(
        subject=f"[Smallfirst] {subject}",
        body="\n\n".join([*parts, footer]) + "\n",
        to=[formataddr((person.name, person.email))],
        headers={
            "Message-ID": f"<{deliveries[0].pk}@{settings.EMAIL_DOMAIN}>",
            # No vacation responder answers this.
            "Auto-Submitted": "auto-generated",
        },
        connection=connection,
    )
