"""A walk over all pages as a person would: no link leads nowhere, and a number opens exactly as much as it says."""

import dataclasses
from collections import Counter, deque
from collections.abc import Collection
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit
from uuid import UUID

import pytest
from django.test import Client
from django.urls import resolve, reverse
from django.utils import timezone

from governance import accounts, gateways, registry
from governance.models import Endpoint
from ledger import decisions, rollups, savings, usage
from tests.cast import BOOTSTRAP, make_change, make_key, make_model, make_review, make_workflow
from tests.ledger.reports import BERLIN, Site, make_site, raw
from tests.pages import COUNT, Links, signed_in
from tests.routing.asked import Shop
from tests.routing.lab import alike, bring_home, lab_of, measured, row

pytestmark = pytest.mark.django_db

# What lists are narrowed to by numbers that are easily forgotten, and who must have met them.
MARKS = {"show=uncompared", "show=compared", "show=compared_recorded", "recorded=only", "outcome=unanswered"}
SAMPLES = {"show=unpriced#samples", "who=lexicon&show=unpriced#samples", "show=judged&version=3#samples"}
NARROWED = {"lead": MARKS | SAMPLES, "finance": MARKS | SAMPLES, "auditor": MARKS | SAMPLES}
# Of whom money leads to the attempts that cost it.
PAID = {who: {"show=evaluated"} for who in ("lead", "finance", "auditor")}
# So many links from home: a menu's page, what it lists, what that counts. Further on filters only combine.
FAR = 3
# So many of a kind are opened beside those that numbers near home lead to; the same lines make more.
OF_A_KIND = 2
# By what a list is narrowed in ways of their own, one for each value.
TELLING = {"show", "outcome", "who", "watched", "recorded"}
# But all of these, by the person whose work they are.
ALL_OF = {"auditor": {"audit_entry"}, "lead": {"request"}}


@pytest.fixture
def site(installation_keys: None) -> Site:
    """Attempts of two days, some not kept and some unpriced, decisions, a case, changes and a baseline."""
    made = make_site()
    now = timezone.now()
    made.price(0)
    made.price(2)
    answered = {"label": "positive", "confidence": 0.9}
    unpriced = {"cost": None, "currency": None}
    measured(lab_of(made.cast), [row("Fine"), row("Good")], alike([answered, answered | unpriced]))
    bring_home()
    make_change(made.cast, 0.6)
    events = []
    for number in range(7):
        decision = made.decision(now - timedelta(minutes=number))
        decisions.record(batch=raw([decision]), gateway=made.gateway, now=now)
        events.append(made.event(now - timedelta(minutes=number), place=number % 3, decision=decision["id"]))
    make_review(made.key, decision=UUID(decision["id"]))
    failed = made.event(now - timedelta(minutes=9), place=1, kept=False, outcome="error", input_tokens=None)
    events += [failed | {"decision": decision["id"], "attempt": 1}]
    Shop(made).ask("aborted")
    Shop(made).ask(data_class="restricted", run="mail-1")
    Shop(made).measuring().ask("aborted")
    Shop(made).measuring().ask(0.9)
    made.report(events, now)
    beside(made, now)
    rollups.fold_all(zone=BERLIN)
    savings.set_baseline(
        workflow=made.cast.workflow,
        model=made.cast.models[2],
        assumed=True,
        reason="It was used before",
        valid_from=now - timedelta(days=2),
        by=made.cast.lead,
    )
    # From now on every rung has a price, so that what is only watched can be told what it would have cost.
    made.price(1, valid_from=timezone.now())
    Shop(made).watch()
    Shop(made).ask(0.9, model="lexicon")
    return made


