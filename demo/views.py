"""The door of the demo: who there is to be, what each comes for, and the story in five minutes."""

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from config.peers import is_local
from demo.people import PEOPLE, Person
from governance.models import User


@dataclass(frozen=True)
class Minute:
    """One minute of the story: who plays it, what he does, and the page it begins on."""

    login: str
    title: str
    text: str
    page: str
    arguments: tuple[str, ...] = ()

    @property
    def person(self) -> Person:
        """Who plays it."""
        return _person(self.login)

    @property
    def address(self) -> str:
        """Where it begins."""
        return reverse(self.page, args=self.arguments)


STORY = (
    Minute(
        "integrator",
        "Try a request",
        "Type a sentence, or take the one that no model is sure of: each rung says how sure it was and what it cost, "
        "and then a person is asked.",
        "try",
    ),
    Minute(
        "reviewer",
        "Decide what machines should not",
        "Take the next case, see why no model was sure, answer with one key. The application gets your answer.",
        "reviews",
    ),
    Minute(
        "lead",
        "Let a cheaper model answer more",
        "Propose to keep answers from 0.60. What that would have done is said before anybody approves, and you cannot "
        "approve your own.",
        "change_new",
        ("customer-feedback",),
    ),
    Minute(
        "finance",
        "See what that is worth",
        "Spend to the single attempt, and what one large model would have taken: with the baseline, the method and the "
        "bounds.",
        "savings",
    ),
    Minute(
        "auditor",
        "Follow one request",
        "The newest request as it was decided, replayed from the record; and in the audit log every act with its "
        "actor, its reason and its time.",
        "follow",
    ),
)


@login_not_required
@require_safe
@never_cache
def door(request: HttpRequest) -> HttpResponse:
    """Who to be, and what to see in five minutes. Raises Http404 for whoever is not at this machine."""
    _require_here(request)
    there = set(User.objects.filter(is_active=True).values_list("email", flat=True))
    people = [person for person in PEOPLE if person.email in there]
    story = STORY if len(people) == len(PEOPLE) else ()
    return render(request, "demo/door.html", {"people": people, "story": story})


@login_not_required
@require_POST
def become(request: HttpRequest, login_name: str) -> HttpResponse:
    """Sign in as one of the demo's people, without his password, and go where the form says within the story.

    Raises Http404 for whoever is not at this machine, for nobody of the demo, and for an account that is closed.
    """
    _require_here(request)
    person = get_object_or_404(User, email=_person(login_name).email, is_active=True)
    login(request, person, backend=settings.AUTHENTICATION_BACKENDS[0])
    pages = {minute.address for minute in STORY}
    wanted = request.POST.get("next", "")
    return redirect(wanted if wanted in pages else "home")


def _person(login_name: str) -> Person:
    found = next((each for each in PEOPLE if each.login == login_name), None)
    if found is None:
        raise Http404
    return found


def _require_here(request: HttpRequest) -> None:
    """Who opens this door needs no password, so it opens on this machine alone, and not behind a proxy."""
    named = request.get_host().partition(":")[0] in ("127.0.0.1", "localhost")
    if not (settings.DEMO and named and is_local(request)):
        raise Http404
