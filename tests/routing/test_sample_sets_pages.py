"""Sample sets as people see them: lists, uploading, one set, its schedule, and its texts."""

import dataclasses
import json
import re
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from governance import registry, workflows
from governance.models import AuditEvent
from governance.views import choices
from routing import evaluations, sample_sets
from routing.models import Evaluation, EvaluationSchedule, Sample, SampleSet
from tests.cast import BOOTSTRAP, make_cast, make_live, make_provider, make_workflow, serve
from tests.pages import Links, file, signed_in, text
from tests.routing.lab import Lab, make_lab, row, rows_in_tables

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]

CSV = b"text,label,cluster\nThe lamp is lovely,positive,order 1\nIt broke,negative,order 1\nCame on Monday,positive,\n"


@pytest.fixture
def lab() -> Lab:
    """A step with a live ladder."""
    return make_lab()


def upload(lab: Lab, content: bytes = CSV, name: str = "mails.csv", by: Any = None, **given: str) -> Any:
    """What comes of sending the form."""
    step = f"{lab.step.workflow.slug}/{lab.step.name}"
    said = {"step": step, "name": "Held out", "source": "Last month's mails", "licence": "our own"}
    sent = SimpleUploadedFile(name, content, content_type="application/octet-stream")
    return signed_in(by or lab.cast.owner).post(reverse("sample_set_new"), said | given | {"file": sent})


def test_a_file_becomes_a_set_and_the_page_tells_what_is_in_it(lab: Lab) -> None:
    answer = upload(lab, description="Ten days of mail")
    made = SampleSet.objects.get()
    assert (answer.status_code, answer["location"]) == (302, reverse("sample_set", args=[made.pk]))
    assert (made.step, made.size, made.created_by, made.labels) == (
        *(lab.step, 3, lab.cast.owner, ["negative", "positive"]),
    )
    page = signed_in(lab.cast.auditor).get(answer["location"])
    assert page.context["counts"] == [("negative", 1), ("positive", 2)]
    said = text(page)
    assert "3 samples to measure sentiment of Customer feedback on" in said
    assert "lovely" not in said


def test_labels_and_clusters_open_the_samples_they_count(lab: Lab) -> None:
    upload(lab)
    made = SampleSet.objects.get()
    client = signed_in(lab.cast.owner)
    address = reverse("sample_set", args=[made.pk])
    page = client.get(address).content.decode()

    labels = {href: int(words) for href, words in Links(page).links if "label=" in href}
    assert labels == {"?label=negative#samples": 1, "?label=positive#samples": 2}
    for href, number in labels.items():
        assert client.get(address + href).context["page"].paginator.count == number
    clusters = reverse("sample_set_clusters", args=[made.pk])
    assert (clusters, "1") in Links(page).links
    listed = client.get(clusters)
    assert (listed.context["page"].paginator.count, "The samples come from 1 cluster" in text(listed)) == (1, True)
    assert (f"{address}?cluster=order%201#samples", "2") in Links(listed.content.decode()).links
    assert client.get(address, {"cluster": "order 1"}).context["page"].paginator.count == 2
    wrong = client.get(address, {"cluster": "order 2"})
    assert (wrong.status_code, wrong.context["page"].paginator.count) == (422, 0)
    assert signed_in(lab.cast.stranger).get(clusters).status_code == 404


def test_json_lines_with_messages_are_taken_too(lab: Lab) -> None:
    lines: list[dict[str, Any]] = [
        {"messages": [{"role": "system", "content": "Say how it sounds"}, {"role": "user", "content": "Fine"}]},
        {"text": "Broken"},
    ]
    content = "\n".join(json.dumps(each | {"label": "positive"}) for each in lines).encode()
    assert upload(lab, content, "mails.jsonl").status_code == 302
    assert [len(sample_sets.messages_of(each)) for each in Sample.objects.order_by("position")] == [2, 1]


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        (b"text,label\nfine,\n,positive\nok,positive\n", "a.csv", ["row 1: the label is missing", "row 2: the text"]),
        (b"words,mark\na,b\n", "a.csv", ["text and label"]),
        (b"PK\x03\x04\xff\xfe", "a.csv", ["UTF-8"]),
        (CSV, "a.xlsx", [".csv or .jsonl"]),
        (b'{"text": "a", "label": 3}\n', "a.jsonl", ["row 1"]),
    ],
)
def test_a_file_with_faults_is_refused_whole_and_each_is_told(
    lab: Lab, content: bytes, name: str, told: list[str]
) -> None:
    before = rows_in_tables()
    answer = upload(lab, content, name)
    assert answer.status_code == 422
    assert all(each in text(answer) for each in told), text(answer)
    assert rows_in_tables() == before


