"""What the frame knows of the person who looks: what waits on him, what he may open, and the zone of his times."""

from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from governance.models import Change, Grant, Review, Role, User
from governance.permissions import PERMISSIONS, VIEWS


def counts(user: User) -> dict[str, int]:
    """Return how many reviews this person may take and how many changes ask for his vote; two queries."""
    reviews = Review.objects.takable_by(user).count()
    changes = Change.objects.awaiting(user).count()
    return {"reviews": reviews, "changes": changes, "home": reviews + changes}


def may_see(user: User) -> frozenset[str]:
    """Return the nouns whose pages this person may open somewhere, e.g. reviews and spend; one query."""
    roles = Grant.objects.in_force().filter(user=user).values_list("role", flat=True).distinct()
    return frozenset(act.removesuffix(".view") for role in roles for act in PERMISSIONS[Role(role)] & VIEWS)


def waiting(request: HttpRequest) -> dict[str, object]:
    """Context processor: `waiting` and `may_see`, read only if the page shows them."""
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not user.is_authenticated:
        return {}
    return {"waiting": SimpleLazyObject(lambda: counts(user)), "may_see": SimpleLazyObject(lambda: may_see(user))}


def in_viewers_zone(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: times on a page stand in the viewer's own zone."""

    def middleware(request: HttpRequest) -> HttpResponse:
        zone = getattr(request.user, "time_zone", "UTC")
        try:
            chosen = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            chosen = ZoneInfo("UTC")
        with timezone.override(chosen):
            return get_response(request)

    return middleware
