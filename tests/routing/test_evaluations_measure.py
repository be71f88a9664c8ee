"""Asking what is to be asked: once each, over whatever happens to workers, keys, gateways and models."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.utils import timezone
from pytest_django import Settings

from governance import accounts, audit
from governance.models import ApiKey, AuditEvent
from routing import evaluations, measuring
from routing.models import Evaluation, EvaluationChunk, EvaluationResult, SampleSet
from tests.at_once import at_once
from tests.conftest import LiveDatabase
from tests.routing.lab import LADDER, Gateway, Lab, gateway, make_lab, row, script, work_off

pytestmark = pytest.mark.usefixtures("installation_keys")


@pytest.fixture
def asked(live_database: LiveDatabase) -> Iterator[Gateway]:
    """A gateway that does what samples say."""
    with gateway() as listening:
        yield listening


@pytest.fixture
def lab(asked: Gateway) -> Lab:
    """A step with a live ladder behind that gateway."""
    return make_lab(gateway_url=asked.url)


def again(evaluation: Evaluation) -> Evaluation:
    """As it is now."""
    return Evaluation.objects.for_list().get(pk=evaluation.pk)


def test_every_model_is_asked_every_sample_by_itself(lab: Lab, asked: Gateway) -> None:
    rows = [
        script("positive", lexicon=["positive", 0.9], tfidf=["NEGATIVE ", 0.7], smollm2=["no idea", None]),
        script("negative", lexicon=["positive", 0.5], tfidf=["negative", 0.95], smollm2=["negative", 1.0]),
    ]
    evaluation = lab.start(lab.set(rows))

    work_off()

    found = {(r.sample.position, r.model): r for r in EvaluationResult.objects.select_related("sample")}
    assert len(found) == 6
    first = found[1, "lexicon"]
    assert (first.outcome, first.label, first.correct, first.confidence) == ("ok", "positive", True, 0.9)
    assert (first.input_tokens, first.output_tokens, first.stop_reason) == (12, 1, "stop")
    assert (first.cost, first.currency) == (Decimal("0.001"), "USD")
    assert first.decision is not None
    assert (found[1, "tf-idf"].label, found[1, "tf-idf"].correct) == ("negative", False)
    unknown = found[1, "smollm2"]
    assert (unknown.outcome, unknown.label, unknown.correct, unknown.confidence) == ("ok", None, False, None)
    key = ApiKey.objects.get(purpose="evaluation")
    assert (key.workflow, key.environment) == (lab.cast.workflow, lab.production)
    assert {body["model"] for body in asked.asked} == set(LADDER)
    assert {body["temperature"] for body in asked.asked} == {0}
    assert asked.asked[0]["metadata"] == {"step": "sentiment", "run": f"evaluation {evaluation.pk}"}
    assert {accounts.token_sha256(token.removeprefix("Bearer ")) for token in asked.tokens} == {key.sha256}
    ended = again(evaluation)
    assert (ended.state, ended.trouble) == ("done", "")
    assert ended.started_at is not None
    entry = AuditEvent.objects.get(action="evaluations.finish")
    assert entry.after is not None
    assert entry.after["right"]["lexicon"] == "1 of 2"


def test_errors_and_timeouts_count_as_wrong_and_are_told_apart(lab: Lab, asked: Gateway) -> None:
    rows = [
        script("positive", lexicon={"outcome": "timeout"}, tfidf={"outcome": "error"}, smollm2=["positive", 1]),
        script(
            "positive",
            lexicon={"status": 400, "code": "invalid_request"},
            tfidf={
                "status": 403,
                "code": "not_allowed",
                "clause": "context",
                "headers": {"x-smallfirst-attempts": "0"},
            },
            smollm2=["positive", 1],
        ),
    ]
    evaluation = lab.start(lab.set(rows))

    work_off()

    outcomes = EvaluationResult.objects.exclude(outcome="ok").order_by("sample__position", "model")
    assert [(r.model, r.outcome, r.error) for r in outcomes] == [
        ("lexicon", "timeout", "no_model_available"),
        ("tf-idf", "error", "no_model_available"),
        ("lexicon", "error", "invalid_request"),
        ("tf-idf", "error", "not_allowed"),
    ]
    scores = {score.model: score for score in again(evaluation).scores.all()}
    assert (scores["lexicon"].n, scores["lexicon"].correct) == (2, 0)
    assert (scores["lexicon"].errors, scores["lexicon"].timeouts) == (1, 1)
    assert (scores["tf-idf"].errors, scores["tf-idf"].timeouts) == (2, 0)


def test_a_new_key_is_waited_for(lab: Lab, asked: Gateway) -> None:
    asked.unknown_key = 2
    evaluation = lab.start(lab.set([row('{"a": 1}')]))
    work_off()
    assert again(evaluation).state == "done"
    assert EvaluationResult.objects.filter(outcome="ok").count() == 3
    assert len(asked.asked) == 5


@pytest.mark.parametrize(
    "said",
    [
        {"status": 503, "code": "no_model_available", "message": "Lexicon: this model is stopped."},
        {"status": 502, "code": "bad_gateway"},
    ],
)
def test_a_gateway_that_cannot_ask_is_no_answer_of_the_model(lab: Lab, asked: Gateway, said: dict[str, object]) -> None:
    asked.refuse = said
    evaluation = lab.start(lab.set([script("positive")]))

    assert measuring.work() is False

    waiting = again(evaluation)
    assert (waiting.state, EvaluationResult.objects.count()) == ("running", 0)
    assert "The gateway cannot ask" in waiting.trouble
    assert waiting.troubled_since is not None
    assert measuring.work() is False, "the chunk rests"
    asked.refuse = None
    EvaluationChunk.objects.update(leased_until=timezone.now())
    work_off()
    done = again(evaluation)
    assert (done.state, done.trouble, done.troubled_since) == ("done", "", None)


def test_trouble_that_lasts_fails_the_evaluation(lab: Lab, asked: Gateway) -> None:
    asked.refuse = {"status": 503, "code": "no_model_available", "message": "stopped"}
    evaluation = lab.start(lab.set([script("positive")]))
    measuring.work()
    began = again(evaluation).troubled_since
    assert began is not None
    chunk = EvaluationChunk.objects.select_related("evaluation").get()

    for minutes, state in ((29, "running"), (30, "failed")):
        taken = measuring.take(began + timedelta(minutes=minutes))
        assert taken is not None
        measuring.rest(chunk, taken[1], "still stopped", now=began + timedelta(minutes=minutes))
        assert again(evaluation).state == state

    ended = again(evaluation)
    assert ended.trouble == "still stopped"
    entry = AuditEvent.objects.get(action="evaluations.fail")
    assert (entry.reason, entry.actor_kind) == ("still stopped", "service")
    assert measuring.work() is False


def test_nobody_listening_is_trouble_too(live_database: LiveDatabase) -> None:
    lab = make_lab(gateway_url="http://127.0.0.1:9")
    evaluation = lab.start(lab.set([script("positive")]))
    assert measuring.work() is False
    assert "The gateway at http://127.0.0.1:9 did not answer" in again(evaluation).trouble


def test_a_model_that_left_the_ladder_ends_it(lab: Lab, asked: Gateway) -> None:
    asked.refuse = {"status": 403, "code": "not_allowed", "clause": "pin", "message": "no rung"}
    evaluation = lab.start(lab.set([script("positive")]))
    assert measuring.work() is True
    ended = again(evaluation)
    assert (ended.state, EvaluationResult.objects.count()) == ("failed", 0)
    assert "no longer lets" in ended.trouble


def test_texts_that_cannot_be_opened_end_it(lab: Lab) -> None:
    held = lab.set([script("positive")])
    evaluation = lab.start(held)
    # The verb refuses that while the set is asked; a shell does not.
    with transaction.atomic():
        held.samples.update(sealed=None)
        audit.record(action="test.empty", actor=evaluations.SERVICE, object=held, summary="Emptied by hand")
    measuring.work()
    assert again(evaluation).state == "failed"


def test_what_a_killed_worker_left_is_done_by_the_next(lab: Lab, asked: Gateway) -> None:
    """All that a killed one leaves is its lease: when that is over, only what is missing is asked."""
    evaluation = lab.start(lab.set([script("positive") for _ in range(4)]))
    taken = measuring.take(timezone.now())
    assert taken is not None
    chunk, token = taken
    job = measuring._prepared(chunk, token)
    for sample, model in list(job.missing)[:5]:
        measuring._write(job, EvaluationResult(
            evaluation=evaluation, sample=sample, model=model, outcome="ok", label="positive", correct=True,
            latency_ms=1, asked_at=timezone.now(),
        ))  # fmt: skip

    assert measuring.work() is False
    EvaluationChunk.objects.update(leased_until=timezone.now())
    work_off()

    assert len(asked.asked) == 12 - 5
    assert EvaluationResult.objects.count() == 12
    assert again(evaluation).state == "done"
    # The first one was only asleep: what it brings now changes nothing.
    measuring.finish(chunk, token, now=timezone.now())
    measuring.rest(chunk, token, "late", now=timezone.now())
    assert again(evaluation).trouble == ""


def test_two_workers_at_once_never_double_an_answer(lab: Lab, asked: Gateway, settings: Settings) -> None:
    settings.EVALUATION_CHUNKS_AT_ONCE = 2
    evaluation = lab.start(lab.set([script("positive", lexicon=["positive", 0.9]) for _ in range(60)]))

    def until_done() -> None:
        while again(evaluation).is_active:
            measuring.work()

    for result in at_once(until_done, until_done):
        assert result is None, result

    assert EvaluationResult.objects.count() == 180
    assert len(asked.asked) == 180
    assert again(evaluation).scores.count() == 4
    assert AuditEvent.objects.filter(action="evaluations.finish").count() == 1


def test_no_more_chunks_are_in_hand_than_may_be(lab: Lab, settings: Settings) -> None:
    lab.start(lab.set([script("positive") for _ in range(60)]))
    now = timezone.now()
    taken = [result for result in at_once(*[lambda: measuring.take(now)] * 4) if result is not None]
    assert len(taken) == 1
    settings.EVALUATION_CHUNKS_AT_ONCE = 3
    taken = [result for result in at_once(*[lambda: measuring.take(now)] * 4) if result is not None]
    assert len(taken) == 2
    assert EvaluationChunk.objects.exclude(token=None).count() == 3


def test_an_answer_stands_once_whoever_brings_it(lab: Lab) -> None:
    evaluation = lab.start(lab.set([script("positive")]))
    sample = evaluation.sample_set.samples.get()
    facts = {
        "evaluation": evaluation,
        "sample": sample,
        "model": "lexicon",
        "outcome": "ok",
        "asked_at": timezone.now(),
    }
    first = EvaluationResult.objects.create(label="positive", correct=True, latency_ms=1, **facts)
    with pytest.raises(IntegrityError):
        EvaluationResult.objects.create(label="negative", correct=False, latency_ms=2, **facts)
    taken = measuring.take(timezone.now())
    assert taken is not None
    job = measuring._prepared(*taken)
    measuring._write(job, EvaluationResult(label="negative", correct=False, latency_ms=2, **facts))
    assert list(EvaluationResult.objects.values_list("label", flat=True)) == ["positive"]
    with pytest.raises(IntegrityError):
        EvaluationResult.objects.filter(pk=first.pk).update(correct=False)


def test_cancelling_stops_the_asking(lab: Lab, asked: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "RENEW_SECONDS", 0.0)
    asked.hold = threading.Event()
    evaluation = lab.start(lab.set([script("positive") for _ in range(25)]))

    def cancel() -> None:
        assert asked.begun.wait(30)
        evaluations.cancel(evaluation=evaluation, by=lab.cast.lead, now=timezone.now())
        assert asked.hold is not None
        asked.hold.set()

    results = at_once(measuring.work, cancel)

    assert results == [True, None]
    assert again(evaluation).state == "cancelled"
    # What was under way when it was cancelled is written down; nothing of it is lost, nothing more is asked.
    answers = EvaluationResult.objects.count()
    assert answers == len(asked.asked) < 75
    assert measuring.work() is False
    assert (len(asked.asked), again(evaluation).scores.count()) == (answers, 0)


def test_a_worker_lets_go_when_its_time_is_over(lab: Lab, asked: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "BUDGET_SECONDS", -1.0)
    evaluation = lab.start(lab.set([script("positive") for _ in range(3)]))
    assert measuring.work() is True
    chunk = EvaluationChunk.objects.get()
    assert (chunk.token, chunk.leased_until, chunk.done_at) == (None, None, None)
    assert 0 < EvaluationResult.objects.count() < 9
    work_off()
    assert EvaluationResult.objects.count() == 9 == len(asked.asked)
    assert again(evaluation).state == "done"


def test_a_chunk_that_kills_its_workers_is_given_up(lab: Lab) -> None:
    evaluation = lab.start(lab.set([script("positive")]))
    now = timezone.now()
    for turn in range(measuring.MOST_TRIES):
        assert measuring.take(now + turn * timedelta(minutes=1)) is not None
    assert measuring.take(now + timedelta(hours=1)) is None
    ended = again(evaluation)
    assert (ended.state, ended.trouble) == ("failed", "Chunk 1 was tried 10 times and no answer came of it.")


def test_evaluations_share_the_workers(lab: Lab) -> None:
    first = lab.start(lab.set([script("positive") for _ in range(60)]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM routing_evaluationchunk")
        assert cursor.fetchone() == (3,)
    taken = measuring.take(timezone.now())
    assert taken is not None
    measuring.finish(taken[0], taken[1], now=timezone.now())
    other = make_lab_of(lab)
    second = lab.start(other)
    chunk = measuring.take(timezone.now())
    assert chunk is not None
    assert chunk[0].evaluation == second != first


def make_lab_of(lab: Lab) -> SampleSet:
    """A set for the other step of the workflow."""
    step = lab.cast.workflow.steps.get(name="language")
    return Lab(lab.cast, step).set([script("positive")])