def beside(made: Site, now: datetime) -> None:
    """A workflow without a baseline, a request that failed and one that was not allowed, and one that was imported."""
    bare = make_workflow(made.cast.team, made.cast.owner, "bare")
    key, _token = make_key(dataclasses.replace(made.cast, workflow=bare))
    place = {"workflow": str(bare.pk), "key": str(key.pk)}
    for number in range(2):
        facts = {"workflow": str(bare.pk), "step": "sentiment"}
        asked = made.decision(now - timedelta(minutes=number), facts=facts, **place)
        assert decisions.record(batch=raw([asked]), gateway=made.gateway, now=now).refused == ()
        assert made.report([made.event(now) | place | {"decision": asked["id"]}], now).refused == ()
    failed = made.decision(now, outcome="failed", kept_model=None, tier=None)
    assert decisions.record(batch=raw([failed]), gateway=made.gateway, now=now).refused == ()
    past = registry.add_environment(name="past", votes_needed=1, position=900, recorded=True, by=BOOTSTRAP)
    model = make_model("past-model", "mid", made.cast.owner, made.cast.team, made.endpoint().provider, past)
    endpoint = Endpoint.objects.get(version__model=model)
    key = accounts.recording_key(workflow=made.cast.workflow, environment=past, name="Import", by=BOOTSTRAP)
    importer, _credential = gateways.register(name="Import", environment=past, by=BOOTSTRAP)
    there = {"environment": str(past.pk), "key": str(key.pk)}
    told = [
        made.decision(now, kept_model=model.name, tier="mid", **there),
        made.decision(now, kept_model=None, tier=None, outcome="person", **there),
    ]
    served = there | {"decision": told[0]["id"], "endpoint": str(endpoint.pk), "model": model.name, "tier": "mid"}
    assert decisions.record(batch=raw(told), gateway=importer, now=now).refused == ()
    assert usage.record(batch=raw([made.event(now, **served)]), gateway=importer, now=now).refused == ()


def kind_of(address: str) -> tuple[str, tuple[str, ...]]:
    """What a link leads to: the name of its page, and by what that is narrowed; a file is what its list is."""
    parts = urlsplit(address)
    name = resolve(parts.path).view_name
    by = {f"{each}={value}" if each in TELLING else each for each, value in parse_qsl(parts.query)}
    return name, () if name.endswith("_csv") else tuple(sorted(by))


def walk(client: Client, whole: Collection[str]) -> tuple[dict[str, Links], list[str]]:
    """Follow the links of ours from home: every number near home, of all else of a kind some, of those in `whole` all.

    Returns the pages by address, and what was wrong.
    """
    pages: dict[str, Links] = {}
    met: Counter[tuple[str, tuple[str, ...]]] = Counter()
    wrong: list[str] = []
    left = deque([(reverse("home"), "", 0)])
    seen = {reverse("home")}
    while left:
        address, source, steps = left.popleft()
        answer = client.get(address)
        if answer.status_code != 200:
            wrong.append(f"{source} links to {address}: {answer.status_code}")
        html = answer.content.decode() if not answer.streaming and "html" in answer.headers["content-type"] else ""
        if answer.streaming:
            b"".join(answer)
        pages[address] = Links(html)
        for href, words in pages[address].links:
            # A place on a page is reached with it.
            target, _place = urldefrag(urljoin(address, href))
            parts = urlsplit(target)
            # Sorting leads to the same rows.
            # A part stands on the page that loads it.
            further = steps + bool(words)
            if further > FAR or parts.scheme or "sort=" in parts.query or target in seen:
                continue
            near = further < FAR and COUNT.fullmatch(words)
            if words and not near:
                kind = kind_of(target)
                if met[kind] == OF_A_KIND and kind[0] not in whole:
                    continue
                met[kind] += 1
            seen.add(target)
            left.append((target, address, further))
    return pages, wrong


@pytest.mark.parametrize("who", ["lead", "owner", "finance", "auditor", "reviewer", "integrator", "admin"])
def test_no_link_leads_nowhere_and_each_number_opens_what_it_counts(site: Site, who: str) -> None:
    pages, wrong = walk(signed_in(site.cast.people[who]), ALL_OF.get(who, ()))
    counted, opened, paid = 0, set(), set()
    for address, page in pages.items():
        for href, words in page.links:
            target = pages.get(urldefrag(urljoin(address, href)).url)
            if target is None or target.total is None or not COUNT.fullmatch(words):
                continue
            counted += 1
            opened.add(href)
            if target.total != int(words.replace(",", "")):
                wrong.append(f"{address} says {words}, {href} has {target.total}")
        for href, amount in page.paid:
            target = pages.get(urldefrag(urljoin(address, href)).url)
            if target is not None and target.spent:
                paid.add(href)
                if target.spent != [amount]:
                    wrong.append(f"{address} says {amount}, {href} cost {target.spent}")
    assert wrong == []
    assert counted or who in ("reviewer", "admin", "auditor")
    assert NARROWED.get(who, set()) <= {mark for mark in MARKS | SAMPLES for href in opened if mark in href}
    assert PAID.get(who, set()) <= {mark for mark in PAID.get(who, ()) for href in paid if mark in href}
