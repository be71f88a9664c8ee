"""Takes Harbour & Vale out of use, by the verbs that any organisation would use; nothing of the record goes."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from django.db import transaction
from django.db.models import Model as DbModel
from django.db.models import Q, QuerySet

from demo import processes
from demo.organisation import APPLICATIONS
from demo.people import BOOTSTRAP, PEOPLE, of_demo
from demo.recorded import world
from demo.register import MODELS
from governance import accounts, changes, gateways, registry, reviews, workflows
from governance.models import ApiKey, Change, Gateway, Grant, Model, Review, Role, User, Workflow
from governance.registry import ModelInUse
from governance.reviews import AlreadyEnded
from routing import evaluations
from routing.models import Evaluation, EvaluationSchedule

Row = TypeVar("Row", bound=DbModel)
REASON = "The demo is removed"
# Says to later starts that this state directory holds an installation of one's own.
MARK = "demo-removed"
FILES = ("demo-password", "demo-people", "demo-curl", "demo-door", *(file for _name, file in APPLICATIONS.values()))


class NotRemovableError(Exception):
    """The demo cannot be removed; the text says why and what to do."""


def remove(*, state: Path, now: datetime) -> list[str]:
    """Retire, revoke, end and deactivate all that is the demo's; return what was done, in sentences.

    The audit log and the ledger stay as they are. A removal that was killed is done by the next. Raises
    NotRemovableError where there is no demo, and where nobody else could manage people afterwards.
    """
    demo_people = User.objects.filter(email__in=[each.email for each in PEOPLE])
    left = demo_people.filter(is_active=True) if (state / MARK).exists() else demo_people
    if not left.exists():
        raise NotRemovableError("There is no demo here, or it was removed before.")
    others = Grant.objects.in_force(now).filter(role=Role.ADMIN, user__is_active=True)
    if not others.exclude(user__in=demo_people).exists():
        raise NotRemovableError(
            "Nobody else could sign in afterwards. Make somebody first:  ./run manage create_person EMAIL NAME"
        )
    with transaction.atomic():
        done = [*_end_work(now), *_end_register(), *_end_people()]
        # Before the commit: whoever is killed between the two removes again, but no start makes the demo anew.
        (state / MARK).write_text(f"{now.isoformat()}\n")
    for name in FILES:
        (state / name).unlink(missing_ok=True)
    return done


def _end_work(now: datetime) -> list[str]:
    """Schedules, evaluations, changes, cases, keys, then the workflows that they belong to."""
    mine = Workflow.objects.filter(slug__in=[each.slug for each in processes.ALL], retired_at=None)
    lead = of_demo("lead")
    schedules = EvaluationSchedule.objects.in_force().filter(step__workflow__in=mine)
    running = Evaluation.objects.active().filter(step__workflow__in=mine)
    # What somebody else proposed is his; of a retired workflow it asks nobody for a vote.
    proposed = Change.objects.open().filter(
        Q(workflow__in=mine) | Q(kind=Change.Kind.STANDARD),
        proposed_by__is_active=True,
        proposed_by__email__in=[each.email for each in PEOPLE],
    )
    cases = Review.objects.waiting().filter(workflow__in=mine)
    keys = ApiKey.objects.filter(workflow__in=mine, revoked_at=None)

    def cancel(case: Review) -> None:
        # One whose time is over ends by itself.
        with suppress(AlreadyEnded):
            reviews.cancel(review=case, reason=REASON, by=lead, now=now)

    return [
        _said("ended {} schedules", schedules, lambda each: evaluations.unschedule(schedule=each, by=lead, now=now)),
        _said("cancelled {} evaluations", running, lambda each: evaluations.cancel(evaluation=each, by=lead, now=now)),
        _said(
            "withdrew {} open changes",
            proposed,
            lambda each: changes.withdraw(change=each, by=each.proposed_by, reason=REASON),
        ),
        _said("cancelled {} open cases", cases, cancel),
        _said("revoked {} API keys", keys, lambda each: accounts.revoke_key(key=each, by=BOOTSTRAP, reason=REASON)),
        _said("retired {} workflows", mine, lambda each: workflows.retire(workflow=each, by=BOOTSTRAP, reason=REASON)),
    ]


def _end_register() -> list[str]:
    """Its models, but for those that a policy of somebody else names; and what recordings were booked by."""
    names = [each.name for each in (*MODELS, *world.MODELS)]
    recordings = Gateway.objects.filter(name=world.GATEWAY, revoked_at=None)
    retired, kept = 0, []
    for model in Model.objects.filter(name__in=names, state=Model.State.ACTIVE):
        try:
            registry.retire(model=model, by=BOOTSTRAP, reason=REASON)
            retired += 1
        except ModelInUse as error:
            kept.append(f"kept a model: {error}")

    def end(gateway: Gateway) -> None:
        gateways.revoke(gateway=gateway, by=BOOTSTRAP, reason=REASON)

    return [f"retired {retired} models", *kept, _said("revoked {} gateway of recordings", recordings, end)]


def _end_people() -> list[str]:
    people = User.objects.filter(email__in=[each.email for each in PEOPLE], is_active=True)
    return [
        _said(
            "deactivated {} accounts",
            people,
            lambda each: accounts.deactivate(person=each, by=BOOTSTRAP, reason=REASON),
        )
    ]


def _said(text: str, rows: QuerySet[Row], end: Callable[[Row], object]) -> str:
    """End each of the rows and say how many they were."""
    found = list(rows)
    for row in found:
        end(row)
    return text.format(len(found))
