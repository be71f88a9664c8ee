"""What a change needs and on whom it waits, one sentence each, as its page tells it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from governance import figures
from governance.kinds import KINDS
from governance.models import Change
from governance.votes import VOTABLE, Choice, Standing

# So many are named; of more it is said how many there are.
NAMED = 4
AGAINST = (Choice.REJECT, Choice.REQUEST_CHANGES)


@dataclass(frozen=True)
class Condition:
    """One thing that a change needs, as a sentence without its full stop, and whether it is so."""

    text: str
    met: bool


def conditions(change: Change, standing: Standing, *, now: datetime) -> list[Condition]:
    """Return what a change needs, by its rules and its environment."""
    approving = frozenset(each.of for each in standing.votes if each.counts and each.vote.choice == Choice.APPROVE)
    waits = change.state in VOTABLE
    free = {key: name for key, name in standing.voters.items() if key not in approving}
    found = [*_objections(standing), _votes(change, standing, free.values(), waits=waits)]
    for group in standing.groups:
        text = f"{_by_rules(standing)}: {_count(group.counted, group.needed)} of the group “{group.title}”"
        met = group.counted >= group.needed
        if waits and not met:
            members = [name for key, name in free.items() if key in group.members]
            text += f"; {_waits(group.needed - group.counted, members, 'nobody else of it may vote on this')}"
        found.append(Condition(text, met))
    found.extend(_others(standing, now))
    return found


def _objections(standing: Standing) -> Iterator[Condition]:
    for each in standing.votes:
        if each.counts and each.vote.choice in AGAINST:
            yield Condition(f"Held up by {each.vote.voter}, who {each.said}", met=False)


def _votes(change: Change, standing: Standing, may: Collection[str], *, waits: bool) -> Condition:
    """The votes it needs, whoever casts them."""
    if not standing.needed:
        return Condition(f"{_asked_for(change, standing)}: no vote", met=True)
    text = f"{_asked_for(change, standing)}: {_count(standing.counted, standing.needed)}"
    met = standing.counted >= standing.needed
    if waits and not met:
        text += f"; {_waits(standing.needed - standing.counted, may, 'nobody else may vote on it')}"
    return Condition(text, met)


def _others(standing: Standing, now: datetime) -> Iterator[Condition]:
    """What it needs besides votes: checks, a rest, and no freeze."""
    needed = standing.requirement
    if "simulation" in needed.checks:
        holds = standing.simulation.state == "fresh"
        why_not = standing.simulation.why_not(standing.revision).removesuffix(".")
        text = "that those who approve have seen; it holds" if holds else f"that holds. {why_not}"
        yield Condition(f"{_by_rules(standing)}: a simulation {text}", holds)
    if needed.rests_until is not None:
        over = needed.rests_until <= now
        text = ", which is over" if over else f" until {_moment(needed.rests_until, now)}, so that all can look"
        yield Condition(f"{_by_rules(standing)}: a rest{text}", over)
    if standing.freeze is not None:
        until = _moment(standing.freeze.until, now)
        yield Condition(f"The freeze “{standing.freeze.name}” lets nothing become live until {until}", met=False)


def _asked_for(change: Change, standing: Standing) -> str:
    """Who asks for so many votes: its environments where their own number is as high, else the rules."""
    if standing.requirement.least < standing.needed:
        return _by_rules(standing)
    return f"Asked for in {change.environment}" if change.environment else KINDS[change.kind].asked


def _by_rules(standing: Standing) -> str:
    rules = standing.requirement.rules
    return f"Asked for by the rule{'s' if len(rules) > 1 else ''} {_listed([f'“{each}”' for each in rules], 'and')}"


def _count(counted: int, needed: int) -> str:
    return f"{counted} of {needed} vote{'' if needed == 1 else 's'}"


def _waits(missing: int, may: Collection[str], nobody: str) -> str:
    """On whom the missing votes wait."""
    if not may:
        return nobody
    if len(may) > NAMED:
        return f"waits on {missing} of the {len(may):,} who may"
    told = sorted(may)
    if missing >= len(told):
        return f"waits on {_listed(told, 'and')}"
    return f"waits on {_listed(told, 'or')}" if missing == 1 else f"waits on {missing} of {_listed(told, 'and')}"


def _listed(names: Sequence[str], last: str) -> str:
    return f" {last} ".join([*filter(None, [", ".join(names[:-1])]), *names[-1:]])


def _moment(moment: datetime, now: datetime) -> str:
    return figures.moment_words(moment, now=now, zone=timezone.get_current_timezone())
