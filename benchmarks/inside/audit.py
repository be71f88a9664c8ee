"""The audit log under writers: sealed as the worker does it, beside plain rows and beside a chain that is locked.

Each transaction changes one governed row and adds one entry; every commit is flushed. Plain rows have the same columns
and the indexes that reading needs, and nothing else: no trigger, no check, nobody who seals. The chain links each
entry to the last under an advisory lock, as hash chains in a table have to. The log is the product's own: the guards of
both tables, the rule that no row commits without its entry, and the sealer at its usual pace; once more without the
sealer, for what sealing alone takes. Afterwards the log is filled up and verified whole; a fault in it, or an entry
without a seal, ends the run without a figure.
"""

import os
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.utils import timezone

from benchmarks import machine, writers
from benchmarks.audit import parser
from benchmarks.measures import Measure, Void, columns, middle, percentile, report, shown
from benchmarks.writers import Turn, Written
from config.celery import EVERY
from governance import accounts, audit_lines, audit_verifier, seals
from governance.audit import Service
from governance.models import AuditEvent, AuditLeaf

ACTOR = Service("bootstrap")
PLAIN, UNSEALED, LOG, CHAIN = (
    Turn("plain rows", "benchmark_plain", "benchmark_row"),
    Turn("the log, while nobody seals", "governance_auditevent", "governance_team"),
    Turn("the log, sealed beside", "governance_auditevent", "governance_team"),
    Turn("a chain under a lock", "benchmark_chain", "benchmark_row", chained=True),
)
# The columns of an entry, and the indexes that reading needs: by time, by object, by actor.
TABLES = """
    CREATE TABLE {0} (LIKE governance_auditevent);
    ALTER TABLE {0} DROP COLUMN xid;
    ALTER TABLE {0} ADD PRIMARY KEY (id);
    CREATE INDEX ON {0} (at DESC, id DESC);
    CREATE INDEX ON {0} (object_type, object_id, at DESC);
    CREATE INDEX ON {0} (actor_id, at DESC);
"""
PLACES = "ALTER TABLE benchmark_chain ADD COLUMN place bigint GENERATED ALWAYS AS IDENTITY UNIQUE"
# The governed rows, with the indexes that they have anyway.
ROWS = """
    CREATE TABLE benchmark_row (LIKE governance_team INCLUDING INDEXES);
    INSERT INTO benchmark_row SELECT * FROM governance_team;
"""
FILLED_AT_ONCE = 20_000
# So many entries are verified within the time that the worker gives a task.
VERIFIED_PER_SECOND = 1_000_000 / 300


class Sealer:
    """Seals as often as the worker does, and notes when it was done up to where."""

    def __init__(self) -> None:
        self.keys = Path(settings.KEYS)
        self.done: list[tuple[datetime | None, int]] = []
        self.next = 0.0

    def begin(self) -> None:
        """Seal what waits from before: how long that took is not asked."""
        seals.seal(keys=self.keys, now=timezone.now())
        self.done.append((None, seals.size()))

    def turn(self) -> None:
        """Wait for the next turn and seal."""
        time.sleep(max(0.0, self.next - time.monotonic()))
        self.next = max(self.next + EVERY["governance.tasks.seal_audit"], time.monotonic())
        if seals.seal(keys=self.keys, now=timezone.now()):
            self.done.append((timezone.now(), seals.size()))

    def finish(self) -> None:
        """Seal what is left. Raises Void where something stays behind."""
        seals.seal(keys=self.keys, now=timezone.now() + timedelta(minutes=2))
        if seals.size() != AuditEvent.objects.count():
            raise Void(f"{seals.size():,} of {AuditEvent.objects.count():,} entries are sealed")

    def lags(self) -> list[float]:
        """Seconds from each entry's time to the end of the turn that sealed it."""
        found: list[float] = []
        begin = 0
        for at, end in self.done:
            leaves = AuditLeaf.objects.filter(index__gte=begin, index__lt=end).values("event_id")
            if at is not None:
                written = AuditEvent.objects.filter(pk__in=leaves).values_list("at", flat=True)
                found += [(at - each).total_seconds() for each in written]
            begin = end
        return found


def main(words: Sequence[str]) -> int:
    """Measure and report."""
    options = parser.parse_args(words)
    rows = prepare(options.writers)
    found, sealer = rounds(rows, options.seconds, options.rounds)
    lags = sealer.lags()
    filled = fill(rows[0], options.entries)
    sealing = timed(sealer.finish)
    entries, verifying = verify()
    print(f"\n{table(found)}")
    print(f"\nsealing of {filled:,} entries that waited: {shown(filled / sealing if filled else None)} a second")
    report(measures(found, lags, entries, verifying))
    return 0


