"""What evaluations say on other pages: a workflow's steps beside their real requests, a change on the samples."""

from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from governance import changes
from governance.models import Change
from routing import evaluations, replays
from routing.models import Evaluation
from routing.views import wording
from tests.cast import approve, make_change, make_document
from tests.ledger.reports import Site, make_site
from tests.pages import signed_in, text
from tests.routing.lab import Lab, alike, bring_home, lab_of, measured, row
from tests.routing.test_evaluations_pages import answered
from tests.routing.test_evaluations_score import said

pytestmark = pytest.mark.django_db

# Kept from 0.8 by the lexicon: a. Kept by it from 0.5: a, b, c, of which c wrongly. d goes to a person anyway.
ANSWERS = {
    "lexicon": [said("positive", 0.95), said("positive", 0.6), said("negative", 0.5), said("positive", 0.2)],
    "tf-idf": [said("positive", 0.9)] * 3 + [said("positive", 0.1)],
    "smollm2": [said("positive", 0.9)] * 3 + [said("negative", 0.2)],
}


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
    evaluation = measured(lab, [row(each) for each in "abcd"], ANSWERS)
    bring_home()
    return Evaluation.objects.for_list().get(pk=evaluation.pk)


def part(person: Any, name: str, argument: Any) -> Any:
    """A part of a page as a person gets it."""
    return signed_in(person).get(reverse(name, args=[argument]))


def figures(answer: Any) -> dict[str, tuple[str, str, str]]:
    """The rows of the one step that a change's part tells of, with plain spaces."""
    (told,) = answer.context["told"]
    return {
        each.label: tuple(
            words.replace("\N{NO-BREAK SPACE}", " ") for words in (each.before, each.after, each.difference)
        )
        for each in told.rows
    }


def test_a_change_is_told_by_the_samples_what_it_would_do(lab: Lab, done: Evaluation) -> None:
    change = make_change(lab.cast, 0.5)

    answer = part(lab.cast.auditor, "change_evaluated", change.pk)

    assert figures(answer) == {
        "answered by lexicon": ("25 %", "75 %", "50 points more"),
        "answered by tf-idf": ("50 %", "0 %", "50 points less"),
        "answered by smollm2": ("0 %", "0 %", "the same"),
        "sent to a person": ("25 %", "25 %", "the same"),
        "right, of what models answer": (
            *("100 % (44 to 100)", "67 % (21 to 94)", "no difference shown, +0 \N{MINUS SIGN}1 of 3 that both answer"),
        ),
        # 0.001 + 2 x 0.011 + 0.111 before, 3 x 0.001 + 0.111 after, of four samples.
        "cost of a sample": ("USD 0.0335", "USD 0.0285", "15 % cheaper"),
    }
    assert "labelled samples replayed, not traffic" in text(answer)
    assert "as many samples as now would go to a person" in text(answer)


def test_what_people_and_models_take_over_from_each_other_is_said_first(lab: Lab) -> None:
    evaluation = measured(
        lab,
        [row("a"), row("b")],
        alike([{"label": "negative", "confidence": 0.6}, {"label": "positive", "confidence": 0.7}]),
    )
    bring_home()
    high, low = (
        evaluations.replayed(evaluation, make_document(0.8)),
        evaluations.replayed(evaluation, make_document(0.5)),
    )
    told = (wording.moved(high, low), wording.moved(low, high), wording.moved(low, low))
    assert [words.replace("\N{NO-BREAK SPACE}", " ") for words in told] == [
        "models would answer 2 samples where a person decides now, 50 % (9 to 91) right",
        "a person would decide 2 samples where models answer now, 50 % (9 to 91) right",
        "as many samples as now would go to a person",
    ]


def test_the_figures_are_those_of_the_replays(lab: Lab, done: Evaluation) -> None:
    before, after = evaluations.replayed(done), evaluations.replayed(done, make_document(0.5))
    pair = replays.paired(before, after)
    assert (pair.n, pair.gained, pair.lost, pair.p_value) == (3, 0, 1, 1.0)
    turned = replays.paired(after, before)
    assert (turned.gained, turned.lost) == (1, 0)
    assert (before.cost, after.cost) == (Decimal("0.134"), Decimal("0.114"))


def test_a_change_that_moves_no_sample_says_so(lab: Lab, done: Evaluation) -> None:
    change = make_change(lab.cast, 0.81)
    answer = part(lab.cast.owner, "change_evaluated", change.pk)
    assert "nothing differs" in text(answer)
    assert figures(answer)["cost of a sample"][2] == "the same within 5 %"


