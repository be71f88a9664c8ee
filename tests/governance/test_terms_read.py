"""Terms say what was live at any moment, as the changes that made it so do, and pages tell it."""

import re
from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from governance import rollbacks, stops, terms, workflows
from governance.models import Change, PolicyHead, User
from tests.cast import Cast, make_cast, make_live, make_person
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """The cast."""
    return make_cast()


def live(cast: Cast, keep_from: float) -> datetime:
    """Another version is live; a moment in which it was."""
    make_live(cast, keep_from)
    return timezone.now()


def versions(user: User, moment: datetime) -> list[int]:
    """The versions that were live at a moment."""
    return [each.revision.version.number for each in terms.at(terms.of(user), moment)]


def test_each_moment_has_the_version_that_was_live(cast: Cast) -> None:
    before = timezone.now()
    moments = [live(cast, keep_from) for keep_from in (0.8, 0.7, 0.6)]
    assert versions(cast.lead, before) == []
    assert [versions(cast.lead, moment) for moment in moments] == [[1], [2], [3]]
    newest, second, first = terms.of(cast.lead)
    assert (first.until, second.until, newest.until) == (second.applied_at, newest.applied_at, None)
    assert PolicyHead.objects.get().change == newest


def test_a_moment_of_change_belongs_to_the_new_version_alone(cast: Cast) -> None:
    live(cast, 0.8)
    live(cast, 0.7)
    second = Change.objects.get(head__isnull=False)
    assert second.applied_at is not None
    assert versions(cast.lead, second.applied_at) == [2]
    assert versions(cast.lead, second.applied_at - timedelta(microseconds=1)) == [1]


def test_a_roll_back_begins_a_term_of_its_own(cast: Cast) -> None:
    live(cast, 0.8)
    live(cast, 0.7)
    first = Change.objects.get(revision__version__number=1)
    seen = PolicyHead.objects.get().version_id
    rollbacks.go_back(
        workflow=cast.workflow, environment=cast.production, seen=seen, to=first.pk, reason="Too dear",
        confirmed_at=timezone.now(), by=cast.lead,
    )  # fmt: skip
    back, second, oldest = terms.of(cast.lead)
    assert (oldest.until, second.until, back.until) == (second.applied_at, back.applied_at, None)
    assert terms.models_of(back) == terms.models_of(oldest)
    page = text(signed_in(cast.lead).get(reverse("terms"), {"when": "ever"}))
    assert "a roll-back, Lead" in page


def test_the_line_has_each_term_once_without_a_gap(cast: Cast) -> None:
    for keep_from in (0.8, 0.7, 0.6, 0.5):
        live(cast, keep_from)
    now = timezone.now() + timedelta(days=1)
    begin, ((name, bars),) = terms.timeline(list(terms.of(cast.lead)), now=now)
    assert name == "production"
    assert begin == Change.objects.get(revision__version__number=1).applied_at
    assert [bar.term.revision.version.number for bar in bars] == [1, 2, 3, 4]
    assert (bars[0].x, bars[-1].x + bars[-1].width) == (0, 1000)
    assert all(bar.width >= 2 for bar in bars)
    # The last is as good as the whole line; the others were too short to be named in it.
    assert [bar.has_room for bar in bars] == [False, False, False, True]
    assert (bars[-1].lasts, bars[0].begins) == (f"{bars[-1].width / 10:.1f}%", "0.0%")


def test_a_retired_workflow_ends_its_term(cast: Cast) -> None:
    moment = live(cast, 0.8)
    workflows.retire(workflow=cast.workflow, reason="Not needed", by=cast.lead)
    (term,) = terms.of(cast.lead)
    cast.workflow.refresh_from_db()
    assert term.until == cast.workflow.retired_at
    assert versions(cast.lead, timezone.now()) == []
    assert versions(cast.lead, moment) == [1]


def test_what_was_stopped_then_is_said(cast: Cast) -> None:
    live(cast, 0.8)
    (term,) = terms.of(cast.lead)
    before = timezone.now()
    stop = stops.begin(workflow=cast.workflow, reason="It does harm", by=cast.lead)
    during = timezone.now()
    stops.lift(stop=stop, reason="Mended", by=cast.lead)
    assert [terms.stopped(moment).of(term) for moment in (before, during, timezone.now())] == [None, stop, None]


def test_a_stopped_model_stops_the_terms_that_name_it(cast: Cast) -> None:
    live(cast, 0.8)
    (term,) = terms.of(cast.lead)
    lexicon, *_ = cast.models
    named = stops.begin(model=lexicon, reason="It does harm", by=cast.lead)
    assert lexicon.name in terms.models_of(term)
    assert terms.stopped(timezone.now()).of(term) == named
    everything = stops.begin(reason="All of it", by=cast.lead)
    assert terms.stopped(timezone.now()).of(term) == everything
    term.revision.version.document["steps"] = []
    stops.lift(stop=everything, reason="Mended", by=cast.lead)
    assert terms.stopped(timezone.now()).of(term) is None


def test_the_page_tells_of_now_of_then_and_of_ever(cast: Cast) -> None:
    live(cast, 0.8)
    live(cast, 0.7)
    reader = signed_in(cast.lead)

    def page(**asked: str) -> str:
        return text(reader.get(reverse("terms"), asked))

    now = page()
    assert "One policy is live" in now
    assert "version 2 enforces" in now
    assert "version 1 " not in now
    ever = page(workflow=cast.workflow.slug, when="ever")
    assert "2 terms of this workflow" in ever
    assert re.search(r"version 2 enforces .* lasts change \d+ as voted, Lead .* version 1 enforces", ever)
    tomorrow = timezone.localtime() + timedelta(days=1)
    assert "Choose a moment that has passed" in page(at=tomorrow.strftime("%Y-%m-%dT%H:%M"))
    past = page(at="2001-01-01T12:00")
    assert "0 policies were live" in past
    assert "No policy matches this filter" in past
    assert "No model that you may see is called “nobody”." in page(model="nobody")
    assert "version 2" in page(model="lexicon")


def test_a_moment_that_is_none_is_refused_and_nothing_listed(cast: Cast) -> None:
    live(cast, 0.8)
    answer = signed_in(cast.lead).get(reverse("terms"), {"at": "yesterday"})
    assert answer.status_code == 422
    assert "Write a date and a time" in text(answer)
    assert "version 1" not in text(answer)


def test_a_moment_and_all_there_ever_were_are_not_asked_together(cast: Cast) -> None:
    live(cast, 0.8)
    answer = signed_in(cast.lead).get(reverse("terms"), {"at": "2001-01-01T12:00", "when": "ever"})
    assert answer.status_code == 422
    assert "Take the moment away" in text(answer)


def test_another_team_reads_no_term(cast: Cast) -> None:
    live(cast, 0.8)
    assert "version 1" not in text(signed_in(cast.stranger).get(reverse("terms"), {"when": "ever"}))
    assert file(signed_in(cast.stranger).get(reverse("terms_csv"))) == []
    assert signed_in(make_person("Nobody")).get(reverse("terms")).status_code == 403


def test_the_file_holds_what_the_page_lists(cast: Cast) -> None:
    live(cast, 0.8)
    live(cast, 0.7)
    rows = file(signed_in(cast.lead).get(reverse("terms_csv"), {"when": "ever"}))
    assert [(row["revision_version_number"], bool(row["until"])) for row in rows] == [("2", False), ("1", True)]