def test_the_same_again_and_a_strange_label_are_refused_where_they_stand(lab: Lab) -> None:
    upload(lab)
    before = rows_in_tables()
    again = upload(lab)
    assert "this is version 1 already" in again.context["form"].errors["file"][0]
    strange = upload(lab, name="other.csv", labels="positive\nneutral")
    assert "“negative” is none of the labels" in text(strange)
    assert rows_in_tables() == before


def test_among_many_steps_one_is_written_behind_its_workflow(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "MOST_CHOICES", 1)
    elsewhere = make_workflow(lab.cast.elsewhere, lab.cast.stranger, "elsewhere")
    client = signed_in(lab.cast.owner)
    page = client.get(f"{reverse('sample_set_new')}?step=customer-feedback/sentiment").content.decode()
    assert '<input type="text" name="step" value="customer-feedback/sentiment"' in page
    assert "<option" not in page
    before = rows_in_tables()
    for named in (f"{elsewhere.slug}/sentiment", "customer-feedback/none", "customer-feedback", "/"):
        strange = upload(lab, step=named)
        assert strange.status_code == 422
        assert "Write the short name" in strange.context["form"].errors["step"][0]
        assert rows_in_tables() == before
    assert upload(lab, step="customer-feedback/sentiment").status_code == 302
    assert SampleSet.objects.get().step == lab.step


def only_recorded(lab: Lab) -> None:
    """Let the step's policy be live in recordings alone."""
    recorded = registry.add_environment(name="recorded", votes_needed=1, position=900, recorded=True, by=BOOTSTRAP)
    for model in lab.cast.models:
        serve(model, recorded, make_provider(f"elsewhere-{model.name}"))
    make_live(dataclasses.replace(lab.cast, production=recorded))


@pytest.mark.parametrize("how", ["recorded", "retired"])
def test_a_step_for_which_nothing_is_asked_takes_no_set(how: str) -> None:
    cast = make_cast()
    lab = Lab(cast, cast.workflow.steps.get(name="sentiment"))
    if how == "recorded":
        only_recorded(lab)
    else:
        workflows.retire(workflow=cast.workflow, reason="Over", by=cast.lead)
    before = rows_in_tables()
    page = signed_in(cast.owner).get(reverse("sample_set_new"))
    assert "No step can be evaluated" in text(page)
    assert upload(lab).status_code == 422
    with pytest.raises(sample_sets.NeverAsked, match="no model is asked for sentiment"):
        lab.set([row("Fine")])
    assert rows_in_tables() == before


def test_a_set_may_be_there_before_the_first_policy() -> None:
    cast = make_cast()
    assert upload(Lab(cast, cast.workflow.steps.get(name="sentiment"))).status_code == 302


def test_the_next_version_is_of_the_same_step(lab: Lab) -> None:
    owner = signed_in(lab.cast.owner)
    page = owner.get(upload(lab)["location"]).content.decode()
    address = re.search(rf'href="({reverse("sample_set_new")}\?[^"]+)"', page)
    assert address
    assert owner.get(unescape(address[1])).context["form"]["step"].value() == "customer-feedback/sentiment"


def test_a_step_of_a_workflow_one_may_not_edit_is_none(lab: Lab) -> None:
    elsewhere = make_workflow(lab.cast.elsewhere, lab.cast.stranger, "elsewhere")
    before = rows_in_tables()
    answer = upload(lab, step=f"{elsewhere.slug}/{elsewhere.steps.all()[0].name}")
    assert answer.status_code == 422
    assert "step" in answer.context["form"].errors
    for who in ("finance", "auditor", "reviewer", "integrator"):
        assert upload(lab, by=lab.cast.people[who]).status_code == 403
    assert upload(lab, by=lab.cast.stranger).status_code == 422
    assert rows_in_tables() == before


def test_the_list_shows_newest_versions_unless_asked_and_its_file_the_same(lab: Lab) -> None:
    lab.set([row("a")])
    second = lab.set([row("b")])
    other = lab.set([row("c"), row("d")], name="Another")
    person = signed_in(lab.cast.finance)

    def listed(**query: str) -> list[SampleSet]:
        return list(person.get(reverse("sample_sets"), query).context["page"])

    assert listed() == [other, second]
    assert len(listed(versions="all")) == 3
    assert listed(q="held") == [second]
    assert listed(workflow="elsewhere") == []
    assert listed(sort="-samples") == [other, second]
    rows = file(person.get(reverse("sample_sets_csv"), {"sort": "-samples"}))
    assert [each["id"] for each in rows] == [str(other.pk), str(second.pk)]
    assert list(signed_in(lab.cast.stranger).get(reverse("sample_sets")).context["page"]) == []


