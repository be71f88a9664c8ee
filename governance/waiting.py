"""What the frame knows of the person who looks: what waits on him, what he may open, and the zone of his times."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import Exists, Q, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from governance import verifications
from governance.models import Change, Emergency, Grant, Review, Role, Stop, User
from governance.permissions import PERMISSIONS, VIEWS


class Placed(Protocol):
    """What rights are held over, where they may hold in one environment alone."""

    @property
    def team_id(self) -> UUID | None:
        """The team's key."""

    @property
    def environment_id(self) -> UUID | None:
        """The environment's key."""


@dataclass(frozen=True)
class Frame:
    """What the frame shows of a person's rights, a stop of everything, an emergency, and the log to readers."""

    acts: frozenset[str]
    audit_faults: int
    all_stopped: bool
    emergency_until: datetime | None


def frame_of(user: User) -> Frame:
    """Return the acts that this person's roles carry somewhere, how many faults the log has, whether all is stopped.

    And until when the first emergency holds, if one does. One query for all, since every page asks.
    """
    last = verifications.runs().values("after__faults")[:1]
    stopped = Exists(Stop.objects.holding().of_everything())
    emergency = Emergency.objects.holding().order_by("until").values("until")[:1]
    held = Grant.objects.in_force().filter(user=user)
    shown = held.annotate(faults=Subquery(last), stopped=stopped, emergency=Subquery(emergency))
    rows = list(shown.values_list("role", "faults", "stopped", "emergency").distinct())
    acts = frozenset(act for role, *_rest in rows for act in PERMISSIONS[Role(role)])
    # The same in every row; none without a role.
    faults = max((faults or 0 for _role, faults, _stopped, _until in rows), default=0)
    until = next((until for _role, _faults, _stopped, until in rows), None)
    return Frame(acts, faults if "audit.view" in acts else 0, any(row[2] for row in rows), until)


def acts_of(user: User) -> frozenset[str]:
    """Return the acts that this person's roles carry somewhere; one query."""
    roles = Grant.objects.in_force().filter(user=user).values_list("role", flat=True).distinct()
    return frozenset(act for role in roles for act in PERMISSIONS[Role(role)])


def acts_on(user: User, obj: Placed) -> frozenset[str]:
    """Return the acts that this person's roles carry for something in an environment, as accounts.can; one query."""
    place = obj.environment_id
    held = Grant.objects.in_force().filter(
        Q(team=None) | Q(team=obj.team_id) if obj.team_id else Q(team=None), user=user
    )
    found: set[str] = set()
    for role, environment in held.values_list("role", "environment").distinct():
        acts = PERMISSIONS[Role(role)]
        found |= acts if environment in (None, place) else acts & VIEWS
    return frozenset(found)


def counts(user: User, acts: Collection[str]) -> dict[str, int]:
    """Return how many reviews this person may take and how many changes ask for his vote; one query each."""
    reviews = Review.objects.takable_by(user).count() if "reviews.take" in acts else 0
    changes = Change.objects.awaiting(user).count() if "changes.vote" in acts else 0
    return {"reviews": reviews, "changes": changes, "home": reviews + changes}


def waiting(request: HttpRequest) -> dict[str, object]:
    """Context processor: `waiting`, nouns one `may_see`, and what the frame warns of; read if shown."""
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not user.is_authenticated:
        return {}
    frame = SimpleLazyObject(lambda: frame_of(user))
    return {
        "waiting": SimpleLazyObject(lambda: counts(user, frame.acts)),
        "may_see": SimpleLazyObject(lambda: {act.removesuffix(".view") for act in frame.acts if act in VIEWS}),
        "audit_faults": SimpleLazyObject(lambda: frame.audit_faults),
        "all_stopped": SimpleLazyObject(lambda: frame.all_stopped),
        "frame": frame,
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
