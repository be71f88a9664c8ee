"""Every page that needs no more than its address, with thousands of workflows and very many requests below it.

The pages are found in the site map, so a new one is measured from its first day on. Asked by a person who has every
role. Decisions are real ones of the engine, reported through the ledger's verbs like everything else.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver

from benchmarks import decide, machine, world
from benchmarks.inside.ledger import event
from benchmarks.inside.looking import View, browser, look, settle
from benchmarks.inside.site import Site, make
from benchmarks.measures import Measure, Void, columns, report, shown
from benchmarks.pages import parser
from governance.models import User
from ledger import decisions, rollups, savings, usage
from smallfirst import engine, records

BATCH = 1_000
DAYS = 28
HTML = "text/html"
# For programs: what gateways call, and what watches the server.
PROGRAMS = ("/api/", "/healthz", "/readyz")
# Everybody's first page gathers what waits for him, and the one that follows a request tells one whole story.
NO_LISTS = ("/", "/follow/")


def main(words: Sequence[str]) -> int:
    """Measure and report."""
    options = parser.parse_args(words)
    machine.say(f"making {options.workflows:,} workflows")
    site = make(options.workflows)
    fill(site, options.requests)
    compare(site)
    settle()
    views = look_at_all(site.everyone, options.views)
    rows = [
        [
            view.title,
            *map(shown, (view.milliseconds, view.fastest, view.busy, view.database, view.queries, view.size / 1000)),
        ]
        for view in sorted(views, key=lambda view: -view.milliseconds)
    ]
    print(f"\n{columns(('page', 'ms', 'fastest', 'of Python', 'of database', 'queries', 'kB'), rows)}")
    print(f"\nafterwards: {machine.described()}")
    report(measures(views, options.workflows, options.requests))
    return 0


def fill(site: Site, number: int) -> None:
    """Report so many requests of the last days, each decided by its first model, and fold them. Raises Void."""
    template = recorded()
    now = datetime.now(UTC)
    for first in range(0, number, BATCH):
        machine.say(f"reporting: {first:,} of {number:,} requests") if first % (10 * BATCH) == 0 else None
        attempts, decided = [], []
        for each in range(first, min(first + BATCH, number)):
            at = now - timedelta(days=DAYS) * (number - each) / number
            attempt = event(site, each, at.isoformat())
            attempts.append(msgspec.Raw(msgspec.json.encode(attempt)))
            decided.append(msgspec.Raw(msgspec.json.encode(decision(template, attempt, at))))
        for verb, batch in ((usage.record, attempts), (decisions.record, decided)):
            receipt = verb(batch=batch, gateway=site.gateway, now=now)
            if receipt.accepted != len(batch):
                raise Void(f"{receipt.accepted} of {len(batch)} records were stored: {receipt.refused[:1]}")
    rollups.fold_all(zone=ZoneInfo(settings.REPORTING_TIME_ZONE))


def compare(site: Site) -> None:
    """Say what the tasks of every workflow are compared with: the dearest model, since before the first of them."""
    machine.say("setting baselines")
    since = datetime.now(UTC) - timedelta(days=2 * DAYS)
    with transaction.atomic():
        for key in site.keys:
            savings.set_baseline(
                workflow=key.workflow,
                model=site.endpoints[-1].version.model,
                assumed=True,
                reason="Is measured",
                valid_from=since,
                by=site.finance,
            )


def recorded() -> dict[str, Any]:
    """A decision of the engine as a gateway reports it."""
    snapshot = decide.compiled(world.document())
    (asked,) = decide.requests(1, snapshot)
    found: dict[str, Any] = msgspec.json.decode(engine.encode(decide.conclude(asked, snapshot)))
    return found


def decision(template: dict[str, Any], attempt: dict[str, Any], at: datetime) -> dict[str, Any]:
    """The same decision about another request, whose attempt this is."""
    place = {name: attempt[name] for name in ("workflow", "environment", "key", "step", "run")}
    facts = template["facts"] | {name: attempt[name] for name in ("workflow", "step", "run")}
    attempts = [template["attempts"][0] | {"endpoint": attempt["endpoint"]}]
    kept = {"kept_model": attempt["model"], "tier": attempt["tier"], "policy_version": None}
    return (
        template
        | place
        | kept
        | {"id": attempt["decision"], "at": records.moment_text(at), "facts": facts, "attempts": attempts}
    )


def addresses(patterns: Sequence[URLPattern | URLResolver], before: str = "/") -> Iterator[str]:
    """The addresses of a site map that hold nothing to fill in."""
    for pattern in patterns:
        route = str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, before + route)
        elif "<" not in route and "^" not in route and not (before + route).startswith(PROGRAMS):
            yield before + route


def look_at_all(reader: User, times: int) -> list[View]:
    """Every page of the site map that is shown to a person who asks for its bare address. Raises Void."""
    client = browser(reader)
    found = []
    for path in addresses(get_resolver().url_patterns):
        answer = client.get(path)
        if answer.status_code >= 500:
            raise Void(f"{path} answers {answer.status_code}")
        # What else there is: files, the API, addresses that lead on or only take what is sent.
        if answer.status_code == 200 and answer.headers["Content-Type"].startswith(HTML):
            found.append(look(client, path, path, {}, times))
    if not found:
        raise Void("no page was shown")
    return found


def measures(views: Sequence[View], workflows: int, requests: int) -> list[Measure]:
    """What the goals say of lists, each by the worst page."""
    size = f"at {workflows:,} workflows and {requests:,} requests"
    slowest, largest = max(views, key=lambda view: view.milliseconds), max(views, key=lambda view: view.size)
    most = max((view for view in views if view.title not in NO_LISTS), key=lambda view: view.queries, default=slowest)
    return [
        Measure(
            measure="pages.milliseconds",
            title=f"slowest page {size}: {slowest.title}",
            value=slowest.milliseconds,
            unit="ms",
            goal=300,
        ),
        Measure(
            measure="pages.queries",
            title=f"most queries of a list: {most.title}",
            value=most.queries,
            unit="queries",
            goal=12,
        ),
        Measure(
            measure="pages.size",
            title=f"largest page: {largest.title}",
            value=largest.size / 1000,
            unit="kB",
            goal=100,
        ),
    ]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Void as error:
        sys.exit(f"nothing was measured: {error}")
