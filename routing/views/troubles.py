"""Troubles, for the home page of who connects applications: what got no answer or was not allowed, and why."""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from governance import accounts
from ledger.views import selection as chosen
from routing import requests as found
from routing import troubles as troubles_of

SHOWN = 9


@require_safe
def troubles(request: HttpRequest) -> HttpResponse:
    """The troubles since yesterday of the workflows whose requests this person may read."""
    reader = found.reader(accounts.signed_in(request.user))
    since = chosen.today() - timedelta(days=1)
    listed = troubles_of.since(reader, since, zone=chosen.reporting_zone())
    context = {"troubles": listed[:SHOWN], "more": len(listed) - SHOWN, "since": since}
    return render(request, "routing/_troubles.html", context)
