"""A part of the home page: what is still to set up."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance import accounts
from ledger import setup as setting_up


@require_safe
def setup(request: HttpRequest) -> HttpResponse:
    """What is to set up, with the next thing first to hand; nothing once all is done."""
    accounts.require(request.user, "registry.edit")
    steps = setting_up.steps(timezone.now())
    done = sum(step.done for step in steps)
    following = next((step for step in steps if not step.done), None)
    return render(request, "ledger/_setup.html", {"steps": steps, "done": done, "following": following})
