"""What the frame knows of the person who looks: what waits on him, what he may open, and the zone of his times."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from governance import verifications
from governance.models import Change, Grant, Review, Role, User
from governance.permissions import PERMISSIONS, VIEWS


@dataclass(frozen=True)
class Frame:
    """What the frame shows of a person's rights, and of the audit log to who may read it."""

    acts: frozenset[str]
    audit_faults: int


def frame_of(user: User) -> Frame:
    """Return the acts that this person's roles carry somewhere, and how many faults the log was last found to have.

    One query for both, since every page asks.
    """
    last = verifications.runs().values("after__faults")[:1]
    held = Grant.objects.in_force().filter(user=user).annotate(faults=Subquery(last))
    rows = list(held.values_list("role", "faults").distinct())
    acts = frozenset(act for role, _faults in rows for act in PERMISSIONS[Role(role)])
    faults = max((faults or 0 for _role, faults in rows), default=0)
    return Frame(acts, faults if "audit.view" in acts else 0)


def acts_of(user: User) -> frozenset[str]:
    """Return the acts that this person's roles carry somewhere; one query."""
    roles = Grant.objects.in_force().filter(user=user).values_list("role", flat=True).distinct()
    return frozenset(act for role in roles for act in PERMISSIONS[Role(role)])


def counts(user: User, acts: Collection[str]) -> dict[str, int]:
    """Return how many reviews this person may take and how many changes ask for his vote; one query each."""
    reviews = Review.objects.takable_by(user).count() if "reviews.take" in acts else 0
    changes = Change.objects.awaiting(user).count() if "changes.vote" in acts else 0
    return {"reviews": reviews, "changes": changes, "home": reviews + changes}


def waiting(request: HttpRequest) -> dict[str, object]:
    """Context processor: `waiting`, the nouns one `may_see` and `audit_faults`, read only if the page shows them."""
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not user.is_authenticated:
        return {}
    frame = SimpleLazyObject(lambda: frame_of(user))
    return {
        "waiting": SimpleLazyObject(lambda: counts(user, frame.acts)),
        "may_see": SimpleLazyObject(lambda: {act.removesuffix(".view") for act in frame.acts if act in VIEWS}),
        "audit_faults": SimpleLazyObject(lambda: frame.audit_faults),
    }


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
