"""What waits on the person who looks: the counts beside the navigation, and the zone his times are shown in."""

from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from governance.models import Change, Review, User


def counts(user: User) -> dict[str, int]:
    """Return how many reviews this person may take and how many changes ask for his vote; two queries."""
    reviews = Review.objects.takable_by(user).count()
    changes = Change.objects.awaiting(user).count()
    return {"reviews": reviews, "changes": changes, "home": reviews + changes}


def waiting(request: HttpRequest) -> dict[str, object]:
    """Context processor: `waiting`, counted only if the page shows it."""
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not user.is_authenticated:
        return {}
    return {"waiting": SimpleLazyObject(lambda: counts(user))}


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
