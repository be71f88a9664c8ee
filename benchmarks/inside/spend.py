"""The spend pages over very many events, beside the scan of those events that they spare."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.utils import timezone

from benchmarks import machine
from benchmarks.inside.looking import View, browser, look, settle
from benchmarks.inside.site import STEPS, Site
from benchmarks.measures import Measure, Void, columns, shown
from benchmarks.world import MODELS
from governance.models import User
from governance.readers import Reader
from ledger import partitions, rollups
from ledger.spend import By, Selection, lines

DAYS = 90
# Rows are made and folded in parts of this size, so that the queue is never longer than in real life.
PART = 100_000
# The first measurement is at this share of the events, the second at all of them.
SHARE = 10

# Events spread evenly over the days, unevenly over workflows (the first has a sixth, the last nearly none).
FILL = """
WITH chosen AS (
    SELECT
        i, md5(i::text || %(salt)s) AS random,
        %(start)s::timestamptz + (%(span)s::interval * i / %(count)s) AS at,
        1 + floor(cardinality(%(workflows)s::uuid[]) * power(random(), 2))::int AS workflow,
        1 + i %% cardinality(%(endpoints)s::uuid[]) AS endpoint
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
),
made AS (
    SELECT
        *,
        (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
            || '7' || substr(random, 1, 3) || '8' || substr(random, 4, 15))::uuid AS id
    FROM chosen
),
stored AS (
    INSERT INTO ledger_usageevent (
        id, decision_id, attempt, occurred_at, recorded_at, booked_at, clock,
        gateway_id, workflow_id, environment_id, key_id, step, run, endpoint_id,
        model, tier, model_requested, model_served, outcome, kept, http_status, error,
        input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, usage_quality,
        latency_ms, first_byte_ms, provider_request_id, tags
    )
    SELECT
        id, id, 0, at, at, at, 'ok',
        %(gateway)s, (%(workflows)s::uuid[])[workflow], %(environment)s, (%(keys)s::uuid[])[workflow],
        (%(steps)s::text[])[1 + i / 7 %% cardinality(%(steps)s::text[])], 'run-' || i / 3,
        (%(endpoints)s::uuid[])[endpoint],
        (%(models)s::text[])[endpoint], (%(tiers)s::text[])[endpoint], 'auto', (%(models)s::text[])[endpoint],
        CASE WHEN i %% 50 = 0 THEN 'error' ELSE 'ok' END, i %% 50 <> 0, 200, NULL,
        300 + i %% 900, 0, 0, 40 + i %% 200, 'exact',
        400 + i %% 3000, 120, NULL, '{"shop": "north"}'
    FROM made
    RETURNING id, recorded_at
)
INSERT INTO ledger_usagequeue (event_id, recorded_at) SELECT id, recorded_at FROM stored
"""

# What the page would have to do without day sums.
SCAN = """
SELECT w.slug, c.currency, count(*), coalesce(sum(c.amount), 0)
FROM ledger_usageevent e
JOIN ledger_charge c ON c.id = e.id
JOIN governance_workflow w ON w.id = e.workflow_id
WHERE e.booked_at >= %(first)s::timestamp AT TIME ZONE %(zone)s
    AND e.booked_at < %(last)s::timestamp AT TIME ZONE %(zone)s + interval '1 day'
GROUP BY w.slug, c.currency
"""


@dataclass(frozen=True)
class Spent:
    """What was found: the views at a share of the events and at all, and the scan's median milliseconds at all."""

    events: tuple[int, int]
    views: tuple[Sequence[View], Sequence[View]]
    scan: float
    fold: float

    def table(self) -> str:
        """Each page at both numbers of events."""
        head = (
            "spend page",
            *(f"ms at {shown(number)}" for number in self.events),
            "fastest",
            "of Python",
            "of database",
            "queries",
            "kB",
        )
        rows = [
            [
                few.title,
                *map(
                    shown,
                    (
                        *(few.milliseconds, many.milliseconds, many.fastest),
                        *(many.busy, many.database, many.queries, many.size / 1000),
                    ),
                ),
            ]
            for few, many in zip(*self.views, strict=True)
        ]
        return columns(head, rows)

    def measures(self) -> list[Measure]:
        """What the goals say of the pages, by the slowest of them."""
        few, many = (max(view.milliseconds for view in views) for views in self.views)
        first = self.views[1][0].milliseconds
        number = shown(self.events[1])
        return [
            Measure(
                measure="ledger.fold_steady",
                title=f"fold of {number} events as they come",
                value=self.fold,
                unit="events/s",
            ),
            Measure(
                measure="ledger.spend_page",
                title=f"slowest spend page at {number} events, server time",
                value=many,
                unit="ms",
                goal=100,
            ),
            Measure(
                measure="ledger.spend_flat",
                title=f"the same, as a multiple of that at {shown(self.events[0])} events",
                value=many / few,
                unit="times",
                goal=1.25,
            ),
            Measure(
                measure="ledger.spend_vs_scan",
                title=f"{self.views[1][0].title}: times faster than the scan",
                value=self.scan / first,
                unit="times",
                goal=20,
                at_least=True,
                peer="scan of events and charges, ms",
                peer_value=self.scan,
            ),
        ]


