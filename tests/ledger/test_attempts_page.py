"""The list of attempts and its file: each attempt once, with what it used and cost."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine

from ledger import rollups
from tests.ledger.reports import BERLIN, Site, make_site, new_id
from tests.ledger.test_spend_page import NOON, NOVEMBER
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def november() -> Iterator[None]:
    """It is noon on 24 November 2026, and time passes."""
    with time_machine.travel(datetime(2026, 11, 24, 12, tzinfo=UTC)):
        yield


@pytest.fixture
def site(november: None) -> Site:
    """One request that climbed three models, the last without a price."""
    site = make_site()
    site.price(0)
    site.price(1, input=Decimal(20), output=Decimal(80))
    decision = new_id(NOON)
    events = [
        site.event(
            NOON + timedelta(seconds=place),
            place,
            decision=decision,
            attempt=place,
            kept=place == 2,
            latency_ms=4 + place,
        )
        for place in range(3)
    ]
    site.report(events, NOON)
    site.report(events, NOON + timedelta(hours=1))
    rollups.fold(zone=BERLIN)
    return site


def test_three_attempts_stand_there_once_with_tokens_price_and_workflow(site: Site) -> None:
    answer = signed_in(site.cast.finance).get("/spend/attempts/", NOVEMBER)

    assert answer.status_code == 200
    assert answer.content.decode().count("<tr>") == 1 + 3
    said = text(answer)
    assert "3 attempts in November" in said
    assert "Those with a price cost USD 0.066 together." in said
    assert said.count("Customer feedback sentiment") == 3
    assert said.count("1,000 500") == 3
    assert "mid tf-idf not kept 5 ms 1,000 500 USD 0.06" in said
    assert "small lexicon not kept 4 ms 1,000 500 USD 0.006" in said
    assert "frontier smollm2 kept 6 ms 1,000 500 not priced no price at that time: its prices" in said


def test_the_newest_comes_first_unless_asked(site: Site) -> None:
    client = signed_in(site.cast.finance)

    newest = [event.model for event in client.get("/spend/attempts/", NOVEMBER).context["page"]]
    oldest = [event.model for event in client.get("/spend/attempts/", NOVEMBER | {"sort": "when"}).context["page"]]
    assert newest == ["smollm2", "tf-idf", "lexicon"]
    assert oldest == newest[::-1]


@pytest.mark.parametrize(
    ("filters", "models"),
    [
        ({"show": "kept"}, ["smollm2"]),
        ({"show": "unpriced"}, ["smollm2"]),
        ({"model": "lexicon"}, ["lexicon"]),
        ({"step": "language"}, []),
        ({"outcome": "error"}, []),
        ({"outcome": "ok", "workflow": "customer-feedback", "step": "sentiment", "model": "tf-idf"}, ["tf-idf"]),
        ({"until": "2026-11-19"}, []),
    ],
)
def test_filters_narrow_list_count_and_file_alike(site: Site, filters: dict[str, str], models: list[str]) -> None:
    client = signed_in(site.cast.finance)

    page = client.get("/spend/attempts/", NOVEMBER | filters).context["page"]
    rows = file(client.get("/spend/attempts/export.csv", NOVEMBER | filters))

    assert [event.model for event in page] == [row["model"] for row in rows] == models
    assert page.paginator.count == len(models)


def test_the_file_says_all_that_is_known(site: Site) -> None:
    rows = file(signed_in(site.cast.finance).get("/spend/attempts/export.csv", NOVEMBER))

    assert [row["amount"] for row in rows] == ["", "0.0600000000", "0.0060000000"]
    assert [row["currency"] for row in rows] == ["", "USD", "USD"]
    (last, *_) = rows
    assert (last["workflow"], last["key"], last["attempt"], last["kept"]) == ("customer-feedback", "Shop", "2", "True")
    assert (last["occurred_at"], last["clock"]) == ("2026-11-20T12:00:02+00:00", "ok")
    assert last["unpriced"] == "no_price"


def test_what_is_not_folded_is_not_listed_yet(site: Site) -> None:
    newest = site.event(NOON + timedelta(hours=1))
    site.report([newest], NOON + timedelta(hours=1))
    client = signed_in(site.cast.finance)

    def listed() -> list[str]:
        return [str(event.id) for event in client.get("/spend/attempts/", NOVEMBER).context["page"]]

    before = listed()
    assert len(before) == len(file(client.get("/spend/attempts/export.csv", NOVEMBER))) == 3
    assert newest["id"] not in before
    rollups.fold(zone=BERLIN)
    assert listed() == [newest["id"], *before]


def test_a_wrong_clock_and_unknown_tokens_are_said(site: Site) -> None:
    event = site.event(
        NOON + timedelta(days=900), outcome="timeout", kept=False, http_status=504, error="upstream_timeout",
        input_tokens=None, output_tokens=None, usage_quality="missing",
    )  # fmt: skip
    site.report([event], NOON)
    rollups.fold(zone=BERLIN)

    said = text(signed_in(site.cast.finance).get("/spend/attempts/", NOVEMBER | {"outcome": "timeout"}))

    assert "gateway’s clock was wrong" in said
    assert "Timeout 504 upstream_timeout" in said
    assert "not known missing not known not priced no token counts" in said


def test_long_lists_come_in_pages(site: Site) -> None:
    site.report([site.event(NOON - timedelta(minutes=minute)) for minute in range(60)], NOON)
    rollups.fold(zone=BERLIN)
    client = signed_in(site.cast.finance)

    pages = [client.get("/spend/attempts/", NOVEMBER | {"page": str(page)}).context["page"] for page in (1, 2)]

    assert [len(page) for page in pages] == [50, 13]
    assert len({event.id for page in pages for event in page}) == 63
