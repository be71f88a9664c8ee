"""The pages of samples: drawing by the form, each draw with its entry and the thing itself, the list and its file."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from governance import seals
from governance.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditSample
from governance.views.audit_samples import MOMENT
from tests.cast import Cast, make_audit_sample, make_cast, make_change, make_key, make_live, make_review
from tests.pages import Links, file, signed_in, text

pytestmark = pytest.mark.django_db
START = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def cast(installation_keys: Path) -> Cast:
    """The cast with a live change, one in review and a case, all sealed."""
    made = make_cast()
    make_live(made, 0.8)
    make_change(made, 0.6)
    make_review(make_key(made)[0])
    seals.seal(keys=installation_keys, now=datetime.now(UTC))
    return made


def said(**given: Any) -> dict[str, Any]:
    """What the form sends, unless said."""
    until = AuditCheckpoint.objects.get().at.replace(microsecond=0)
    usual = {"kinds": ["all"], "acts": "", "since": START.strftime(MOMENT), "until": until.strftime(MOMENT)}
    return usual | {"n": "5", "seed": "six dice", "purpose": "CC8.1"} | given


def test_the_form_offers_a_seed_and_a_period_up_to_the_last_checkpoint(cast: Cast) -> None:
    client, signed = signed_in(cast.auditor), AuditCheckpoint.objects.get().at
    first, second = (client.get(reverse("audit_sample_new")) for _ in range(2))
    fields = first.context["form"]
    assert len(fields["seed"].value()) == 32
    assert fields["seed"].value() != second.context["form"]["seed"].value()
    assert f'value="{signed.strftime(MOMENT)}"' in str(fields["until"])
    assert f'value="{(signed - timedelta(days=90)).strftime(MOMENT)}"' in str(fields["since"])


def test_an_auditor_draws_by_the_form(cast: Cast) -> None:
    # His own zone does not move the period.
    cast.auditor.time_zone = "Asia/Tokyo"
    client = signed_in(cast.auditor)
    answer = client.post(
        reverse("audit_sample_new"), said(kinds=["live", "votes"], acts="reviews.open, accounts.grant")
    )
    drawn = AuditSample.objects.get()
    assert answer.headers["location"] == reverse("audit_sample", args=[drawn.pk])
    assert drawn.acts[:2] == ["accounts.grant", "changes.activate"]
    assert "reviews.open" in drawn.acts
    assert (drawn.since, drawn.until.microsecond, drawn.n, drawn.seed, drawn.purpose) == (
        START,
        0,
        5,
        "six dice",
        "CC8.1",
    )
    page = text(client.get(answer.headers["location"]))
    assert f"5 of {drawn.population} entries, drawn at random" in page
    assert "What became live; Votes and later words on changes; accounts.grant; reviews.open" in page
    assert drawn.root in page
    assert "1 Jan 2000, 00:00:00" in page


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "nothing to draw from": ({"kinds": []}, "kinds", "Choose what to draw from"),
    "no such kind": ({"kinds": ["other"]}, "kinds", "other is not one of the available choices"),
    "no act": ({"acts": "votes"}, "acts", "“votes” is no act"),
    "reversed": ({"since": "2024-02-01T00:00:00", "until": "2024-01-01T00:00:00"}, "until", "ends before it begins"),
    "the future": ({"until": "2100-01-01T00:00:00"}, "until", "lies in the future"),
    "no moment": ({"since": "soon"}, "since", "valid date/time"),
    "none": ({"n": "0"}, "n", "greater than or equal to 1"),
    "too many": ({"n": "1001"}, "n", "less than or equal to 1000"),
    "no seed": ({"seed": " "}, "seed", "required"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_stands_at_its_field_and_what_was_typed_stays(cast: Cast, name: str) -> None:
    given, field, words = WRONG[name]
    entries = AuditEvent.objects.count()
    kinds: dict[str, Any] = {} if "kinds" in given or "acts" not in given else {"kinds": []}
    answer = signed_in(cast.auditor).post(reverse("audit_sample_new"), said(**kinds, **given))
    assert answer.status_code == 422
    assert words in str(answer.context["form"].errors[field])
    assert 'value="CC8.1"' in answer.content.decode()
    assert (AuditSample.objects.count(), AuditEvent.objects.count()) == (0, entries)


def test_each_draw_opens_its_entry_and_the_thing_itself(cast: Cast) -> None:
    drawn = make_audit_sample(cast, n=1000)
    client = signed_in(cast.auditor)
    links = []
    for number in range(1, -(-len(drawn.draws) // 50) + 1):
        links += Links(client.get(reverse("audit_sample", args=[drawn.pk]), {"page": number}).content.decode()).links
    evidence = {href for href, words in links if words.startswith("Evidence of draw")}
    kinds = {href.split("/")[1] for href in evidence}
    assert {"changes", "reviews", "people", "models", "workflows", "teams", "providers", "environments"} <= kinds
    for href in evidence:
        assert client.get(href).status_code == 200, href
    entries = {
        href for href, words in links if href.startswith("/audit/") and "samples" not in href and "?" not in href
    }
    assert len(entries - {reverse("audit")}) == len(drawn.draws) == drawn.population
    one = AuditEvent.objects.filter(action="changes.vote").get()
    page = client.get(reverse("audit_entry", args=[one.pk]))
    assert (page.context["evidence"], "Open what it is about" in text(page)) == (f"/changes/{one.object_id}/", True)


def test_a_lead_sees_no_link_to_what_he_may_not_open(cast: Cast) -> None:
    drawn = make_audit_sample(cast, acts=["accounts.grant", "changes.vote"], n=50)
    links = Links(signed_in(cast.lead).get(reverse("audit_sample", args=[drawn.pk])).content.decode()).links
    evidence = {href.split("/")[1] for href, words in links if words.startswith("Evidence of draw")}
    assert evidence == {"changes"}


def test_the_audit_list_shows_exactly_the_draws_and_so_does_its_file(cast: Cast) -> None:
    drawn = make_audit_sample(cast, n=7)
    wanted = set(AuditLeaf.objects.filter(index__in=drawn.draws).values_list("event_id", flat=True))
    client = signed_in(cast.auditor)
    page = client.get(reverse("audit"), {"sample": str(drawn.pk)})
    assert {event.pk for event in page.context["page"]} == wanted
    assert "Only what a sample drew." in text(page)
    hashes = set(AuditEvent.objects.filter(pk__in=wanted).values_list("entry_hash", flat=True))
    assert {row["entry_hash"] for row in file(client.get(reverse("audit_csv"), {"sample": str(drawn.pk)}))} == hashes
    nobody = "0199a000-0000-7000-8000-000000000000"
    assert client.get(reverse("audit"), {"sample": nobody}).context["page"].paginator.count == 0
    # Whoever reads the log of one team alone learns of no sample.
    assert (
        signed_in(cast.stranger).get(reverse("audit"), {"sample": str(drawn.pk)}).context["page"].paginator.count == 0
    )


def test_small_and_empty_populations_say_so(cast: Cast) -> None:
    client = signed_in(cast.auditor)

    def page(**given: Any) -> str:
        return text(client.get(reverse("audit_sample", args=[make_audit_sample(cast, **given).pk])))

    assert "All 2 entries are drawn, for there are no more than were asked for" in page(acts=["changes.propose"])
    assert "The only entry is drawn" in page(acts=["changes.vote"])
    assert "There was nothing to draw: no such entry stands in the log" in page(acts=["emergencies.begin"])


def test_the_list_sorts_and_is_a_file(cast: Cast) -> None:
    client = signed_in(cast.auditor)
    assert "No sample was drawn yet" in text(client.get(reverse("audit_samples")))
    few, many = (
        make_audit_sample(cast, acts=["changes.vote"]),
        make_audit_sample(cast, purpose="All of it", by=cast.lead),
    )
    page = client.get(reverse("audit_samples"))
    assert [sample.pk for sample in page.context["page"]] == [many.pk, few.pk]
    assert "2 samples were drawn from the log" in text(page)
    sized = client.get(reverse("audit_samples"), {"sort": "population"})
    assert [sample.pk for sample in sized.context["page"]] == [few.pk, many.pk]
    rows = file(client.get(reverse("audit_samples_csv")))
    assert [(row["id"], row["purpose"], row["population"]) for row in rows] == [
        (str(many.pk), "All of it", str(many.population)),
        (str(few.pk), "", "1"),
    ]


def test_a_page_takes_the_same_queries_for_one_draw_and_for_many(cast: Cast) -> None:
    client, taken = signed_in(cast.auditor), []
    for n in (1, 50):
        # Each leads to its evidence by a name that has to be looked up.
        drawn = make_audit_sample(cast, acts=["accounts.grant"], n=n)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse("audit_sample", args=[drawn.pk])).status_code == 200
        taken.append(len(queries))
    assert taken == [8, 8]