def prepare(number: int) -> list[str]:
    """One team for each writer, and the tables of the peers; the ids of the teams. The log has begun."""
    for each in range(number):
        accounts.create_team(name=f"Team {each}", slug=f"team-{each}", by=ACTOR)
    with psycopg.connect(os.environ["MIGRATION_DATABASE_URL"]) as server:
        for turn in (PLAIN, CHAIN):
            server.execute(TABLES.format(turn.entries))
        server.execute(PLACES)
        server.execute(ROWS)
        rows = server.execute("SELECT id::text FROM governance_team WHERE slug LIKE 'team-%'").fetchall()
    seals.seal(keys=Path(settings.KEYS), now=timezone.now())
    return [row for (row,) in rows]


def rounds(rows: Sequence[str], seconds: float, number: int) -> tuple[dict[Turn, list[Written]], Sealer]:
    """What each turn came to in each round; the order goes round, so that none always comes first."""
    sealer, turns = Sealer(), [PLAIN, UNSEALED, LOG, CHAIN]
    found: dict[Turn, list[Written]] = {turn: [] for turn in turns}
    url = os.environ["DATABASE_URL"]
    for each in range(number):
        machine.say(f"writing, round {each + 1} of {number}")
        for turn in turns[each % len(turns) :] + turns[: each % len(turns)]:
            if turn is LOG:
                sealer.begin()
            found[turn].append(writers.run(url, turn, rows, seconds, sealer.turn if turn is LOG else None))
    return found, sealer


def fill(row: str, entries: int) -> int:
    """Add entries until there are so many; how many that were."""
    missing = max(0, entries - AuditEvent.objects.count())
    machine.say(f"adding {missing:,} entries")
    copying = f"COPY governance_auditevent ({', '.join(writers.COLUMNS)}) FROM STDIN"
    with psycopg.connect(os.environ["DATABASE_URL"]) as server:
        for begin in range(0, missing, FILLED_AT_ONCE):
            with server.cursor().copy(copying) as copy:
                for number in range(begin, min(missing, begin + FILLED_AT_ONCE)):
                    said = writers.entry(row, number)
                    copy.write_row([said[name] for name in writers.COLUMNS])
            server.commit()
    return missing


def verify() -> tuple[int, float]:
    """How many entries were verified, and the seconds that took. Raises Void for a fault."""
    machine.say("verifying the log")
    check = audit_verifier.Check()
    faults: list[str] = []

    def whole() -> None:
        lines = audit_lines.whole(keys=Path(settings.KEYS), now=timezone.now())
        faults.extend(str(fault) for fault in check.faults(lines))

    seconds = timed(whole)
    if faults:
        raise Void(f"the log does not hold: {faults[0]}")
    return check.entries, seconds


def timed(act: Any) -> float:
    """The seconds that something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def table(found: dict[Turn, list[Written]]) -> str:
    """What each turn came to, the median of its rounds."""
    rows = []
    for turn, written in found.items():
        rates = [each.rate for each in written]
        latencies = [one for each in written for one in each.latencies]
        numbers = [middle(rates), min(rates), max(rates), *(percentile(latencies, share) for share in (0.5, 0.99, 1))]
        rows.append([turn.title, *map(shown, numbers)])
    return columns(("written to", "a second", "slowest", "fastest", "ms p50", "p99", "max"), rows)


def measures(found: dict[Turn, list[Written]], lags: Sequence[float], entries: int, verifying: float) -> list[Measure]:
    """What was aimed at: shares of the plain rate are those of the same round, their median counts."""
    plain, unsealed, log, chain = ([each.rate for each in written] for written in found.values())
    shares = [ours / theirs for ours, theirs in zip(log, plain, strict=True)]
    kept = [ours / theirs for ours, theirs in zip(log, unsealed, strict=True)]
    times = [ours / theirs for ours, theirs in zip(log, chain, strict=True)]
    return [
        Measure(
            measure="audit.rate",
            title="transactions with an entry, of the plain rate",
            value=middle(shares),
            unit="share",
            goal=0.9,
            at_least=True,
            peer="plain rows, a second",
            peer_value=middle(plain),
        ),
        Measure(
            measure="audit.sealing",
            title="the same, of the log's rate while nobody seals",
            value=middle(kept),
            unit="share",
            goal=0.9,
            at_least=True,
            peer="the log unsealed, a second",
            peer_value=middle(unsealed),
        ),
        Measure(
            measure="audit.times_chain",
            title="transactions with an entry, times those of a locked chain",
            value=middle(times),
            unit="times",
            peer="locked chain, a second",
            peer_value=middle(chain),
        ),
        *(
            Measure(
                measure=f"audit.lag_{name}",
                title=f"from writing to the seal, {name}, while all write",
                value=percentile(lags, share),
                unit="s",
                goal=1 if name == "p99" else None,
            )
            for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1))
        ),
        Measure(
            measure="audit.verify",
            title=f"verifying a log of {entries:,} entries",
            value=entries / verifying,
            unit="entries/s",
            goal=VERIFIED_PER_SECOND,
            at_least=True,
        ),
    ]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Void as error:
        sys.exit(f"nothing was measured: {error}")
