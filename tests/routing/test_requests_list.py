"""The list of requests: whose, which, in what order, page by page, and the same in its file."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from governance.models import User
from ledger.models import Decision
from routing import requests
from tests import cast as casting
from tests.pages import file, signed_in, text
from tests.routing.asked import Shop, make_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    """Four requests, oldest first: kept by the first model, by the last, by nobody and refused."""
    made = make_shop()
    now = timezone.now()
    made.ask(0.9, at=now - timedelta(minutes=4), run="mail-1")
    made.ask(0.2, 0.3, 0.95, at=now - timedelta(minutes=3), run="mail-1")
    made.ask(0.2, 0.3, 0.4, at=now - timedelta(minutes=2))
    made.ask(at=now - timedelta(minutes=1), data_class="restricted")
    return made


def listed(person: User, **query: str) -> list[str]:
    """What came of each request in the list, in its order: its outcome and who answered."""
    answer = signed_in(person).get(reverse("requests"), query)
    assert answer.status_code == 200
    return [row.decision.kept_model or row.decision.outcome for row in answer.context["listing"].rows]


def test_the_newest_stand_first_with_what_came_of_them(shop: Shop) -> None:
    answer = signed_in(shop.cast.lead).get(reverse("requests"))
    rows = answer.context["listing"].rows
    assert listed(shop.cast.lead) == ["refused", "person", "smollm2", "lexicon"]
    assert [row.cost.amounts.get("USD", Decimal(0)) for row in rows] == [
        Decimal(0),
        Decimal("0.018"),
        Decimal("0.018"),
        Decimal("0.006"),
    ]
    assert [[(rung.model, rung.state) for rung in row.rungs] for row in rows[2:]] == [
        [("lexicon", "climbed"), ("tf-idf", "climbed"), ("smollm2", "kept"), ("a person", "not_asked")],
        [("lexicon", "kept"), ("tf-idf", "not_asked"), ("smollm2", "not_asked"), ("a person", "not_asked")],
    ]
    said = text(answer)
    assert "4 requests: 2 were answered by models, 1 went to a person, 1 was not allowed" in said
    for word in ("waits for a person", "not allowed", "nobody yet", "0.95"):
        assert word in said


FILTERS: tuple[tuple[dict[str, str], list[str]], ...] = (
    ({"outcome": "person"}, ["person"]),
    ({"outcome": "kept"}, ["smollm2", "lexicon"]),
    ({"tier": "frontier"}, ["smollm2"]),
    ({"tier": "person"}, ["person"]),
    ({"model": "lexicon"}, ["lexicon"]),
    ({"run": "mail-1"}, ["smollm2", "lexicon"]),
    ({"step": "sentiment", "outcome": "refused"}, ["refused"]),
    ({"outcome": "unanswered"}, ["refused"]),
    ({"recorded": "only"}, []),
    ({"step": "language"}, []),
    ({"mode": "observe"}, []),
    ({"environment": "production", "tier": "small"}, ["lexicon"]),
    ({"key": "Shop", "run": "mail-1"}, ["smollm2", "lexicon"]),
    ({"attempts": "several"}, ["person", "smollm2"]),
    ({"kind": "work", "tier": "small"}, ["lexicon"]),
    ({"kind": "evaluation"}, []),
    ({"workflow": "customer-feedback", "until": "2020-01-01"}, []),
    ({"since": "2020-01-01", "tier": "small"}, ["lexicon"]),
    ({"sort": "when"}, ["lexicon", "smollm2", "person", "refused"]),
    ({"sort": "cost"}, ["refused", "lexicon", "person", "smollm2"]),
    ({"sort": "-time"}, ["person", "smollm2", "lexicon", "refused"]),
    ({"sort": "nonsense", "page": "nonsense", "after": "nonsense"}, ["refused", "person", "smollm2", "lexicon"]),
)


def test_filters_and_orders(shop: Shop) -> None:
    for query, expected in FILTERS:
        assert listed(shop.cast.lead, **query) == expected, query
        if "sort" not in query:
            filed = file(signed_in(shop.cast.lead).get(reverse("requests_csv"), query))
            assert [row["answered_by"] or row["outcome"] for row in filed] == expected, query


def test_what_measured_a_model_is_told_from_work(shop: Shop) -> None:
    shop.measuring().ask(0.2, 0.9)
    assert listed(shop.cast.lead, kind="evaluation") == ["tf-idf"]
    assert listed(shop.cast.lead, kind="work") == ["refused", "person", "smollm2", "lexicon"]
    assert listed(shop.cast.lead) == ["tf-idf", "refused", "person", "smollm2", "lexicon"]


def test_one_that_a_clock_dated_after_now_stands_apart_and_is_told_by_its_arrival(shop: Shop) -> None:
    now = timezone.now()
    assert {each.clock for each in Decision.objects.all()} == {"ok"}
    record = shop.decide(0.9, at=now + timedelta(days=1))
    shop.send(record, at=now)
    shop.report(record, at=now)
    row = Decision.objects.get(pk=record.id)
    assert (row.clock, row.booked_at, row.occurred_at) == ("ahead", now, now + timedelta(days=1))

    client = signed_in(shop.cast.lead)
    assert listed(shop.cast.lead) == ["refused", "person", "smollm2", "lexicon"]
    said = text(client.get(reverse("requests")))
    assert "1 more is dated after now: a gateway’s clock is ahead." in said
    assert [str(each.decision.pk) for each in client.get(reverse("follow")).context["strip"]].count(record.id) == 0
    assert len(file(client.get(reverse("requests_csv")))) == 4
    assert listed(shop.cast.lead, clock="ahead") == ["lexicon"]
    apart = text(client.get(reverse("requests"), {"clock": "ahead"}))
    assert "1 request dated after now, which was answered by a model" in apart
    assert "gateway’s clock was wrong" in apart
    assert [each["id"] for each in file(client.get(reverse("requests_csv"), {"clock": "ahead"}))] == [record.id]
    assert "gateway’s clock was wrong" in text(client.get(reverse("request", args=[record.id])))
    assert client.get(reverse("requests"), {"clock": "fast"}).status_code == 422


def test_a_key_is_found_by_its_first_letters(shop: Shop) -> None:
    assert len(listed(shop.cast.lead, key=shop.site.key.prefix)) == 4


def test_the_file_holds_what_the_list_counts(shop: Shop) -> None:
    rows = file(signed_in(shop.cast.lead).get(reverse("requests_csv")))
    kept = rows[2]
    assert (kept["answered_by"], kept["tier"], kept["attempts"], kept["latency_ms"]) == (
        "smollm2",
        "frontier",
        "3",
        "60",
    )
    assert (kept["amount"], kept["currency"], kept["unpriced"], kept["pending"]) == (
        "0.0180000000",
        "USD",
        "0",
        "0",
    )
    assert (kept["workflow"], kept["key"], kept["mode"], kept["run"]) == (
        "customer-feedback",
        "Shop",
        "enforce",
        "mail-1",
    )
    assert rows[1]["review"] == "open"


def test_a_wrong_filter_says_what_is_wrong_and_lists_nothing(shop: Shop) -> None:
    client = signed_in(shop.cast.lead)
    for query in ({"outcome": "fine"}, {"since": "2026-02-31"}, {"since": "2026-02-02", "until": "2026-02-01"}):
        answer = client.get(reverse("requests"), query)
        assert (answer.status_code, "listing" in answer.context) == (422, False)
        assert client.get(reverse("requests_csv"), query).status_code == 400


def test_whose_requests_are_read(shop: Shop) -> None:
    assert len(listed(shop.cast.integrator)) == 4
    assert listed(shop.cast.stranger) == []
    assert file(signed_in(shop.cast.stranger).get(reverse("requests_csv"))) == []
    for name in ("requests", "requests_csv"):
        assert signed_in(shop.cast.reviewer).get(reverse(name)).status_code == 403
        there = signed_in(shop.cast.stranger).get(reverse(name), {"workflow": "customer-feedback"})
        assert there.status_code == (422 if name == "requests" else 400)


def test_pages_go_on_and_back_without_losing_or_repeating(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "ROWS", 1)
    client = signed_in(shop.cast.lead)
    for sort, expected in (
        ("", ["refused", "person", "smollm2", "lexicon"]),
        ("when", ["lexicon", "smollm2", "person"]),
    ):
        seen: list[Any] = []
        query: dict[str, Any] = {"sort": sort}
        for _ in expected:
            listing = client.get(reverse("requests"), query).context["listing"]
            seen += [row.decision for row in listing.rows]
            query = {"sort": sort, "after": listing.stretch.after}
        assert [each.kept_model or each.outcome for each in seen] == expected
        back = client.get(reverse("requests"), {"sort": sort, "before": seen[2].id}).context["listing"]
        assert [row.decision for row in back.rows] == [seen[1]]
    first = client.get(reverse("requests")).context["listing"].stretch
    assert (first.before, first.after is None) == (None, False)
    last = client.get(reverse("requests"), {"after": query["after"]}) if query["after"] else None
    assert last is None or last.status_code == 200


def test_more_than_are_counted_are_only_said_to_be_more(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routing.views.requests.MOST_COUNTED", 3)
    monkeypatch.setattr("routing.views.requests.MOST_RANKED", 3)
    answer = signed_in(shop.cast.lead).get(reverse("requests"), {"sort": "-cost"})
    assert "More than 3 requests" in text(answer)
    assert "narrow the filter" in text(answer)
    assert [row.decision.outcome for row in answer.context["listing"].rows] == ["refused", "person", "kept", "kept"]


def test_attempts_not_charged_yet_are_said_to_follow() -> None:
    shop = make_shop()
    shop.ask(0.9, charged=False)
    assert "price follows" in text(signed_in(shop.cast.lead).get(reverse("requests")))
    (row,) = file(signed_in(shop.cast.lead).get(reverse("requests_csv")))
    assert (row["amount"], row["pending"]) == ("", "1")


def test_nothing_here_says_what_to_do() -> None:
    cast = casting.make_cast()
    said = text(signed_in(cast.lead).get(reverse("requests")))
    assert "No request yet" in said
    assert "Try a request" in said
    assert "Try a request" not in text(signed_in(cast.auditor).get(reverse("requests")))
    assert "No request matches" in text(signed_in(cast.lead).get(reverse("requests"), {"outcome": "kept"}))


def test_a_watched_policy_is_marked(shop: Shop) -> None:
    shop.watch()
    shop.ask(0.1, model="smollm2")
    answer = signed_in(shop.cast.lead).get(reverse("requests"), {"mode": "observe"})
    assert "1 request, which was answered by a model" in text(answer)
    assert "only watched" in text(answer)
    assert [rung.model for rung in answer.context["listing"].rows[0].rungs] == ["smollm2"]
