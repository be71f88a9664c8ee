"""The door of the demo: who there is to be, what each comes for, and the story in five minutes."""

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from config import state as places
from config.peers import is_local
from demo.people import PEOPLE, Person
from governance import accounts
from governance.models import User

COOKIE = "smallfirst_demo_door"


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
        "trial",
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
    """Who to be, and what to see in five minutes, for a browser that came with what `up` printed (`?door=…`).

    Raises Http404 for whoever is not at this machine, and for what is not the door's token.
    """
    _require_here(request)
    if given := request.GET.get("door", ""):
        return _opened(given)
    if not _has_come_in(request):
        return render(request, "demo/closed.html", status=403)
    there = set(User.objects.filter(is_active=True).values_list("email", flat=True))
    people = [person for person in PEOPLE if person.email in there]
    story = STORY if len(people) == len(PEOPLE) else ()
    return render(request, "demo/door.html", {"people": people, "story": story})


@login_not_required
@require_POST
def become(request: HttpRequest, login_name: str) -> HttpResponse:
    """Sign in as one of the demo's people, without his password, and go where the form says within the story.

    Raises Http404 for whoever is not at this machine or has not come in by the door, for nobody of the demo, and for an
    account that is closed.
    """
    _require_here(request)
    if not _has_come_in(request):
        raise Http404
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


def _opened(given: str) -> HttpResponse:
    """Let a browser in that shows the door's token, and take it out of the address. Raises Http404 for another."""
    token = _token()
    if not token or not constant_time_compare(given, token):
        raise Http404
    answer = redirect("demo")
    answer.set_signed_cookie(COOKIE, accounts.token_sha256(token), path=reverse("demo"), httponly=True, samesite="Lax")
    return answer


def _has_come_in(request: HttpRequest) -> bool:
    """Whether this browser showed the token that is in the state directory now."""
    token = _token()
    shown = request.get_signed_cookie(COOKIE, default="")
    return bool(token) and constant_time_compare(shown or "", accounts.token_sha256(token))


def _token() -> str:
    """What opens the door; empty where the demo has none."""
    try:
        return places.read_secret(settings.STATE / "demo-door")
    except FileNotFoundError:
        return ""


def _require_here(request: HttpRequest) -> None:
    """Who opens this door needs no password: so it stands on this machine alone, and not behind a proxy.

    That is not enough by itself: what relays TCP to this machine looks like a program on it. Hence the token.
    """
    named = request.get_host().partition(":")[0] in ("127.0.0.1", "localhost")
    if not (settings.DEMO and named and is_local(request)):
        raise Http404
