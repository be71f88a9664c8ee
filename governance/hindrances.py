"""What keeps a change from becoming live now: each thing with a name for programs and a sentence for people.

Page and API tell the same. Where it has the votes it needs and nothing of this, it can be activated.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from governance.change_records import Head, checked, place_of, refuse_retired, refuse_stale, refuse_unserved
from governance.errors import GovernanceError, InvalidDocument
from governance.models import Appointment, Change, ContentHead, PolicyHead
from governance.models.contents import PLACE
from governance.refusals import code_of
from governance.votes import VOTABLE, Choice, Standing

AGAINST = (Choice.REJECT, Choice.REQUEST_CHANGES)
# These the list of what it needs tells as well, with the names of those on whom it waits.
OF_VOTES = ("objection", "votes_missing")


@dataclass(frozen=True)
class Hindrance:
    """One thing that keeps it, by a name that stays, and a sentence."""

    code: str
    text: str


def of(change: Change, standing: Standing, *, now: datetime) -> list[Hindrance]:
    """Return all of them, what only a revision mends first. Six queries at most."""
    if change.state not in Change.OPEN:
        return [Hindrance("not_open", f"Change {change.number} is {change.get_state_display().lower()}.")]
    return [*_of_content(change, standing, now), *_of_votes(standing), *_of_rule(standing, now)]


def clash(change: Change) -> Hindrance | None:
    """Say which other change is to become live in the same place by itself, and would make this one stale."""
    if change.state not in VOTABLE or change.kind == Change.Kind.APPROVAL_RULES:
        return None
    same = {name: getattr(change, name) for name in PLACE}
    other = Appointment.objects.waiting().filter(**same).exclude(change=change).select_related("change").first()
    if other is None:
        return None
    text = f"Change {other.change.number} is to become live for {change.place} by itself at {_said(other.at)}, and "
    return Hindrance("appointment_clash", f"{text}would make this one stale.")


def _of_content(change: Change, standing: Standing, now: datetime) -> Iterator[Hindrance]:
    refusals: tuple[Callable[[], object], ...] = (
        lambda: refuse_retired(change),
        lambda: refuse_stale(change, _head(change)),
        lambda: refuse_unserved(change, checked(change, change.revision.leads_to.document)),
    )
    for refuse in refusals:
        try:
            refuse()
        except InvalidDocument as error:
            yield Hindrance(code_of(type(error))[1], f"As it is, it cannot serve: {error}.")
        except GovernanceError as error:
            yield Hindrance(code_of(type(error))[1], str(error))
    if standing.expired(now):
        yield Hindrance("expired", f"Change {change.number} has expired. Revise it, and ask for votes anew.")


def _of_votes(standing: Standing) -> Iterator[Hindrance]:
    for each in standing.votes:
        if each.counts and each.vote.choice in AGAINST:
            yield Hindrance("objection", f"{each.vote.voter} {each.said}.")
        elif each.vote.choice == Choice.APPROVE and not each.counts:
            text = f"{each.vote.voter} approved it, but {each.why_not}: that counts no more."
            yield Hindrance("vote_lost", text)
    if standing.counted < standing.needed or standing.missing:
        yield Hindrance("votes_missing", f"It has {standing.said}.")


def _of_rule(standing: Standing, now: datetime) -> Iterator[Hindrance]:
    needed, simulation = standing.requirement, standing.simulation
    if "simulation" in needed.checks and simulation.state != "fresh":
        why_not = simulation.why_not(standing.revision)
        yield Hindrance(f"simulation_{simulation.state}", f"Its rule asks for a simulation that holds. {why_not}")
    if needed.rests_until is not None and needed.rests_until > now:
        yield Hindrance("resting", f"It rests until {_said(needed.rests_until)}, so that everybody can look at it.")
    if standing.freeze is not None:
        until = _said(standing.freeze.until)
        yield Hindrance("frozen", f"{standing.freeze.name} lets nothing become live until {until}.")


def _head(change: Change) -> Head | None:
    """What is live in its place, as the page sees it."""
    if change.kind != Change.Kind.POLICY:
        return ContentHead.objects.select_related("content").get(**place_of(change))
    place = PolicyHead.objects.filter(workflow=change.workflow, environment=change.environment)
    return place.select_related("version").first()


def _said(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%-d %B %Y %H:%M} UTC"
