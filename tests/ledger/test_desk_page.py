"""The parts of the home page that the ledger knows: the month in figures, and where requests were answered."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from governance import accounts
from governance.models import ApiKey, Team, User
from ledger import decisions, rollups, savings
from ledger.outcomes import Outcomes
from tests.cast import make_workflow
from tests.ledger.reports import BERLIN, Site, make_site, raw
from tests.pages import COUNT, Links, signed_in, text

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def november() -> Iterator[None]:
    """It is noon on 24 November 2026, and time passes."""
    with time_machine.travel(datetime(2026, 11, 24, 12, tzinfo=UTC)):
        yield


@pytest.fixture
def site(november: None) -> Site:
    """Three requests to one workflow, one of them for a person, and one to a workflow of another team."""
    site = make_site()
    site.price(0)
    answered = [site.decision(NOON) for _ in range(2)]
    asked = site.decision(NOON, outcome="person", kept_model=None, tier=None)
    report(site, [*answered, asked])
    add(site, "elsewhere", site.cast.elsewhere, site.cast.stranger)
    rollups.fold(zone=BERLIN)
    return site


def add(site: Site, slug: str, team: Team, owner: User) -> None:
    """One request to another workflow, answered by a model."""
    workflow = make_workflow(team, owner, slug)
    key, _ = accounts.create_key(workflow=workflow, environment=site.cast.production, name="App", by=owner)
    report(site, [site.decision(NOON, workflow=str(workflow.id), key=str(key.id))])


def report(site: Site, made: list[dict[str, Any]]) -> None:
    """Decisions with an attempt each, as a gateway sends them."""
    for each in made:
        each["facts"] = {"workflow": each["workflow"], "step": each["step"]}
    place = ("workflow", "key")
    events = [
        site.event(datetime.fromisoformat(each["at"]), decision=each["id"], **{name: each[name] for name in place})
        for each in made
    ]
    assert site.report(events, NOON).accepted == len(made)
    receipt = decisions.record(batch=raw(made), gateway=site.gateway, now=NOON)
    assert (receipt.accepted, receipt.refused) == (len(made), ())


@pytest.mark.parametrize(
    ("who", "came", "attempts"),
    [
        ("finance", Outcomes(requests=4, small=3, person=1), 4),
        ("owner", Outcomes(requests=3, small=2, person=1), 3),
        ("stranger", Outcomes(requests=1, small=1), 1),
    ],
)
def test_the_month_is_the_sum_of_what_one_may_see(who: str, came: Outcomes, attempts: int, site: Site) -> None:
    client = signed_in(getattr(site.cast, who))
    page = client.get("/spend/month/")
    assert page.context["total"].attempts == attempts
    assert page.context["total"].amounts == {"USD": Decimal("0.006") * attempts}
    for part in ("saved", "requests"):
        assert f'hx-get="/spend/month/{part}/"' in page.content.decode()
    page = client.get("/spend/month/requests/")
    assert page.context["came"] == came
    assert f"{came.kept} answered by models" in text(page)


def test_a_month_without_a_request_says_so() -> None:
    client = signed_in(make_site().cast.finance)
    assert "saved" not in client.get("/spend/month/").content.decode()
    page = client.get("/spend/month/requests/")
    assert page.context["came"] == Outcomes()
    assert "requests none was counted in November" in text(page)


def test_the_workflows_with_most_requests_stand_there_with_their_own_cost(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = signed_in(site.cast.finance).get("/spend/answered/")
    rows = [(row.workflow.slug, row.outcomes.requests, row.sums.attempts) for row in page.context["rows"]]
    assert (rows, page.context["more"]) == ([("customer-feedback", 3, 3), ("elsewhere", 1, 1)], 0)
    monkeypatch.setattr("ledger.views.desk.SHOWN", 1)
    page = signed_in(site.cast.finance).get("/spend/answered/")
    rows = [(row.workflow.slug, row.sums.attempts, row.sums.amounts) for row in page.context["rows"]]
    assert (rows, page.context["more"]) == ([("customer-feedback", 3, {"USD": Decimal("0.018")})], 1)


def test_each_number_of_a_workflows_days_opens_what_it_counts(site: Site) -> None:
    late = datetime(2026, 11, 19, 23, 30, tzinfo=UTC)
    tried = [{"rung": rung, "endpoint": str(site.endpoint(rung).id), "outcome": "ok"} for rung in range(2)]
    climbed = site.decision(late, attempts=tried, tier="mid", kept_model="tf-idf")
    report(site, [climbed, site.decision(late, outcome="failed", kept_model=None, tier=None)])
    report(site, [site.decision(late - timedelta(hours=1), tier="frontier", kept_model="smollm2")])
    rollups.fold(zone=BERLIN)
    client = signed_in(site.cast.finance)
    part = client.get("/spend/workflows/customer-feedback/")
    assert [(day.day, each.requests, each.climbed) for day, each, _ in part.context["table"]] == [
        (19, 1, 0),
        (20, 5, 1),
    ]
    links = [link for link in Links(part.content.decode()).links if "since=2026-11-19" in link[0] or "-20&" in link[0]]
    assert len(links) == 14
    for href, words in links:
        listed = client.get(href)
        if COUNT.fullmatch(words):
            assert listed.context["total"] == int(words), href
        else:
            # What the day cost opens its attempts.
            assert listed.context["page"].paginator.count == (1 if "11-19" in href else 5)


def test_what_evaluations_took_stands_beside_what_was_saved(site: Site, installation_keys: None) -> None:
    cast = site.cast
    site.price(2, input=Decimal(3), output=Decimal(12))
    since = NOON - timedelta(days=20)
    savings.set_baseline(
        workflow=cast.workflow, model=cast.models[2], assumed=True, reason="Before", valid_from=since, by=cast.finance
    )
    said = [f"/spend/{part}/" for part in ("month/saved", "workflows/customer-feedback")]
    for part in said:
        assert "evaluations took" not in text(signed_in(cast.finance).get(part))
    measuring, _token = accounts.own_key(
        workflow=cast.workflow, environment=cast.production, purpose=ApiKey.Purpose.EVALUATION, by=cast.owner
    )
    site.report([site.event(NOON, key=str(measuring.pk)) for _ in range(2)], NOON)
    rollups.fold(zone=BERLIN)

    # Three tasks at USD 0.006 that would have cost 0.009 each, and two evaluated answers.
    for part in said:
        shown = text(signed_in(cast.finance).get(part))
        assert "more than" in shown
        assert "the tasks alone cost USD 0.009 less; evaluations took USD 0.012" in shown
    assert "0.012 of it on evaluations" in text(signed_in(cast.finance).get("/spend/month/"))
