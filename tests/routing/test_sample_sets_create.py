"""Sample sets: taken whole or refused whole, kept sealed, never changed, erased for good."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError

from governance.accounts import NotPermitted
from governance.errors import InvalidInput
from governance.models import AuditEvent
from governance.models.ids import new_id
from routing import sample_sets, samples
from routing.models import Sample, SampleSet
from routing.samples import InvalidSamples, Row
from tests.routing.lab import NOW, Lab, make_lab, row, rows_in_tables

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]

ROWS = [row("The lamp is lovely", "positive", "order 1"), row("It broke", "negative", "order 1"), row("Came on Monday")]


@pytest.fixture
def lab() -> Lab:
    """A step with a live ladder."""
    return make_lab()


def test_a_set_is_kept_with_its_samples_sealed(lab: Lab) -> None:
    made = lab.set(ROWS, description="Ten days of mail")

    assert (made.name, made.version, made.size, made.labels) == ("Held out", 1, 3, ["negative", "positive"])
    assert made.digest == samples.digest(ROWS)
    kept = list(made.samples.order_by("position"))
    assert [(each.position, each.label, each.cluster) for each in kept] == [
        (1, "positive", "order 1"),
        (2, "negative", "order 1"),
        (3, "positive", None),
    ]
    assert [sample_sets.messages_of(each) for each in kept] == [each.messages for each in ROWS]
    assert kept[0].signals["words"] == 4
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(encode(sealed, 'escape'), '') FROM routing_sample")
        assert "lamp" not in str(cursor.fetchone())
    entry = AuditEvent.objects.get(action="sample_sets.create")
    assert (entry.actor_id, entry.object_id, entry.team) == (str(lab.cast.owner.pk), str(made.pk), lab.cast.team.pk)
    assert entry.after is not None
    assert (entry.after["digest"], entry.after["size"]) == (made.digest, 3)


def test_the_same_name_again_is_the_next_version(lab: Lab) -> None:
    lab.set(ROWS)
    second = lab.set(ROWS[:2])
    other = lab.set(ROWS, name="Another")
    assert (second.version, other.version) == (2, 1)
    assert set(SampleSet.objects.newest_versions()) == {second, other}
    before = rows_in_tables()
    with pytest.raises(InvalidInput, match="this is version 2 already"):
        lab.set(ROWS[:2])
    assert rows_in_tables() == before
    assert lab.set(ROWS[:2], licence="CC0").version == 3


def test_only_who_edits_evaluations_adds_one(lab: Lab) -> None:
    before = rows_in_tables()
    for who in ("finance", "auditor", "integrator", "reviewer", "admin", "stranger"):
        with pytest.raises(NotPermitted):
            lab.set(ROWS, by=lab.cast.people[who])
    assert rows_in_tables() == before


@pytest.mark.parametrize("field", ["name", "source", "licence"])
def test_a_set_says_what_it_is(lab: Lab, field: str) -> None:
    before = rows_in_tables()
    with pytest.raises(InvalidInput):
        lab.set(ROWS, **{field: " "})
    assert rows_in_tables() == before


def test_named_labels_are_the_only_ones(lab: Lab) -> None:
    made = lab.set(ROWS, labels=["positive", "neutral", "negative", "neutral", " "])
    assert made.labels == ["positive", "neutral", "negative"]
    with pytest.raises(InvalidSamples, match="row 2: “negative” is none of the labels"):
        lab.set(ROWS, labels=["positive", "neutral"])
    with pytest.raises(InvalidSamples, match="differ in case alone"):
        lab.set([*ROWS, row("x", "Positive")])
    with pytest.raises(InvalidSamples, match="51 labels"):
        lab.set([row("x", f"label {number}") for number in range(51)])


def test_a_set_never_changes_whoever_writes(lab: Lab) -> None:
    made = lab.set(ROWS)
    first = made.samples.get(position=1)
    facts: dict[str, Any] = {"sample_set": made, "signals": {}, "sealed": b"x"}
    attempts: list[Callable[[], object]] = [
        lambda: Sample.objects.create(id=new_id(), position=4, label="positive", **facts),
        lambda: Sample.objects.create(id=new_id(), position=3, label="positive", **facts),
        lambda: made.samples.filter(pk=first.pk).update(label="negative"),
        lambda: made.samples.filter(pk=first.pk).update(sealed=b"another text"),
        lambda: made.samples.filter(pk=first.pk).delete(),
        lambda: SampleSet.objects.filter(pk=made.pk).update(size=4),
        lambda: SampleSet.objects.filter(pk=made.pk).update(labels=["x"]),
    ]
    for attempt in attempts:
        with pytest.raises(IntegrityError), transaction.atomic():
            attempt()
    assert sample_sets.messages_of(made.samples.get(position=1)) == ROWS[0].messages


def test_a_first_look_at_a_text_is_written_down(lab: Lab) -> None:
    sample = lab.set(ROWS).samples.get(position=2)
    for _ in range(2):
        assert sample_sets.read_sample(sample=sample, by=lab.cast.auditor)[0]["content"] == "It broke"
    sample_sets.read_sample(sample=sample, by=lab.cast.owner)
    looks = AuditEvent.objects.filter(action="sample_sets.read_sample").order_by("id")
    assert [(look.actor_name, look.object_id) for look in looks] == [
        ("Auditor", str(sample.pk)),
        ("Owner", str(sample.pk)),
    ]
    with pytest.raises(NotPermitted):
        sample_sets.read_sample(sample=sample, by=lab.cast.reviewer)
    assert looks.count() == 2


def test_taking_all_texts_along_is_for_who_edits_and_written_down_each_time(lab: Lab) -> None:
    made = lab.set(ROWS)
    for _ in range(2):
        taken = list(sample_sets.read(sample_set=made, by=lab.cast.owner))
    assert [messages for _, messages in taken] == [each.messages for each in ROWS]
    with pytest.raises(NotPermitted):
        sample_sets.read(sample_set=made, by=lab.cast.auditor)
    assert AuditEvent.objects.filter(action="sample_sets.read").count() == 2


def test_texts_are_erased_for_good(lab: Lab) -> None:
    made = lab.set(ROWS)
    before = rows_in_tables()
    with pytest.raises(InvalidInput, match="say why"):
        sample_sets.erase(sample_set=made, reason=" ", by=lab.cast.owner, now=NOW)
    with pytest.raises(NotPermitted):
        sample_sets.erase(sample_set=made, reason="asked", by=lab.cast.auditor, now=NOW)
    assert rows_in_tables() == before

    sample_sets.erase(sample_set=made, reason="A customer asked", by=lab.cast.owner, now=NOW)

    made.refresh_from_db()
    assert (made.erased_at, made.samples.exclude(sealed=None).count(), made.samples.count()) == (NOW, 0, 3)
    with pytest.raises(sample_sets.TextsErased):
        sample_sets.read_sample(sample=made.samples.get(position=1), by=lab.cast.owner)
    with pytest.raises(sample_sets.TextsErased):
        sample_sets.read(sample_set=made, by=lab.cast.owner)
    with pytest.raises(sample_sets.TextsErased):
        sample_sets.erase(sample_set=made, reason="again", by=lab.cast.owner, now=NOW + timedelta(days=1))
    with pytest.raises(IntegrityError), transaction.atomic():
        made.samples.update(sealed=b"back")
    # What was erased may be uploaded again, on purpose.
    assert lab.set(ROWS).version == 2


def test_what_is_being_asked_is_not_erased(lab: Lab) -> None:
    made = lab.set(ROWS)
    lab.start(made)
    with pytest.raises(sample_sets.BeingAsked):
        sample_sets.erase(sample_set=made, reason="asked", by=lab.cast.owner, now=NOW)
    assert made.samples.exclude(sealed=None).count() == 3


def test_both_kinds_of_file_are_read() -> None:
    table = '\ufefftext,label,cluster\r\n"Good, very\ngood",positive,7\r\nBad,negative,\r\n'
    lines = [
        {"text": "Good, very\ngood", "label": "positive", "cluster": "7"},
        {"messages": [{"role": "system", "content": "Judge"}, {"role": "user", "content": "Bad"}], "label": "negative"},
    ]
    from_table = samples.read(table.encode(), name="set.CSV")
    from_lines = samples.read("\n\n".join(map(json.dumps, lines)).encode(), name="set.jsonl")
    assert from_table == [row("Good, very\ngood", "positive", "7"), row("Bad", "negative")]
    assert from_lines[0] == from_table[0]
    assert from_lines[1].messages[0] == {"role": "system", "content": "Judge"}
    assert samples.read(b"label;text\npositive;a, b", name="x.csv") == [row("a, b")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "text,label\n", "holds no sample"),
        ("a.csv", "", "text and label is not among them"),
        ("a.csv", "text,note\na,b\n", "label is not among them"),
        ("a.csv", "text,label,mood\na,b,c\n", "unknown: “mood”"),
        ("a.csv", "text,label,label\na,b,c\n", "one of them twice"),
        ("a.csv", "text,label\na,b\nc\n", "row 2: it has 1 cells"),
        ("a.csv", "text,label\na,\n", "row 1: the label is missing"),
        ("a.csv", "text,label\n  ,b\n", "row 1: the text is missing"),
        ("a.csv", 'text,label\n"a,b\n', "row 1: this is not CSV"),
        ("a.csv", f"text,label\na,{'x' * 201}\n", "row 1: label and cluster"),
        ("a.csv", "text,label\na,b\x07\n", "row 1: label: take out the control character U\\+0007"),
        ("a.jsonl", '{"text": "a"}', "row 1: Object missing required field label"),
        ("a.jsonl", '{"label": "b"}', "row 1: write text or messages"),
        ("a.jsonl", '{"text": "a", "messages": [], "label": "b"}', "row 1: write text or messages"),
        ("a.jsonl", '{"messages": [], "label": "b"}', "row 1: the text is missing"),
        (
            "a.jsonl",
            '{"messages": [{"role": "boss", "content": "a"}], "label": "b"}',
            "row 1: Invalid enum value 'boss'",
        ),
        ("a.jsonl", '{"text": "a", "label": "b"}\n{"text": ', "row 2: Input data was truncated"),
        ("a.jsonl", '{"text": "a", "label": "b", "mood": 3}', "row 1: Object contains unknown field mood"),
        ("a.jsonl", '{"text": "\\ud800", "label": "b"}', "row 1: "),
        ("a.jsonl", '{"text": ' + "[" * 5000 + "]" * 5000 + ', "label": "b"}', "row 1: "),
        ("a.txt", "text,label\na,b\n", "ends in .csv or .jsonl"),
    ],
)
def test_a_faulty_row_is_named(name: str, content: str, said: str) -> None:
    with pytest.raises(InvalidSamples, match=said):
        samples.read(content.encode("utf-8"), name=name)


def test_every_faulty_row_is_counted_and_the_first_twenty_named() -> None:
    content = "text,label\n" + "good,positive\nbad,\n" * 30
    with pytest.raises(InvalidSamples) as caught:
        samples.read(content.encode(), name="a.csv")
    assert (len(caught.value.problems), caught.value.faults) == (20, 30)
    assert caught.value.problems[0] == "row 2: the label is missing"
    assert str(caught.value).endswith("; and 10 more")


def test_bounds_are_held() -> None:
    with pytest.raises(InvalidSamples, match="more than 10,000 rows"):
        samples.read(b"text,label\n" + b"a,b\n" * 10_001, name="a.csv")
    with pytest.raises(InvalidSamples, match=r"at most 5,242,880 are taken"):
        samples.read(b"x" * (5 * 1024 * 1024 + 1), name="a.csv")
    with pytest.raises(InvalidSamples, match="100,001 characters"):
        samples.read(b"text,label\n" + b"a" * 100_001 + b",b\n", name="a.csv")
    with pytest.raises(InvalidSamples, match="line 2: this is not UTF-8"):
        samples.read(b"text,label\n\xff,b\n", name="a.csv")


def test_the_digest_is_that_of_the_content_alone() -> None:
    assert samples.digest(ROWS) == samples.digest(list(ROWS))
    changed = [
        ROWS[::-1],
        [*ROWS[:2], row("Came on Tuesday")],
        [*ROWS[:2], row("Came on Monday", "negative")],
        [*ROWS[:2], row("Came on Monday", cluster="order 1")],
        [*ROWS[:2], Row([{"role": "system", "content": "Came on Monday"}], "positive")],
    ]
    digests = {samples.digest(rows) for rows in [ROWS, *changed]}
    assert len(digests) == len(changed) + 1


@pytest.mark.parametrize(
    ("said", "label"), [("positive", "positive"), (" POSITIVE\n", "positive"), ("positive.", None), ("", None)]
)
def test_an_answer_is_a_label_however_it_is_spelled(said: str, label: str | None) -> None:
    assert samples.label_of(said, ["positive", "negative"]) == label
