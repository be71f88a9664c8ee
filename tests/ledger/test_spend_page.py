"""The spend page and its file: who sees what, and that every number is the sum of what it says."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db.models import Sum
from django.test import Client
from django.utils import timezone

from governance import accounts
from governance.models import ApiKey, User
from governance.views import choices
from ledger import rollups
from ledger.models import Charge
from ledger.spend import By
from tests.cast import make_workflow
from tests.ledger.reports import BERLIN, Site, make_site
from tests.pages import file, plain, signed_in, text

pytestmark = pytest.mark.django_db

NOVEMBER = {"since": "2026-11-01", "until": "2026-11-30"}
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def figure(answer: Any, label: str) -> str:
    """The figure that stands under a label."""
    found = re.search(rf"<dt>{label}</dt><dd>(.*?)<small>", answer.content.decode(), re.DOTALL)
    assert found, label
    return plain(found[1])


def wrong(path: str) -> int:
    """The status of a page, or of a file, whose filter does not fit."""
    return 422 if path.endswith("/") else 400


@pytest.fixture(autouse=True)
def november() -> Iterator[None]:
    """It is noon on 24 November 2026, and time passes."""
    with time_machine.travel(datetime(2026, 11, 24, 12, tzinfo=UTC)):
        yield


@pytest.fixture
def site(november: None) -> Site:
    """Ten attempts of November: six kept by a priced model, three by a dearer one, one without a price."""
    site = make_site()
    site.price(0)
    site.price(1, input=Decimal(20), output=Decimal(80))
    events = [site.event(NOON - timedelta(days=day), place=0, step="language") for day in range(6)]
    events += [site.event(NOON - timedelta(days=day), place=1, kept=day == 0) for day in range(3)]
    events += [site.event(NOON, place=2, kept=False, outcome="error", http_status=500)]
    site.report(events, NOON)
    rollups.fold(zone=BERLIN)
    return site


def test_finance_reads_what_it_cost_and_what_is_not_in_that(site: Site) -> None:
    answer = signed_in(site.cast.finance).get("/spend/", NOVEMBER)

    assert answer.status_code == 200
    said = text(answer)
    assert "AI cost USD 0.216 in November so far; 1 more attempt has no price" in said
    assert "1 Nov to 30 Nov , Europe/Berlin, USD" in said
    assert "all that was reported is counted" in said
    assert [figure(answer, label) for label in ("spent", "tasks", "attempts", "for each task", "not priced")] == [
        "USD 0.216",
        "7",
        "10",
        "USD 0.0309",
        "1",
    ]
    assert "Customer feedback: small 86" in said


@pytest.mark.parametrize("by", By.values)
def test_an_answer_that_was_only_evaluated_costs_but_is_no_task(site: Site, by: str, installation_keys: None) -> None:
    measuring, _token = accounts.own_key(
        workflow=site.cast.workflow,
        environment=site.cast.production,
        purpose=ApiKey.Purpose.EVALUATION,
        by=site.cast.owner,
    )
    site.report([site.event(NOON, place=0, key=str(measuring.pk), step="language") for _ in range(3)], NOON)
    rollups.fold(zone=BERLIN)
    client = signed_in(site.cast.finance)

    answer = client.get("/spend/", NOVEMBER | {"by": by})

    # Three more attempts at USD 0.006; tasks, who answered and what each took stay as they were.
    assert [figure(answer, label) for label in ("spent", "of that on evaluations", "tasks", "attempts")] == [
        *("USD 0.234", "USD 0.018", "7", "13")
    ]
    assert figure(answer, "for each task") == "USD 0.0309"
    assert sum(sum(row.sums.answered.values()) for row in answer.context["rows"]) == 7
    rows = file(client.get("/spend/export.csv", NOVEMBER | {"by": by}))
    assert sum(int(row["tasks"]) for row in rows) == 7
    assert sum(Decimal(row["amount"]) for row in rows if row["purpose"] == "evaluation") == Decimal("0.018")
    kept = client.get("/spend/attempts/", NOVEMBER | {"show": "kept"})
    assert kept.context["page"].paginator.count == 7 == len(list(kept.context["page"]))
    total = answer.context["total"]
    for query, count in ((total.evaluated, 3), (total.late, total.sums.late), (total.recorded, 0)):
        listed = client.get(f"/spend/attempts/?{query}")
        assert listed.context["page"].paginator.count == count == len(list(listed.context["page"]))
    assert total.sums.late == 7
    every = client.get("/spend/attempts/", NOVEMBER)
    assert (every.context["page"].paginator.count, text(every).count("evaluated")) == (13, 3)


@pytest.mark.parametrize("by", By.values)
def test_page_file_and_charges_have_the_same_totals(site: Site, by: str) -> None:
    client = signed_in(site.cast.finance)

    answer = client.get("/spend/", NOVEMBER | {"by": by})
    rows = file(client.get("/spend/export.csv", NOVEMBER | {"by": by}))

    charged = Charge.objects.aggregate(amount=Sum("amount"))["amount"]
    assert answer.context["total"].sums.amounts == {"USD": charged} == {"USD": Decimal("0.216")}
    assert sum(Decimal(row["amount"]) for row in rows if row["currency"]) == charged
    assert [row["amount"] for row in rows if not row["currency"]] == [""]
    for column, total in (("attempts", 10), ("tasks", 7), ("unpriced", 1), ("late", 7)):
        assert sum(int(row[column]) for row in rows) == total == getattr(answer.context["total"].sums, column)
    assert sum(row.sums.attempts for row in answer.context["rows"]) == 10


def test_rows_lead_to_finer_sums_and_figures_to_the_attempts_they_count(site: Site) -> None:
    client = signed_in(site.cast.finance)
    page = client.get("/spend/", NOVEMBER)
    for by in ("step", "model", "day", "workflow"):
        (row, *_) = page.context["rows"]
        for query, count in (
            (row.attempts, row.sums.attempts),
            (row.tasks, row.sums.tasks),
            (row.unpriced, row.sums.unpriced),
        ):
            attempts = client.get(f"/spend/attempts/?{query}")
            assert attempts.context["page"].paginator.count == count
            assert len(list(attempts.context["page"])) == count
        finer = client.get(f"/spend/?{row.finer}")
        assert finer.context["by"] == by
        assert finer.context["total"].sums.attempts == row.sums.attempts
        assert finer.context["total"].sums.amounts == row.sums.amounts
        page = finer


def test_a_day_of_money_begins_at_midnight_in_the_reporting_zone() -> None:
    site = make_site()
    midnight = datetime(2026, 10, 25, tzinfo=BERLIN).astimezone(UTC)
    # The day of the clock change has 25 hours.
    moments = [midnight, midnight + timedelta(hours=25) - timedelta(microseconds=1), midnight + timedelta(hours=25)]
    site.report([site.event(moment) for moment in moments], NOON)
    rollups.fold(zone=BERLIN)
    client = signed_in(site.cast.finance)

    for day, count in ((date(2026, 10, 24), 0), (date(2026, 10, 25), 2), (date(2026, 10, 26), 1)):
        days = {"since": day.isoformat(), "until": day.isoformat()}
        assert client.get("/spend/", days).context["total"].sums.attempts == count
        assert client.get("/spend/attempts/", days).context["page"].paginator.count == count
        assert len(client.get("/spend/attempts/", days).context["page"].object_list) == count


@pytest.mark.parametrize("who", ["lead", "auditor", "finance", "owner", "integrator"])
def test_those_of_the_organisation_and_of_the_team_read_it(site: Site, who: str) -> None:
    client = signed_in(site.cast.people[who])

    assert client.get("/spend/", NOVEMBER).context["total"].sums.attempts == 10
    assert sum(int(row["attempts"]) for row in file(client.get("/spend/export.csv", NOVEMBER))) == 10
    assert client.get("/spend/attempts/", NOVEMBER).context["page"].paginator.count == 10
    assert len(file(client.get("/spend/attempts/export.csv", NOVEMBER))) == 10


PAGES = ("/spend/", "/spend/export.csv", "/spend/attempts/", "/spend/attempts/export.csv")


def test_another_team_sees_nothing_of_it_not_even_that_it_is_there(site: Site) -> None:
    client = signed_in(site.cast.stranger)

    for path in PAGES:
        answer = client.get(path, NOVEMBER)
        assert answer.status_code == 200, path
        said = answer.getvalue().decode()
        assert "feedback" not in said, path
        assert "0.216" not in said, path
        for slug in ("customer-feedback", "no-such"):
            assert client.get(path, NOVEMBER | {"workflow": slug}).status_code == wrong(path), path


def test_those_without_the_right_are_refused_and_guests_asked_to_sign_in(site: Site) -> None:
    for path in PAGES:
        for who in ("reviewer", "admin"):
            assert signed_in(site.cast.people[who]).get(path, NOVEMBER).status_code == 403, path
        assert Client().get(path, NOVEMBER).status_code == 302, path
        assert signed_in(site.cast.finance).post(path, NOVEMBER).status_code == 405, path


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"since": "2026-11-30", "until": "2026-11-02"}, "Choose a day that is not before the first."),
        ({"since": "yesterday"}, "Enter a valid date."),
        ({"since": "0001-01-01"}, "Choose a day between 1970-01-01 and 9000-12-31."),
        ({"until": "9999-12-31"}, "Choose a day between 1970-01-01 and 9000-12-31."),
        ({"model": "unheard-of"}, "Select a valid choice"),
        ({"step": "x" * 201}, "at most 200 characters"),
        ({"step": "a\x00"}, "Null characters are not allowed."),
    ],
)
def test_a_filter_that_does_not_fit_is_named_and_shows_no_sum(site: Site, filters: dict[str, str], said: str) -> None:
    for path in PAGES:
        answer = signed_in(site.cast.finance).get(path, filters)

        assert answer.status_code == wrong(path), path
        if path.endswith("/"):
            assert said in text(answer), path
            assert "USD" not in text(answer), path


def test_without_a_filter_it_is_this_month_so_far() -> None:
    site = make_site()
    site.price()
    site.report([site.event()])
    rollups.fold(zone=BERLIN)

    answer = signed_in(site.cast.finance).get("/spend/")

    today = timezone.now().astimezone(BERLIN).date()
    assert answer.context["selection"].first == today.replace(day=1)
    assert answer.context["selection"].last == today
    assert "AI cost USD 0.006 in" in text(answer)
    assert "Take away" not in answer.content.decode()


def test_the_last_attempt_stands_in_the_time_of_who_reads_it(site: Site) -> None:
    client = signed_in(site.cast.finance)
    for zone, clock in (("Europe/Berlin", "13:00"), ("America/New_York", "07:00")):
        User.objects.filter(pk=site.cast.finance.pk).update(time_zone=zone)
        assert f"last attempt counted 20 Nov {clock}" in text(client.get("/spend/", NOVEMBER))


def test_what_waits_is_said() -> None:
    site = make_site()
    site.report([site.event(), site.event()])

    answer = signed_in(site.cast.finance).get("/spend/")

    assert "2 attempts wait to be priced" in text(answer)
    assert "No attempt was counted in" in text(answer)
    assert b"<table" not in answer.content


def test_where_nothing_has_a_price_no_amount_is_shown() -> None:
    site = make_site()
    site.report([site.event(NOON) for _ in range(2)], NOON)
    rollups.fold(zone=BERLIN)

    said = text(signed_in(site.cast.finance).get("/spend/", NOVEMBER))

    assert "What AI cost in November is not known: none of 2 attempts has a price" in said
    assert "not priced" in said
    assert "0.00" not in said


def test_currencies_stand_side_by_side() -> None:
    site = make_site()
    site.price(0)
    site.price(1, currency="EUR")
    site.report([site.event(NOON, place=place) for place in (0, 1)], NOON)
    rollups.fold(zone=BERLIN)
    client = signed_in(site.cast.finance)

    answer = client.get("/spend/", NOVEMBER)

    assert "AI cost EUR 0.006 and USD 0.006 in November" in text(answer)
    assert figure(answer, "spent") == "EUR 0.006 USD 0.006"
    rows = file(client.get("/spend/export.csv", NOVEMBER))
    assert {row["currency"]: row["amount"] for row in rows} == {"EUR": "0.0060000000", "USD": "0.0060000000"}


def test_rows_are_sorted_as_asked_and_by_money_otherwise(site: Site) -> None:
    client = signed_in(site.cast.finance)

    def names(**asked: str) -> list[str]:
        return [row.label for row in client.get("/spend/", NOVEMBER | {"by": "model"} | asked).context["rows"]]

    assert names() == names(sort="-spend") == names(sort="nonsense") == ["Tf-Idf", "Lexicon", "Smollm2"]
    assert names(sort="name") == ["Lexicon", "Smollm2", "Tf-Idf"]
    assert names(sort="-attempts") == ["Lexicon", "Tf-Idf", "Smollm2"]
    assert names(sort="tasks") == ["Smollm2", "Tf-Idf", "Lexicon"]
    assert names(sort="-unpriced")[0] == "Smollm2"
    assert names(sort="-task") == ["Tf-Idf", "Lexicon", "Smollm2"]
    days = [row.label for row in client.get("/spend/", NOVEMBER | {"by": "day"}).context["rows"]]
    assert days == sorted(days, reverse=True)
    assert len(days) == 6


def test_a_text_that_a_spreadsheet_would_run_is_only_text() -> None:
    site = make_site()
    site.report([site.event(NOON, step="=1+1", run="@sum", error="-x")], NOON)
    rollups.fold(zone=BERLIN)
    client = signed_in(site.cast.finance)

    assert file(client.get("/spend/export.csv", NOVEMBER | {"by": "step"}))[0]["step"] == "'=1+1"
    (row,) = file(client.get("/spend/attempts/export.csv", NOVEMBER))
    assert (row["step"], row["run"], row["error"]) == ("'=1+1", "'@sum", "'-x")


@pytest.mark.parametrize("path", ["/spend/", "/spend/attempts/"])
def test_a_page_takes_at_most_twelve_queries_and_100_kb_whatever_its_length(
    site: Site, path: str, django_assert_max_num_queries: Any
) -> None:
    events = [site.event(NOON) | {"step": f"step {number}"} for number in range(55)]
    site.report(events, NOON)
    rollups.fold(zone=BERLIN)
    client = signed_in(site.cast.finance)

    for by in ("step", "day"):
        with django_assert_max_num_queries(12):
            answer = client.get(path, NOVEMBER | {"by": by})
        assert len(answer.content) < 100_000
        assert len(answer.context["page"]) == (6 if by == "day" and path == "/spend/" else 50)


def test_a_page_of_many_workflows_asks_no_more_than_one_of_few(site: Site, django_assert_max_num_queries: Any) -> None:
    cast = site.cast
    for number in range(20):
        workflow = make_workflow(cast.team, cast.owner, f"workflow-{number}")
        key, _ = accounts.create_key(workflow=workflow, environment=cast.production, name="App", by=cast.integrator)
        site.report([site.event(NOON, workflow=str(workflow.id), key=str(key.id))], NOON)
    rollups.fold(zone=BERLIN)
    client = signed_in(cast.finance)

    for path, count in (("/spend/", 21), ("/spend/attempts/", 30)):
        with django_assert_max_num_queries(12):
            answer = client.get(path, NOVEMBER)
        assert answer.context["page"].paginator.count == count


@pytest.mark.parametrize("path", ["/spend/", "/spend/attempts/", "/savings/"])
def test_among_many_workflows_one_is_written_by_its_short_name(
    site: Site, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "MOST_CHOICES", 1)
    make_workflow(site.cast.team, site.cast.owner, "returns")
    client = signed_in(site.cast.finance)

    whole = client.get(path, NOVEMBER)
    assert "Returns</option>" not in whole.content.decode()
    assert len(whole.context["page"])
    narrowed = client.get(path, NOVEMBER | {"workflow": "returns"})
    assert '<input type="text" name="workflow" value="returns"' in narrowed.content.decode()
    assert not len(narrowed.context["page"])
    assert client.get(path, NOVEMBER | {"workflow": "nowhere"}).status_code == 422


def test_the_days_of_a_period_are_taken_away_together(site: Site) -> None:
    client = signed_in(site.cast.finance)
    answer = client.get("/spend/", {"since": "2026-10-01", "until": "2026-10-31", "model": "lexicon", "by": "day"})

    parts = answer.context["filter_form"].narrowed
    assert [(each.label, each.without) for each in parts] == [
        ("From", "?model=lexicon&by=day"),
        ("To", "?model=lexicon&by=day"),
        ("Model", "?since=2026-10-01&until=2026-10-31&by=day"),
    ]
    assert {client.get(f"/spend/{each.without}").status_code for each in parts} == {200}