def measure(site: Site, number: int, views: int) -> Spent:
    """Fill the ledger and look at the pages, at a tenth of the events and at all of them. Raises Void."""
    now = timezone.now()
    partitions.ensure(first=(now - timedelta(days=DAYS)).date(), last=now.date())
    few = max(1, number // SHARE)
    seconds = fill(site, few, now, "few")
    settle()
    at_few = pages(site.finance, now.date(), views)
    seconds += fill(site, number - few, now, "many")
    settle()
    at_all = pages(site.finance, now.date(), views)
    return Spent((few, number), (at_few, at_all), scan(site.finance, now.date()), number / seconds)


def fill(site: Site, number: int, now: datetime, salt: str) -> float:
    """Make so many events, in the order of their time over all days; the seconds that folding them took."""
    folding = 0.0
    for first in range(0, number, PART):
        machine.say(f"filling: {first:,} of {number:,} events")
        last = min(first + PART, number) - 1
        facts: dict[str, Any] = {
            "salt": salt,
            "start": now - timedelta(days=DAYS),
            "span": timedelta(days=DAYS),
            "count": number,
            "first": first,
            "last": last,
            "workflows": [key.workflow_id for key in site.keys],
            "keys": [key.id for key in site.keys],
            "endpoints": [endpoint.id for endpoint in site.endpoints],
            "gateway": site.gateway.id,
            "environment": site.gateway.environment_id,
            "steps": list(STEPS),
            "models": [name for name, *_ in MODELS],
            "tiers": [tier for _, tier, *_ in MODELS],
        }
        with connection.cursor() as cursor:
            cursor.execute(FILL, facts)
        began = time.perf_counter()
        if rollups.fold_all(zone=ZoneInfo(settings.REPORTING_TIME_ZONE)) != last - first + 1:
            raise Void("the fold took another number of events than was made")
        folding += time.perf_counter() - began
    return folding


def pages(reader: User, today: date, times: int) -> list[View]:
    """The spend page by each thing, for all days and for this month."""
    client = browser(reader)
    found = []
    for period, first in (("90 days", today - timedelta(days=DAYS - 1)), ("this month", today.replace(day=1))):
        for by in By:
            asked = {"by": by.value, "since": first.isoformat(), "until": today.isoformat()}
            found.append(look(client, f"by {by}, {period}", "/spend/", asked, times))
    return found


def scan(reader: User, today: date, times: int = 3) -> float:
    """The median milliseconds of the scan for the first page's figures, which must be those. Raises Void."""
    machine.say("scanning the events")
    first = today - timedelta(days=DAYS - 1)
    expected: dict[tuple[str, str | None], tuple[int, Decimal]] = {}
    for line in lines(Reader.of(reader, "spend.view"), Selection(first, today), By.WORKFLOW):
        events, amount = expected.get((line.names[1], line.currency), (0, Decimal(0)))
        expected[line.names[1], line.currency] = events + line.events, amount + (line.amount or 0)
    found = []
    for _ in range(times):
        with connection.cursor() as cursor:
            began = time.perf_counter()
            cursor.execute(SCAN, {"first": first, "last": today, "zone": settings.REPORTING_TIME_ZONE})
            rows = cursor.fetchall()
            found.append((time.perf_counter() - began) * 1000)
        if {(slug, currency): (count, amount) for slug, currency, count, amount in rows} != expected:
            raise Void("the page shows other sums than its events have")
    return statistics.median(found)
