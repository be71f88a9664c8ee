"""What the frame knows of the person who looks: what waits on him, what he may open, and the zone of his times."""

import functools
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import connection
from django.db.models import Case, Count, Exists, Q, QuerySet, Subquery, Value, When
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from governance import verifications
from governance.models import Change, Emergency, Grant, Review, Role, Stop, User
from governance.permissions import PERMISSIONS, VIEWS

# What stands for the person and the moment in the parameters of the frame's query.
_PERSON: Any = object()
_MOMENT: Any = object()


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
    """What the frame shows of a person's rights, a stop of everything, an emergency, and the log to readers.

    `reviews` is how many cases he may take, `changes` how many ask for his vote.
    """

    acts: frozenset[str] = frozenset()
    audit_faults: int = 0
    all_stopped: bool = False
    emergency_until: datetime | None = None
    reviews: int = 0
    changes: int = 0

    @property
    def waiting(self) -> dict[str, int]:
        """What waits on him, by the page where it stands."""
        return {"reviews": self.reviews, "changes": self.changes, "home": self.reviews + self.changes}


def frame_of(user: User) -> Frame:
    """Return what the frame shows this person: his roles' acts, what waits on him, and what all are warned of.

    One query for all, since every page asks, and made once: to put it together takes Django longer than PostgreSQL to
    answer it.
    """
    if not user.is_active or user.acts is not None:
        return _frame(list(_asked(user)))
    sql, given = _prepared()
    moment = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(sql, [user.pk if each is _PERSON else moment if each is _MOMENT else each for each in given])
        return _frame([(role, json.loads(faults or "0"), *rest) for role, faults, *rest in cursor.fetchall()])


@functools.cache
def _prepared() -> tuple[str, tuple[Any, ...]]:
    """The query of `_asked` as text, with what stands for the person and the moment among its parameters."""
    stand_in = User(pk=uuid4())
    sql, given = _asked(stand_in).query.sql_with_params()

    def said(each: Any) -> Any:
        return _PERSON if each == stand_in.pk else _MOMENT if isinstance(each, datetime) else each

    return sql, tuple(said(each) for each in given)


def _asked(user: User) -> "QuerySet[Any, tuple[Any, ...]]":
    """What the frame asks of a person: a row for each of his roles, all with the same beside the role."""
    last = verifications.runs().values("after__faults")[:1]
    stopped = Exists(Stop.objects.holding().of_everything())
    emergency = Emergency.objects.holding().order_by("until").values("until")[:1]
    held = Grant.objects.in_force().filter(user=user)
    shown = held.annotate(
        faults=Subquery(last),
        stopped=stopped,
        emergency=Subquery(emergency),
        reviews=_counted(user, "reviews.take", Review.objects.takable_by(user)),
        changes=_counted(user, "changes.vote", Change.objects.awaiting(user)),
    )
    return shown.values_list("role", "faults", "stopped", "emergency", "reviews", "changes").distinct()


def _frame(rows: Sequence[tuple[Any, ...]]) -> Frame:
    if not rows:
        return Frame()
    acts = acts_in({Role(role) for role, *_rest in rows})
    _role, faults, all_stopped, until, reviews, changes = rows[0]
    return Frame(acts, (faults or 0) if "audit.view" in acts else 0, all_stopped, until, reviews or 0, changes or 0)


def _counted(user: User, act: str, rows: "QuerySet[Any]") -> Case:
    """How many rows there are, counted only for who has the act at all."""
    count = rows.order_by().annotate(each=Value(1)).values("each").annotate(n=Count("pk")).values("n")
    return Case(When(Exists(Grant.objects.allowing(user, act)), then=Subquery(count)), default=Value(0))


def roles_of(user: User) -> frozenset[Role]:
    """Return the roles that this person holds somewhere; one query."""
    roles = Grant.objects.in_force().filter(user=user).values_list("role", flat=True).distinct()
    return frozenset(Role(role) for role in roles)


def acts_of(user: User) -> frozenset[str]:
    """Return the acts that this person's roles carry somewhere; one query."""
    return acts_in(roles_of(user))


def acts_in(roles: Collection[Role]) -> frozenset[str]:
    """Return the acts that some roles carry."""
    return frozenset(act for role in roles for act in PERMISSIONS[role])


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


def waiting(request: HttpRequest) -> dict[str, object]:
    """Context processor: `waiting`, nouns one `may_see`, and what the frame warns of; read if shown."""
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not user.is_authenticated:
        return {}
    frame = SimpleLazyObject(lambda: frame_of(user))
    return {
        "waiting": SimpleLazyObject(lambda: frame.waiting),
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