def test_a_ladder_of_one_model_is_told_too(lab: Lab) -> None:
    evaluation = measured(lab, [row("a"), row("b")], alike([said("positive", 0.5), said("positive", 0.9)]))
    bring_home()
    document = make_document(0.8, "lexicon")
    lone = evaluations.replayed(evaluation, document)
    assert lone.outcomes == {"person": 1, "kept": 1}
    change = changes.propose(
        mode="enforce",
        workflow=lab.cast.workflow,
        environment=lab.production,
        document=document,
        title="The lexicon alone",
        note="It is cheap",
        by=lab.cast.integrator,
    )
    told = figures(part(lab.cast.owner, "change_evaluated", change.pk))
    assert told["answered by lexicon"] == ("50 %", "50 %", "the same")
    assert told["sent to a person"] == ("50 %", "50 %", "the same")
    assert told["cost of a sample"][2].endswith("cheaper")


def test_without_an_evaluation_a_change_has_no_figures(lab: Lab) -> None:
    answer = part(lab.cast.owner, "change_evaluated", make_change(lab.cast, 0.5).pk)
    assert answer.context["told"] == []
    assert "how often each policy is right is not known" in text(answer)


def test_the_pages_ask_for_their_parts_from_those_who_may_see_evaluations(lab: Lab, done: Evaluation) -> None:
    change = make_change(lab.cast, 0.5)
    for page, name, argument in (
        (reverse("change", args=[change.pk]), "change_evaluated", change.pk),
        (reverse("workflow", args=[lab.cast.workflow.slug]), "evaluation_part", lab.cast.workflow.slug),
    ):
        asked = f'hx-get="{reverse(name, args=[argument])}"'
        assert asked in signed_in(lab.cast.finance).get(page).content.decode()
        assert asked not in signed_in(lab.cast.reviewer).get(page).content.decode()
        assert part(lab.cast.reviewer, name, argument).status_code == 403
        assert part(lab.cast.stranger, name, argument).status_code == 404


def test_a_workflows_steps_stand_beside_their_real_requests(site: Site, lab: Lab, done: Evaluation) -> None:
    slug = lab.cast.workflow.slug
    empty = part(lab.cast.owner, "evaluation_part", slug)
    assert "No request of this step in the last 30 days" in text(empty)
    answered(site, "lexicon", 1)
    answered(site, None, 1)
    (stood,) = part(lab.cast.owner, "evaluation_part", slug).context["stood"]
    rows = {each.label: each for each in stood.rows}
    assert stood.found.evaluation == done
    assert (rows["answered by lexicon"].difference, rows["sent to a person"].difference) == (
        *("25 points more", "25 points more"),
    )
    assert not stood.outdated
    change = Change.objects.for_list().get(pk=make_change(lab.cast, 0.5).pk)
    changes.activate(change=approve(change, lab.cast.owner), by=lab.cast.lead)
    after = part(lab.cast.owner, "evaluation_part", slug)
    assert "it measured policy version 1, version 2 is live" in text(after)


def test_a_workflow_without_evaluations_says_what_to_do(lab: Lab) -> None:
    slug = lab.cast.workflow.slug
    assert "Upload labelled samples" in text(part(lab.cast.owner, "evaluation_part", slug))
    assert "No step has been evaluated yet." in text(part(lab.cast.auditor, "evaluation_part", slug))
    lab.set([row("a")], name="Mails of May")
    assert "Mails of May waits with 1 labelled sample" in text(part(lab.cast.owner, "evaluation_part", slug))


def test_the_newest_of_each_step_is_taken(lab: Lab, done: Evaluation) -> None:
    second = measured(lab, [row("z")], alike([said("positive")]))
    bring_home()
    assert [each.evaluation.pk for each in evaluations.latest_of(lab.cast.workflow, lab.production)] == [second.pk]


def test_what_models_take_over_from_people_is_told_by_itself(lab: Lab) -> None:
    answers = [said("positive", 0.9), said("positive", 0.5), said("negative", 0.5), said("negative", 0.5)]
    measured(lab, [row(each) for each in "abcd"], alike(answers))
    bring_home()
    told = figures(part(lab.cast.owner, "change_evaluated", make_change(lab.cast, 0.4).pk))
    assert told["right, where a person decides now"] == (
        *("a person", "33 % (6 to 79)", "3 samples that models take over"),
    )
