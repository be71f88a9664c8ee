"""Evaluations as people see them: the list and its file, one of them with its samples, and what may be done there."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.urls import reverse
from django.utils import timezone

from governance.models import AuditEvent, PolicyVersion
from ledger import decisions, rollups
from routing import evaluations
from routing.models import Evaluation
from routing.replays import replayed
from tests.cast import make_live
from tests.ledger.reports import BERLIN, Site, make_site, raw
from tests.pages import Links, file, plain, signed_in, text
from tests.routing.lab import Lab, alike, bring_home, lab_of, measured, row, rows_in_tables
from tests.routing.test_evaluations_score import failed, said

pytestmark = pytest.mark.django_db

TEXTS = ("a", "b", "c", "d", "e")
# a: the lexicon, right. b: the lexicon, wrong. c: tf-idf. d: a person. e: smollm2 after a timeout and an error.
ANSWERS = {
    "lexicon": [said("positive", 0.95), said("negative", 0.85), said("positive", 0.3), said("positive", 0.2),
                failed("timeout")],
    "tf-idf": [said("positive"), said("positive"), said("positive"), said("positive", 0.1), failed("error")],
    "smollm2": [said("positive")] * 3 + [said("negative", 0.2), said("positive")],
}  # fmt: skip


@pytest.fixture
def site(installation_keys: None) -> Site:
    """The cast with a gateway that reports."""
    return make_site()


@pytest.fixture
def lab(site: Site) -> Lab:
    """A step of its with a live ladder."""
    return lab_of(site.cast)


@pytest.fixture
def done(lab: Lab) -> Evaluation:
    """An evaluation that went through."""
    return closed(lab)


def closed(lab: Lab) -> Evaluation:
    """An evaluation of five samples, at its end."""
    evaluation = measured(lab, [row(each, cluster=f"customer {each}") for each in TEXTS], ANSWERS)
    bring_home()
    return Evaluation.objects.for_list().get(pk=evaluation.pk)


def opened(person: Any, name: str, *arguments: Any, **query: str) -> Any:
    """A page as a person gets it."""
    answer = signed_in(person).get(reverse(name, args=arguments), query)
    assert answer.status_code == 200
    return answer


def test_the_page_says_first_what_matters_and_counts_what_it_shows(lab: Lab, done: Evaluation) -> None:
    answer = opened(lab.cast.auditor, "evaluation", done.pk)
    said = text(answer)
    assert answer.context["headline"].replace("\N{NO-BREAK SPACE}", " ") == (
        "The policy answers 80 % of the samples itself, 75 % of them right (30 to 95), "
        "as good as tf-idf alone there as far as 4 samples tell, at 4.7 times its cost"
    )
    assert "1 error, 0 timeouts" in said
    assert "0 errors, 1 timeout" in said
    assert "these come from 5 clusters" in said
    places = {each.sample.position: (each.words, each.replayed.correct) for each in answer.context["samples"]}
    assert places == {
        1: ("keeps lexicon", True),
        2: ("keeps lexicon", False),
        3: ("keeps tf-idf", True),
        4: ("a person decides", None),
        5: ("keeps smollm2", True),
    }


@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ({"show": "right"}, [1, 3, 5]),
        ({"show": "wrong"}, [2]),
        ({"show": "failed"}, []),
        ({"show": "person"}, [4]),
        ({"who": "lexicon", "show": "right"}, [1, 3, 4]),
        ({"who": "lexicon", "show": "wrong"}, [2, 5]),
        ({"who": "lexicon", "show": "failed"}, [5]),
        ({"who": "tf-idf", "show": "failed"}, [5]),
        ({"who": "lexicon", "show": "person"}, []),
        ({"who": "lexicon", "show": "unpriced"}, []),
        ({"show": "unpriced"}, []),
    ],
)
def test_samples_are_shown_by_whose_answer_is_right(
    lab: Lab, done: Evaluation, query: dict[str, str], positions: list[int]
) -> None:
    answer = opened(lab.cast.owner, "evaluation", done.pk, **query)
    assert [each.sample.position for each in answer.context["samples"]] == positions


def test_answers_of_a_model_that_was_not_asked_are_no_rows(lab: Lab, done: Evaluation) -> None:
    answer = signed_in(lab.cast.owner).get(reverse("evaluation", args=[done.pk]), {"who": "gpt-9", "show": "right"})
    assert (answer.status_code, list(answer.context["samples"])) == (422, [])
    assert "This filter does not fit" in text(answer)


def test_the_numbers_of_the_table_are_those_of_the_rows_they_open(lab: Lab, done: Evaluation) -> None:
    for score in done.scores.all():
        who = {"who": score.model} if score.model else {}
        failed = score.errors + score.timeouts
        told = {"right": score.correct, "failed": failed, "judged": score.judged, "kept": score.kept}
        for show, count in told.items():
            page = opened(lab.cast.owner, "evaluation", done.pk, show=show, **who).context["page"]
            assert page.paginator.count == count, (score.model, show)
    assert opened(lab.cast.owner, "evaluation", done.pk, show="person").context["page"].paginator.count == 1


def test_samples_are_also_shown_as_another_version_would_have_it(lab: Lab, done: Evaluation) -> None:
    make_live(lab.cast, 0.2)
    under = {
        number: opened(lab.cast.owner, "evaluation", done.pk, show="judged", version=number) for number in ("1", "2")
    }
    judged = {
        str(version.number): replayed(done, version.document).judged
        for version in PolicyVersion.objects.filter(workflow=lab.cast.workflow)
    }
    assert {number: answer.context["page"].paginator.count for number, answer in under.items()} == judged
    assert judged["1"] < judged["2"]
    assert ("version 2" in text(under["2"]), "version 2" in text(under["1"])) == (True, False)

    for wrong in ("9", "0", "first"):
        answer = signed_in(lab.cast.owner).get(reverse("evaluation", args=[done.pk]), {"version": wrong})
        assert (answer.status_code, list(answer.context["samples"])) == (422, [])
        assert "This filter does not fit" in text(answer)


def test_confidence_is_shown_by_tenths(lab: Lab, done: Evaluation) -> None:
    answer = opened(lab.cast.owner, "evaluation", done.pk)
    lexicon = next(tenths for model, _tier, tenths in answer.context["reliability"] if model == "lexicon")
    assert [(each.tenth, each.n, each.right) for each in lexicon] == [(2, 1, 1), (3, 1, 1), (8, 1, 0), (9, 1, 1)]
    assert [words for words, _cells in answer.context["reliability_table"]] == [
        *("0.9 to 1.0", "0.8 to 0.9", "0.3 to 0.4", "0.2 to 0.3", "0.1 to 0.2"),
    ]


def test_each_number_of_a_tenth_opens_the_samples_it_counts(lab: Lab, done: Evaluation) -> None:
    page = opened(lab.cast.owner, "evaluation", done.pk).content.decode()
    counted = [(href, int(words)) for href, words in Links(page).links if "sure=" in href]

    assert sum(number for _href, number in counted) == 4 + 4 + 5
    client = signed_in(lab.cast.owner)
    for href, number in counted:
        answer = client.get(reverse("evaluation", args=[done.pk]) + href)
        assert answer.context["page"].paginator.count == number, href
    assert opened(lab.cast.owner, "evaluation", done.pk, who="lexicon", sure="8", show="right").context["samples"] == []
    alone = client.get(reverse("evaluation", args=[done.pk]), {"sure": "8"})
    assert (alone.status_code, "Choose the model" in text(alone)) == (422, True)


def test_one_of_full_confidence_stands_in_the_last_tenth(lab: Lab) -> None:
    evaluation = measured(lab, [row("a"), row("b")], alike([said("positive", 1.0), said("negative", 0.0)]))
    bring_home()
    answer = opened(lab.cast.owner, "evaluation", evaluation.pk)
    _model, _tier, tenths = answer.context["reliability"][0]
    assert [(each.tenth, each.n, each.right) for each in tenths] == [(0, 1, 0), (9, 1, 1)]


def test_the_file_of_answers_has_every_answer_and_no_text(lab: Lab, done: Evaluation) -> None:
    answer = signed_in(lab.cast.auditor).get(reverse("evaluation_results_csv", args=[done.pk]))
    rows = file(answer)
    assert len(rows) == 15
    assert "text" not in rows[0]
    last = {each["model"]: each for each in rows if each["sample"] == "5"}
    assert (last["lexicon"]["outcome"], last["lexicon"]["correct"], last["lexicon"]["cluster"]) == (
        *("timeout", "False", "customer e"),
    )
    assert (last["smollm2"]["label"], last["smollm2"]["expected"], Decimal(last["smollm2"]["cost"])) == (
        *("positive", "positive", Decimal("0.1")),
    )


def test_the_list_and_its_file_say_the_same(lab: Lab, done: Evaluation) -> None:
    waiting = measured(lab, [row("x")], {})
    answer = opened(lab.cast.finance, "evaluations")
    assert [each.evaluation.pk for each in answer.context["rows"]] == [waiting.pk, done.pk]
    assert "0 of 3" in text(answer)
    rows = file(signed_in(lab.cast.finance).get(reverse("evaluations_csv")))
    assert [(each["evaluation"], each["model"]) for each in rows] == [
        (str(waiting.pk), ""),
        *((str(done.pk), model) for model in (*done.ladder, "policy")),
    ]
    policy, found = rows[-1], evaluations.measured(done).policy
    assert (int(policy["right"]), int(policy["judged"]), int(policy["to_person"])) == (3, 4, 1)
    assert float(policy["low"]) == pytest.approx(found.low)
    assert Decimal(policy["cost_per_task"]) == found.cost_per_task


def test_the_list_is_filtered_and_sorted(lab: Lab, done: Evaluation) -> None:
    waiting = measured(lab, [row("x")], {})

    def listed(**query: str) -> list[UUID]:
        return [each.evaluation.pk for each in opened(lab.cast.owner, "evaluations", **query).context["rows"]]

    assert listed(state="active") == [waiting.pk]
    assert listed(state="done") == [done.pk]
    assert listed(workflow=lab.cast.workflow.slug, step="sentiment") == [waiting.pk, done.pk]
    assert listed(step="language") == []
    assert listed(sort="when") == [done.pk, waiting.pk]
    # What is not known stands last both ways.
    for sort in ("right", "-right", "cost", "-cost"):
        assert listed(sort=sort) == [done.pk, waiting.pk], sort


def test_a_stranger_sees_none_of_it(lab: Lab, done: Evaluation) -> None:
    assert opened(lab.cast.stranger, "evaluations").context["rows"] == []
    assert file(signed_in(lab.cast.stranger).get(reverse("evaluations_csv"))) == []
    assert signed_in(lab.cast.stranger).get(reverse("evaluation", args=[done.pk])).status_code == 404


def test_progress_counts_the_answers_and_at_the_end_loads_the_page_anew(lab: Lab) -> None:
    evaluation = measured(lab, [row("a"), row("b")], {"lexicon": [said("positive"), said("positive")]})
    page = opened(lab.cast.auditor, "evaluation", evaluation.pk)
    assert "is being evaluated" in page.context["headline"]
    assert ("to be asked" in text(page), "not asked" in text(page)) == (True, False)
    address = reverse("evaluation_progress", args=[evaluation.pk])
    assert f'hx-get="{address}"' in page.content.decode()
    part = opened(lab.cast.auditor, "evaluation_progress", evaluation.pk)
    assert "2 of 6 answers" in text(part)
    assert "HX-Refresh" not in part
    evaluations.cancel(evaluation=evaluation, by=lab.cast.owner, now=timezone.now())
    assert opened(lab.cast.auditor, "evaluation_progress", evaluation.pk)["HX-Refresh"] == "true"


def test_who_may_run_cancels_and_evaluates_again(lab: Lab) -> None:
    evaluation = measured(lab, [row("a")], {})
    answer = signed_in(lab.cast.owner).post(reverse("evaluation_cancel", args=[evaluation.pk]))
    assert answer.status_code == 302
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.ended_by) == ("cancelled", lab.cast.owner)
    assert "was cancelled" in opened(lab.cast.owner, "evaluation", evaluation.pk).context["headline"]
    again = signed_in(lab.cast.lead).post(reverse("evaluation_again", args=[evaluation.pk]))
    second = Evaluation.objects.active().get()
    assert (again["location"], second.started_by) == (reverse("evaluation", args=[second.pk]), lab.cast.lead)
    before = rows_in_tables()
    third = signed_in(lab.cast.lead).post(reverse("evaluation_again", args=[evaluation.pk]), follow=True)
    assert "being evaluated in this environment already" in text(third)
    assert rows_in_tables() == before


@pytest.mark.parametrize("who", ["finance", "integrator", "auditor", "stranger", "reviewer", "admin"])
def test_who_may_not_run_changes_nothing(lab: Lab, who: str) -> None:
    evaluation = measured(lab, [row("a")], {})
    before = rows_in_tables()
    for name in ("evaluation_cancel", "evaluation_again"):
        answer = signed_in(lab.cast.people[who]).post(reverse(name, args=[evaluation.pk]))
        assert answer.status_code in (403, 404)
    evaluation.refresh_from_db()
    assert (evaluation.state, rows_in_tables()) == ("queued", before)


def test_a_text_is_shown_on_demand_and_the_audit_says_to_whom(lab: Lab, done: Evaluation) -> None:
    sample = done.sample_set.samples.get(position=3)
    page = opened(lab.cast.auditor, "evaluation", done.pk)
    address = reverse("sample_reveal", args=[sample.pk])
    assert address in page.content.decode()
    shown = signed_in(lab.cast.auditor).post(address)
    assert plain(shown.content.decode()) == "c"
    told = AuditEvent.objects.about(sample).get(action="sample_sets.read_sample")
    assert told.actor_id == str(lab.cast.auditor.pk)
    count = AuditEvent.objects.count()
    assert signed_in(lab.cast.stranger).post(address).status_code == 404
    assert signed_in(lab.cast.reviewer).post(address).status_code == 404
    assert signed_in(lab.cast.auditor).get(address).status_code == 405
    assert AuditEvent.objects.count() == count


def test_real_requests_stand_beside_it(site: Site, lab: Lab, done: Evaluation) -> None:
    assert "No request of this step" in text(opened(lab.cast.owner, "evaluation_live", done.pk))
    site.price()
    answered(site, "lexicon", 3)
    answered(site, None, 1)
    rollups.fold(zone=BERLIN)
    rows = {each.label: each for each in opened(lab.cast.owner, "evaluation_live", done.pk).context["rows"]}
    lexicon = rows["answered by lexicon"]
    told = " · ".join((lexicon.measured, lexicon.live, lexicon.difference))
    assert told.replace("\N{NO-BREAK SPACE}", " ") == "40 % · 75 % · 35 points more"
    assert rows["sent to a person"].difference == "5 points more"
    assert rows["answered by tf-idf"].difference == "20 points less"


def answered(site: Site, model: str | None, count: int) -> None:
    """Requests that a model answered, or a person."""
    for _ in range(count):
        now = timezone.now()
        decision = site.decision(now, outcome="kept" if model else "person", kept_model=model)
        site.report([site.event(now, decision=decision["id"], kept=model is not None)])
        decisions.record(batch=raw([decision]), gateway=site.gateway, now=now)
