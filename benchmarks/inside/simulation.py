"""A simulation over very many past requests, as the worker does it, and the planning in columns that it rests on.

The requests of one workflow are decided again under the live policy and under another one, twenty rules each. Of the
planning in columns a sample is decided by the engine, one by one: one that comes out otherwise ends the run without a
figure. So do stored requests that add up to something else in columns than one by one, and a simulation that ends
otherwise than done, or that tells of another number of requests.
"""

import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from django.db import connection
from django.utils import timezone

from benchmarks import machine
from benchmarks.inside import past
from benchmarks.inside.looking import settle
from benchmarks.inside.past import Asked
from benchmarks.inside.site import ACTOR, Site, make
from benchmarks.measures import Measure, Void, columns, middle, report, shown
from benchmarks.simulation import parser
from governance import accounts, changes, checks
from governance.models import PolicyHead, Role, User
from ledger.models import Decision
from routing import columns as planning
from routing import comparing, endings, simulating, simulations, snapshots, tallies
from routing.comparing import Comparison, Under
from routing.models import Simulation
from routing.pasts import Reader
from routing.tallies import Tally
from smallfirst import engine
from smallfirst.engine import Plan, Refusal, SnapshotDocument

GOAL_DECISIONS = 3_000_000
# A million requests in five seconds.
GOAL_SECONDS_EACH = 5 / 1_000_000


@dataclass(frozen=True)
class Planning:
    """Decisions a second in columns and one by one, and what was asked."""

    rates: list[float]
    one_by_one: float
    kinds: tuple[int, int]


@dataclass(frozen=True)
class Whole:
    """Seconds of each whole simulation, those of processors of the worker and of the database's, and what was found.

    `memory` is the worker's at most, `resting` before, in MB.
    """

    seconds: list[float]
    busy: list[float]
    memory: float
    resting: float
    known: int
    changed: int


def main(words: Sequence[str]) -> int:
    """Measure and report."""
    options = parser.parse_args(words)
    until = timezone.now()
    site, lead, head = _live(options.rules)
    before, after = _policies(head, options.rules, until)
    planned = plan(before, after, options.requests, options.sample, options.rounds, until)
    attempts = past.fill(site, before.snapshot, head.version_id, options.requests, until)
    settle()
    check(site, before, after, options.sample, until)
    whole = simulate(site, lead, head, options.requests, options.rounds, options.rules)
    rows = [
        ["planned in columns, decisions a second", *map(shown, (middle(planned.rates), max(planned.rates)))],
        ["whole simulation, requests a second"]
        + [shown(options.requests / seconds) for seconds in (middle(whole.seconds) or 0, min(whole.seconds))],
    ]
    print(f"\n{columns(('in this process', 'median', 'best'), rows)}")
    print(
        f"\n{options.requests:,} requests with {attempts:,} attempts; {planned.kinds[0]:,} and {planned.kinds[1]:,} "
        f"kinds of them under the two policies; the past tells the end of {whole.known:,}, {whole.changed:,} changed; "
        f"the worker had {shown(whole.resting)} MB before and {shown(whole.memory)} MB at most"
    )
    print(f"\nafterwards: {machine.described()}")
    report(measures(planned, whole, options.requests))
    return 0


def _live(rules: int) -> tuple[Site, User, PolicyHead]:
    """A workflow with a live policy, by the product's verbs; who may ask what another one would do."""
    machine.say("making a workflow")
    site = make(1)
    workflow, environment = site.keys[0].workflow, site.keys[0].environment
    lead = accounts.create_person(email="lead@benchmark.example", name="Lead", by=ACTOR)
    accounts.grant(user=lead, role=Role.LEAD, team=None, by=ACTOR)
    change = changes.propose(
        workflow=workflow,
        environment=environment,
        document=past.policy(rules=rules, keep_from=0.8),
        title="Begin",
        note="",
        mode="enforce",
        by=site.everyone,
    )
    for voter in (workflow.owner, lead):
        change.refresh_from_db()
        if change.state not in ("approved", "live"):
            seen: dict[str, Any] = {"digest": change.revision.payload_digest}
            seen["simulation"] = checks.standing(change, "simulation").seen
            changes.vote(change=change, choice="approve", reason="", by=voter, **seen)
    changes.activate(change=change, by=lead)
    head = PolicyHead.objects.select_related("version").get(workflow=workflow, environment=environment)
    return site, lead, head


def other(rules: int) -> dict[str, Any]:
    """The policy that is compared: keeps a little less sure answers, and begins higher with what looks hard."""
    return past.policy(rules=rules, keep_from=0.72, start="mid")


def _policies(head: PolicyHead, rules: int, now: datetime) -> tuple[Under, Under]:
    """Both over the register of now, as a simulation has them."""
    register = msgspec.json.decode(snapshots.make(head.environment, now=now).text, type=SnapshotDocument)
    before = comparing.under(register, head.workflow_id, head.version.document, head.mode)
    after = comparing.under(register, head.workflow_id, other(rules), head.mode)
    if before is None or after is None:
        raise Void("nothing is live")
    return before, after


