"""One request: its way, its ladder, its reasons, its cost, and whether its record holds."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.urls import reverse
from django.utils import timezone

from governance import reviews
from governance.models import Review, User
from ledger import attempts, savings
from ledger.models import Decision
from routing import snapshots, stories
from routing.models import Snapshot
from routing.words import cost_and_time
from smallfirst.engine import AttemptSignals
from tests.ledger.reports import BERLIN
from tests.pages import signed_in, text
from tests.routing.asked import Shop, make_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    """Nobody asked anything yet."""
    return make_shop()


def page(person: User, decision: Decision) -> str:
    """What the page of a request says to a person."""
    answer = signed_in(person).get(reverse("request", args=[decision.id]))
    assert answer.status_code == 200
    return text(answer)


def test_an_answer_of_the_second_model(shop: Shop) -> None:
    said = page(shop.cast.integrator, shop.ask(0.31, 0.92, run="mail-1", tags=(("shop", "north"),)))
    for words in (
        "tf-idf answered after another was not sure: USD 0.012 in 40 ms",
        "Triage easy",
        "2 attempts",
        "Gate passed",
        "Person not asked",
        "sure 0.31 needs 0.80",
        "sure 0.92 needs 0.80",
        "lexicon answered with confidence 0.31, under 0.80: climbed.",
        "decided again: the same, byte for byte",
        "Shop",
        "mail-1",
        "north",
        "own price for a million",
    ):
        assert words in said, words


def test_what_the_baseline_would_have_taken_is_what_the_sums_say(shop: Shop) -> None:
    savings.set_baseline(
        workflow=shop.cast.workflow,
        model=shop.cast.models[2],
        assumed=True,
        reason="It was used before",
        valid_from=timezone.now() - timedelta(days=2),
        by=shop.cast.finance,
    )
    decision = shop.ask(0.31, 0.92)
    unanswered = shop.ask(0.31, 0.32, 0.33)
    evaluated = shop.measuring().ask(0.92)

    # 1,000 tokens in at USD 2 for a million, 500 out at 8; 0.8 to 1.25 times the tokens.
    said = page(shop.cast.finance, decision)
    assert "Smollm2 , the baseline assumed , would have taken about USD 0.006 for this answer, 0.0048 to 0.0075" in said
    for other in (unanswered, evaluated):
        assert "would have taken" not in page(shop.cast.finance, other)
    # The same as the sums of the day, where only what else was spent comes on top.
    stored = Decision.objects.select_related("workflow", "key").get(pk=decision.pk)
    one = savings.of_request(stored, attempts.of([stored.pk])[stored.pk], zone=BERLIN)
    day = timezone.now().astimezone(BERLIN).date()
    (every,) = savings.by_workflow([shop.cast.workflow.pk], day, day, zone=BERLIN)[shop.cast.workflow.pk].savings
    assert one
    assert (one.would, one.would_least, one.would_most) == (every.would, every.would_least, every.would_most)
    assert (one.tasks, one.baselines, one.spent) == (every.tasks, every.baselines, Decimal("0.012"))


def test_each_rung_says_what_came_of_it(shop: Shop) -> None:
    decision = shop.ask("error", 0.92)
    answer = signed_in(shop.cast.lead).get(reverse("request", args=[decision.id]))
    rungs = answer.context["story"].rungs
    assert [(rung.model, rung.state, rung.why.replace("\xa0", " ")) for rung in rungs] == [
        ("lexicon", "failed", "error after 20 ms (503, overloaded)"),
        ("tf-idf", "kept", ""),
        ("smollm2", "not_asked", ""),
        ("reviewer", "not_asked", ""),
    ]
    # What was not asked says what it would about have cost.
    assert rungs[2].estimated
    assert rungs[2].cost == rungs[1].cost


def test_a_person_is_waited_for_and_then_answers(shop: Shop) -> None:
    decision = shop.ask(0.2, 0.3, 0.4)
    said = page(shop.cast.lead, decision)
    assert "Three models were not sure, and a person is asked: USD 0.018 in 60 ms" in said
    assert "waiting for a person" in said
    assert "Answer wanted" in said

    review = Review.objects.get(decision=decision.pk)
    now = timezone.now()
    held = reviews.claim(review=review, by=shop.cast.reviewer, now=now)
    later = now + timedelta(seconds=42)
    reviews.answer(review=held, token=held.claim_token, answer={"label": "positive"}, by=shop.cast.reviewer, now=later)

    said = page(shop.cast.lead, decision)
    assert "Reviewer answered" in said
    assert "Answer wanted" not in said
    assert "Not yet fetched by the application." in said


def test_a_review_and_its_audit_are_linked_for_who_may_open_them(shop: Shop) -> None:
    decision = shop.ask(0.2, 0.3, 0.4)
    shown = {}
    for who in ("lead", "owner", "finance"):
        html = signed_in(shop.cast.people[who]).get(reverse("request", args=[decision.id])).content.decode()
        shown[who] = (
            reverse("review", args=[decision.review_id]) in html,
            f"{reverse('audit')}?object={decision.review_id}" in html,
        )
    assert shown == {"lead": (True, True), "owner": (True, False), "finance": (False, False)}


def test_what_a_guard_left_out_is_said(shop: Shop) -> None:
    said = page(shop.cast.lead, shop.ask(data_class="restricted"))
    assert "Not allowed: no model is left on the ladder (data class)" in said
    assert "No model was asked." in said
    assert said.count("data class restricted is not allowed there") >= 3


def test_a_failed_request_says_so(shop: Shop) -> None:
    said = page(shop.cast.lead, shop.ask("aborted"))
    assert "no answer" in said
    assert "cut off after 20 ms" in said


def test_a_watched_policy_stands_beside_what_was_served(shop: Shop) -> None:
    shop.watch()
    decision = shop.ask(0.1, model="smollm2")
    answer = signed_in(shop.cast.lead).get(reverse("request", args=[decision.id]))
    said = text(answer)
    assert "smollm2 answered, as the request asked; the policy was only watched" in said
    assert "What the policy would have done" in said
    assert [(rung.model, rung.word) for rung in answer.context["story"].would] == [
        ("lexicon", "would be asked first"),
        ("tf-idf", "then, if not sure"),
        ("smollm2", "then, if not sure"),
        ("reviewer", "if still not sure"),
    ]


def test_before_the_fold_the_cost_is_about_the_snapshots_prices(shop: Shop) -> None:
    assert "lexicon answered at once: about USD 0.006 in 20 ms" in page(shop.cast.lead, shop.ask(0.9, charged=False))


def test_before_its_usage_arrives_the_page_tells_what_the_decision_knows(shop: Shop) -> None:
    now = timezone.now()
    record = shop.decide(0.31, 0.92, at=now)
    shop.send(record, at=now)
    said = page(shop.cast.lead, Decision.objects.get(pk=record.id))
    assert "tf-idf answered after another was not sure: 40 ms, price follows" in said
    assert "follows" in said


def lie(shop: Shop, **changed: Any) -> Decision:
    """A decision that a gateway reports otherwise than it fell."""
    now = timezone.now()
    record = msgspec.structs.replace(shop.decide(0.31, 0.92, at=now), **changed)
    shop.send(record, at=now)
    return Decision.objects.get(pk=record.id)


def test_a_record_that_does_not_follow_is_said_loudly(shop: Shop) -> None:
    said = page(shop.cast.auditor, lie(shop, kept_model="smollm2", tier="frontier"))
    assert "This record does not hold" in said
    assert "Decided again, it comes out otherwise in kept_model, tier." in said
    assert "byte for byte" not in said


def test_an_attempt_that_cannot_have_been_is_said_loudly(shop: Shop) -> None:
    elsewhere = AttemptSignals(rung=7, endpoint=str(shop.site.endpoint().pk), outcome="ok", confidence=0.9)
    assert "This record does not hold" in page(shop.cast.lead, lie(shop, attempts=(elsewhere,)))


def test_a_changed_snapshot_is_said_loudly(shop: Shop) -> None:
    now = timezone.now()
    content = snapshots.make(shop.cast.production, now=now)
    Snapshot.objects.create(digest=content.digest, text=content.text.replace("0.8", "0.3"))
    assert "its digest does not match" in page(shop.cast.lead, shop.ask(0.31, 0.92, at=now))


def test_a_snapshot_that_is_not_here_is_said(shop: Shop) -> None:
    said = page(shop.cast.lead, lie(shop, snapshot="ab" * 32))
    assert "Not decided again" in said
    assert "Triage" not in said
    assert "tf-idf" in said


def test_the_record_is_shown_as_it_was_reported(shop: Shop) -> None:
    now = timezone.now()
    record = shop.decide(0.9, at=now)
    shop.send(record, at=now)
    answer = signed_in(shop.cast.lead).get(reverse("request", args=[record.id]))
    assert json.loads(answer.context["story"].retelling.json)["id"] == record.id


def test_whose_it_is(shop: Shop) -> None:
    decision = shop.ask(0.9)
    address = reverse("request", args=[decision.id])
    got = {who: signed_in(person).get(address).status_code for who, person in shop.cast.people.items()}
    assert got == {
        **dict.fromkeys(("lead", "second_lead", "owner", "finance", "integrator", "auditor"), 200),
        **dict.fromkeys(("reviewer", "admin", "stranger"), 404),
    }
    nothing = reverse("request", args=[UUID(int=7 << 76 | 1 << 63)])
    assert signed_in(shop.cast.lead).get(nothing).status_code == 404


def test_the_ladder_alone_comes_when_there_is_something_new(shop: Shop) -> None:
    client, now = signed_in(shop.cast.lead), timezone.now()
    record = shop.decide(0.9, at=now)
    address = reverse("request_ladder", args=[record.id])
    assert client.get(address).status_code == 204
    shop.send(record, at=now)
    first = client.get(address)
    seen = first.context["story"].mark
    assert (first.status_code, "every 2s" in first.content.decode()) == (200, True)
    assert client.get(address, {"seen": seen}).status_code == 204
    shop.ask(0.9)
    assert client.get(address, {"seen": seen}).status_code == 204
    shop.report(record, at=now)
    assert client.get(address, {"seen": seen}).status_code == 200
    assert signed_in(shop.cast.stranger).get(address).status_code == 204


def test_what_was_recorded_elsewhere_waits_for_nobody(shop: Shop) -> None:
    decision = shop.ask(0.2, 0.3, 0.4)
    decision.environment.recorded, decision.review_id = True, None
    story = stories.tell(decision, {})
    assert story.headline.startswith("Three models were not sure, and a person decided")
    assert story.standing == ("quiet", "a person decided")
    decision.environment.recorded = False
    assert stories.tell(decision, {}).standing == ("warn", "asked a person")


def test_a_price_that_is_not_known_is_said_after_the_time() -> None:
    assert cost_and_time("USD 0.02", "40 ms") == "USD 0.02 in 40 ms"
    assert cost_and_time("price follows", "40 ms") == "40 ms, price follows"
