"""Troubles: requests that got no answer or were not allowed, by workflow and by why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count

from governance.models import Workflow
from ledger import attempts as made
from ledger.attempts import Attempt
from ledger.models import Decision
from ledger.models.decisions import DecisionQuerySet
from routing import ladders, retellings, words
from routing.requests import Reader

Outcome = Decision.Outcome
TROUBLES = (Outcome.FAILED, Outcome.REFUSED)
# Why is found by deciding again, one by one; so many tell what is going on.
MOST_TOLD = 200


@dataclass(frozen=True)
class Why:
    """One reason, how often it stands among those that were looked at, and the newest request with it."""

    text: str
    count: int
    newest: UUID


@dataclass(frozen=True)
class Trouble:
    """The requests of one workflow with one outcome: how many, and why, the most frequent reason first.

    Reasons are those of the newest MOST_TOLD troubles of all: `looked_at` of these are of this workflow and outcome.
    """

    workflow: Workflow
    outcome: Outcome
    count: int
    whys: Sequence[Why]

    @property
    def looked_at(self) -> int:
        """How many requests the reasons are of."""
        return sum(why.count for why in self.whys)


def since(reader: Reader, day: date, *, zone: ZoneInfo) -> list[Trouble]:
    """Return the troubles from a day of a zone on, the most requests first; at most five queries."""
    found = _since(reader, day, zone)
    counted = found.values_list("workflow", "outcome").annotate(Count("id")).order_by()
    counts = {(workflow, Outcome(outcome)): number for workflow, outcome, number in counted}
    if not counts:
        return []
    workflows = Workflow.objects.in_bulk([workflow for workflow, _outcome in counts])
    whys: dict[tuple[UUID, Outcome], list[Why]] = {}
    for (place, text), decisions in _by_reason(found)[0].items():
        whys.setdefault(place, []).append(Why(text, len(decisions), decisions[0]))
    most = sorted(counts, key=lambda place: counts[place], reverse=True)
    return [Trouble(workflows[place[0]], place[1], counts[place], whys.get(place, [])) for place in most]


def because(
    reader: Reader, why: str, *, day: date | None, zone: ZoneInfo
) -> tuple[list[UUID], Mapping[UUID, list[Attempt]]]:
    """Return the decisions that `since` counts for a reason, of all workflows, and attempts of them and of others.

    At most three queries.
    """
    told, attempts = _by_reason(_since(reader, day, zone))
    return [each for (_place, text), found in told.items() if text == why for each in found], attempts


def _since(reader: Reader, day: date | None, zone: ZoneInfo) -> DecisionQuerySet:
    return reader.decisions.on_days(day, None, zone=zone).filter(outcome__in=TROUBLES)


def _by_reason(
    troubles: DecisionQuerySet,
) -> tuple[dict[tuple[tuple[UUID, Outcome], str], list[UUID]], Mapping[UUID, list[Attempt]]]:
    """The newest of some troubles, newest first, by workflow, outcome and reason, and the attempts of all.

    The most frequent reason stands first.
    """
    decisions = list(troubles.for_list().order_by("-id")[:MOST_TOLD])
    attempts = made.of([each.id for each in decisions])
    found: dict[tuple[tuple[UUID, Outcome], str], list[UUID]] = {}
    for decision, retelling in zip(decisions, retellings.retell_all(decisions), strict=True):
        outcome = Outcome(decision.outcome)
        refused = outcome == Outcome.REFUSED
        why = words.refused(retelling) if refused else _failure(decision, attempts.get(decision.id, []))
        found.setdefault(((decision.workflow_id, outcome), why), []).append(decision.id)
    return dict(sorted(found.items(), key=lambda each: len(each[1]), reverse=True)), attempts


def _failure(decision: Decision, attempts: Sequence[Attempt]) -> str:
    """What became of the last attempt: after it nothing was left to ask."""
    if not decision.attempts:
        return "No model was asked"
    outcome, event = decision.attempts[-1]["outcome"], attempts[-1].event if attempts else None
    said = "answered, and was cut off" if outcome == "ok" else ladders.failure(outcome, event)
    return f"{event.model}: {said}" if event else said.capitalize()