def plan(before: Under, after: Under, number: int, sample: int, rounds: int, until: datetime) -> Planning:
    """Decide so many requests under both policies. Raises Void where a sample comes out otherwise by the engine."""
    machine.say(f"planning {number:,} requests in columns")
    (workflow,) = before.snapshot.workflows
    chosen = set(random.Random(4471).sample(range(number), min(sample, number)))
    kept: dict[int, Asked] = {}

    def rows() -> Any:
        for place, (_at, asked) in enumerate(past.requests(workflow, number, until)):
            if place in chosen:
                kept[place] = asked
            yield asked

    asked = planning.columns(rows())
    rates, found = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        found = [planning.planned(asked, under.snapshot, under.policy) for under in (before, after)]
        rates.append(2 * number / (time.perf_counter() - began))
    began = time.perf_counter()
    single = [
        (place, plan, engine.plan(*each, under.snapshot))
        for under, plan in zip((before, after), found, strict=True)
        for place, each in kept.items()
    ]
    one_by_one = len(single) / (time.perf_counter() - began)
    for place, plan, expected in single:
        if worded_alike(plan.plans[int(plan.of[place])]) != worded_alike(expected):
            raise Void(f"request {place} is planned otherwise in columns: {kept[place]}")
    return Planning(rates, one_by_one, (len(found[0].plans), len(found[1].plans)))


def worded_alike(plan: Plan | Refusal) -> Plan | Refusal:
    """A plan but for the words that count a request's own tokens."""
    left = tuple(msgspec.structs.replace(one, text="") for one in plan.left_out)
    plain = msgspec.structs.replace(plan, left_out=left)
    return msgspec.structs.replace(plain, text="") if isinstance(plain, Refusal) else plain


def check(site: Site, before: Under, after: Under, sample: int, until: datetime) -> None:
    """Raise Void unless the oldest stored requests add up in columns to what they come to one by one."""
    machine.say(f"deciding {sample:,} stored requests one by one")
    key, compared = site.keys[0], Comparison(before, after, comparing.places())
    since = until - timedelta(days=past.DAYS + 1)
    piece = Reader(key.workflow_id, key.environment_id, [key.pk], since, until).read(None, sample)
    if piece is None or piece.pasts is None or piece.odd:
        raise Void("the requests of the past are not packed")
    single, together = Tally(), Tally()
    tallies.add(single, compared.of(comparing.read(Decision.objects.filter(pk__lte=piece.upto).order_by("pk"))))
    changed = endings.add(together, piece.pasts, compared)
    tallies.note(together, compared.of(comparing.read(Decision.objects.filter(pk__in=changed))))
    if (together.steps, together.changed) != (single.steps, single.changed):
        raise Void(f"{sample:,} requests add up to something else in columns than one by one")


def simulate(site: Site, lead: User, head: PolicyHead, number: int, rounds: int, rules: int) -> Whole:
    """Ask and have it worked on, so many times. Raises Void for one that does not end as it should."""
    workflow, environment = site.keys[0].workflow, head.environment
    seconds: list[float] = []
    busy: list[float] = []
    memory, resting, result = 0.0, 0.0, None
    for each in range(rounds):
        machine.say(f"simulating, round {each + 1} of {rounds}")
        made = simulations.ask(
            workflow=workflow,
            environment=environment,
            document=other(rules),
            mode=head.mode,
            by=lead,
            now=timezone.now(),
            days=past.DAYS + 1,
        )
        resting = _megabytes("VmRSS")
        # From here on the most that it has is counted anew.
        Path("/proc/self/clear_refs").write_text("5")
        server = machine.parent(connection.connection.info.backend_pid)
        worked, began = machine.cpu_seconds(os.getpid()) + machine.cpu_seconds(server), time.perf_counter()
        while Simulation.objects.active().filter(pk=made.pk).exists():
            simulating.work()
        seconds.append(time.perf_counter() - began)
        busy.append(machine.cpu_seconds(os.getpid()) + machine.cpu_seconds(server) - worked)
        memory = max(memory, _megabytes("VmHWM"))
        made.refresh_from_db()
        if made.state != Simulation.State.DONE or made.told != number:
            raise Void(f"the simulation of {number:,} requests is {made.state} after {made.told:,}: {made.trouble}")
        result = tallies.whole(tallies.read(made.result).steps)
    if result is None or not result.changed:
        raise Void("no request ended otherwise")
    return Whole(seconds, busy, memory, resting, result.known, result.changed)


def _megabytes(name: str) -> float:
    """Memory of this process in MB of 1,000,000 bytes: `VmRSS` what it has, `VmHWM` what it had at most."""
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in status if line.startswith(name))
    return int(line.split()[1]) * 1024 / 1_000_000


def measures(planned: Planning, whole: Whole, number: int) -> list[Measure]:
    """What the goals say of decisions in columns and of whole simulations: the median, and beside it the best."""
    seconds = middle(whole.seconds)
    return [
        Measure(
            measure="simulation.decisions",
            title="decisions in columns, each as the engine's",
            value=middle(planned.rates),
            unit="a second",
            goal=GOAL_DECISIONS,
            at_least=True,
            peer="the engine, one by one",
            peer_value=planned.one_by_one,
        ),
        Measure(
            measure="simulation.decisions_best",
            title="the same, the best round",
            value=max(planned.rates),
            unit="a second",
            goal=GOAL_DECISIONS,
            at_least=True,
        ),
        Measure(
            measure="simulation.whole",
            title=f"{number:,} past requests, from the database to the result",
            value=seconds,
            unit="s",
            goal=number * GOAL_SECONDS_EACH,
        ),
        Measure(
            measure="simulation.whole_best",
            title="the same, the best round",
            value=min(whole.seconds),
            unit="s",
            goal=number * GOAL_SECONDS_EACH,
        ),
        Measure(
            measure="simulation.processor",
            title="the same, what processors of worker and database worked",
            value=middle(whole.busy),
            unit="s",
        ),
        Measure(measure="simulation.memory", title="memory of the worker at most", value=whole.memory, unit="MB"),
    ]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Void as error:
        sys.exit(f"nothing was measured: {error}")