def test_evaluate_now_starts_one_and_says_why_not(lab: Lab) -> None:
    made = lab.set([row("a"), row("b")])
    person, address = signed_in(lab.cast.owner), reverse("sample_set_evaluate", args=[made.pk])
    nowhere = person.post(address, {"environment": "moon"}, follow=True)
    assert "Nothing was started" in text(nowhere)
    assert Evaluation.objects.count() == 0
    answer = person.post(address, {"environment": "production"})
    evaluation = Evaluation.objects.get()
    assert answer["location"] == reverse("evaluation", args=[evaluation.pk])
    assert (evaluation.asks, evaluation.started_by) == (6, lab.cast.owner)
    again = person.post(address, {"environment": "production"}, follow=True)
    assert "being evaluated in this environment already" in text(again)
    assert Evaluation.objects.count() == 1


def test_without_a_gateway_the_page_says_what_it_takes(lab: Lab) -> None:
    made = lab.set([row("a")])
    registry.set_gateway_url(environment=lab.production, url="", by=BOOTSTRAP)
    page = signed_in(lab.cast.owner).get(reverse("sample_set", args=[made.pk]))
    assert "Evaluate now" not in text(page).replace("Evaluate now:", "")
    assert "takes a live policy with this step, a gateway" in text(page)
    form = signed_in(lab.cast.owner).get(reverse("sample_set_schedule", args=[made.pk]))
    assert "Nowhere to evaluate it" in text(form)


def test_a_schedule_is_made_changed_and_ended(lab: Lab) -> None:
    made = lab.set([row("a")])
    person, address = signed_in(lab.cast.owner), reverse("sample_set_schedule", args=[made.pk])
    place = str(lab.production.pk)
    for cron, told in (("whenever", "write minute, hour"), ("* * * * *", "once an hour is the most")):
        refused = person.post(address, {"environment": place, "cron": cron})
        assert (refused.status_code, told in text(refused)) == (422, True)
    assert EvaluationSchedule.objects.count() == 0
    assert person.post(address, {"environment": place, "cron": "0 6 * * 1"}).status_code == 302
    held = EvaluationSchedule.objects.get()
    assert (held.cron, held.created_by) == ("0 6 * * 1", lab.cast.owner)
    assert person.get(address).context["form"].initial["cron"] == "0 6 * * 1"
    person.post(address, {"environment": place, "cron": "30 7 * * *"})
    held.refresh_from_db()
    assert held.cron == "30 7 * * *"
    assert "Next" in text(person.get(reverse("sample_set", args=[made.pk])))
    ended = reverse("evaluation_schedule_end", args=[held.pk])
    assert signed_in(lab.cast.finance).post(ended).status_code == 403
    assert signed_in(lab.cast.stranger).post(ended).status_code == 404
    held.refresh_from_db()
    assert held.ended_at is None
    assert person.post(ended).status_code == 302
    held.refresh_from_db()
    assert held.ended_by == lab.cast.owner
    assert "ended already" in text(person.post(ended, follow=True))


def test_texts_are_taken_along_and_erased_by_whom_may_with_a_record(lab: Lab) -> None:
    made = lab.set([row("The lamp", cluster="order 1")])
    texts, erase = (reverse(f"sample_set_{name}", args=[made.pk]) for name in ("texts", "erase"))
    owner = signed_in(lab.cast.owner)
    assert file(owner.post(texts)) == [
        {"sample": "1", "text": "The lamp", "label": "positive", "cluster": "order 1"},
    ]
    assert AuditEvent.objects.about(made).filter(action="sample_sets.read").count() == 1
    count = AuditEvent.objects.count()
    assert signed_in(lab.cast.auditor).post(texts).status_code == 403
    assert signed_in(lab.cast.auditor).post(erase, {"reason": "x"}).status_code == 403
    assert "say why" in text(owner.post(erase, {"reason": " "}, follow=True))
    assert (Sample.objects.get().sealed is not None, AuditEvent.objects.count()) == (True, count)
    page = owner.post(erase, {"reason": "The customer asked"}, follow=True)
    assert Sample.objects.get().sealed is None
    assert AuditEvent.objects.about(made).get(action="sample_sets.erase").reason == "The customer asked"
    assert "Evaluate now" not in text(page)
    assert "are erased" in text(owner.post(texts, follow=True))
    shown = owner.post(reverse("sample_reveal", args=[made.samples.get().pk]))
    assert "The text of this sample is erased." in text(shown)


def test_what_a_schedule_could_not_start_is_told_on_the_page(lab: Lab) -> None:
    made = lab.set([row("a")])
    held = evaluations.schedule(
        sample_set=made, environment=lab.production, cron="0 6 * * 1", by=lab.cast.owner, now=timezone.now()
    )
    registry.set_gateway_url(environment=lab.production, url="", by=BOOTSTRAP)
    assert evaluations.start_due(now=held.next_due_at) == 1
    page = signed_in(lab.cast.owner).get(reverse("sample_set", args=[made.pk]))
    assert "Did not start: No gateway of production is known" in text(page)
