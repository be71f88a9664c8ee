"""What a change would have done with the requests of the last weeks: told from their own answers, never invented."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from governance import changes
from governance.models import Change, User
from ledger.models import Decision
from routing import comparing, simulating, simulations, tallies
from routing.comparing import Compared
from routing.models import Simulation
from routing.tallies import Result
from tests.cast import approve, make_change, make_document, make_live
from tests.pages import signed_in, text
from tests.routing.asked import Shop, make_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(installation_keys: None) -> Shop:
    """Kept from 0.8; nobody asked anything yet."""
    return make_shop()


def simulated(shop: Shop, change: Change, **given: Any) -> Result:
    """What the simulation of a change found, begun by its author and brought to its end."""
    made = simulations.begin(change=change, by=shop.cast.integrator, now=timezone.now(), **given)
    assert simulating.work()
    made.refresh_from_db()
    assert made.state == Simulation.State.DONE
    return tallies.read(made.result)


def compared(shop: Shop, change: Change) -> list[Compared]:
    """All requests as a simulation compares them, oldest first."""
    made = simulations.begin(change=change, by=shop.cast.integrator, now=timezone.now())
    rows = simulations.requests_of(made.workflow, made.environment, since=made.since, until=made.until)
    return simulating.comparison(made).of(comparing.read(rows.order_by("pk")))


def ends(found: list[Compared]) -> list[tuple[str | None, str | None, str | None, str | None]]:
    """Outcome and model before and after."""
    return [(each.before.outcome, each.before.model, each.after.outcome, each.after.model) for each in found]


def part(person: User, change: Change) -> Any:
    """The part of the page as a person gets it."""
    return signed_in(person).get(reverse("change_simulated", args=[change.pk]))


def test_a_lower_threshold_stops_at_the_rung_whose_answer_would_have_passed(shop: Shop) -> None:
    shop.ask(0.9)
    shop.ask(0.6, 0.9)
    shop.ask(0.6, 0.5, 0.3)

    change = make_change(shop.cast, 0.55)
    assert ends(compared(shop, change)) == [
        ("kept", "lexicon", "kept", "lexicon"),
        ("kept", "tf-idf", "kept", "lexicon"),
        ("person", None, "kept", "lexicon"),
    ]
    assert simulating.work()

    step = tallies.read(Simulation.objects.get().result).steps["sentiment"]
    assert (step.n, step.known, step.changed, step.unknown) == (3, 3, 2, {})
    assert step.before.ends == {"small": 1, "mid": 1, "person": 1}
    assert step.after.ends == {"small": 3}
    assert (step.before.escalated, step.after.escalated) == (2, 0)
    # Six attempts at USD 0.006 before, one for each request after; differences of 0, 0.006 and 0.012.
    (costs,) = step.costs.values()
    assert (costs.before, costs.after, costs.squares) == (Decimal("0.036"), Decimal("0.018"), Decimal("0.00018"))
    # 20 ms an attempt.
    assert (step.before.percentile(0.5), step.before.percentile(0.95), step.after.percentile(0.95)) == (40, 60, 20)
    assert list(step.people.values()) == [(1, 0)]


def test_the_most_changed_come_first_with_both_reasons(shop: Shop) -> None:
    shop.ask(0.9)
    mid = shop.ask(0.6, 0.9)
    person = shop.ask(0.6, 0.5, 0.3)

    found = simulated(shop, make_change(shop.cast, 0.55)).changed

    assert [each.request for each in found] == [str(person.pk), str(mid.pk)]
    assert found[0].before.startswith("A person decides: smollm2 answered with confidence 0.30, under 0.80")
    assert found[0].after == "lexicon answers."
    assert found[1].before == "lexicon answered with confidence 0.60, under 0.80, so tf-idf was asked."


def test_a_model_that_was_not_asked_then_is_not_guessed(shop: Shop) -> None:
    shop.ask(0.85)
    shop.ask(0.95)

    step = simulated(shop, make_change(shop.cast, 0.9)).steps["sentiment"]

    assert (step.n, step.known) == (2, 1)
    assert step.unknown == {"tf-idf would be asked, and was not asked then.": 1}
    assert step.costs["USD"].before == step.costs["USD"].after == Decimal("0.006")


def test_a_label_that_nobody_looked_for_is_not_known(shop: Shop) -> None:
    # As a gateway records it under a gate that asks for no label.
    now = timezone.now()
    record = shop.decide(0.9, at=now)
    bare = tuple(msgspec.structs.replace(each, label=None) for each in record.attempts)
    shop.send(msgspec.structs.replace(record, attempts=bare), at=now)
    document = make_document(0.8)
    document["steps"][0]["gate"]["labels"] = ["positive", "negative"]
    change = changes.propose(
        workflow=shop.cast.workflow,
        environment=shop.cast.production,
        document=document,
        title="Only labels",
        note="",
        by=shop.cast.integrator,
    )

    step = simulated(shop, change).steps["sentiment"]

    assert step.unknown == {"lexicon was not asked for these labels then.": 1}


def test_what_a_guard_keeps_out_is_counted(shop: Shop) -> None:
    shop.ask(0.9)
    shop.ask(0.9, risk="high")
    rule = {"name": "No", "when": [{"type": "risk", "at_least": "high"}], "then": {"refuse": "Not for this."}}
    document = make_document(0.8) | {"guards": {"models": ["lexicon", "tf-idf"]}, "rules": [rule]}
    change = changes.propose(
        workflow=shop.cast.workflow,
        environment=shop.cast.production,
        document=document,
        title="Less is allowed",
        note="",
        by=shop.cast.integrator,
    )

    step = simulated(shop, change).steps["sentiment"]

    assert step.before.refused == step.before.kept_out == {}
    assert (step.after.refused, step.after.kept_out) == ({"rule": 1}, {"smollm2: models": 1})
    assert step.after.ends == {"small": 1, "no answer": 1}
    said = text(part(shop.cast.owner, change))
    assert "0 requests before and 1 after refused by rule" in said
    assert "0 requests before and 1 after without smollm2, kept out by models" in said


def test_what_ran_before_comes_out_as_it_did_under_the_version_that_is_live(shop: Shop) -> None:
    for answers in ((0.9,), (0.1, 0.99), ("error", 0.9), (0.4, "timeout", 0.9), (0.1, 0.1, 0.1), ("refused",) * 3):
        shop.ask(*answers)

    found = compared(shop, make_change(shop.cast, 0.7))

    assert [(each.before.outcome, each.before.model) for each in found] == [
        (each.request.outcome, each.request.kept_model) for each in found
    ]


def test_only_applications_of_the_last_days_count(shop: Shop) -> None:
    now = timezone.now()
    shop.ask(0.9, at=now - timedelta(days=29))
    shop.ask(0.9, at=now - timedelta(days=8))
    shop.ask(0.9, at=now - timedelta(days=1))
    shop.measuring().ask(0.9, purpose="evaluation", model="lexicon")
    change = make_change(shop.cast, 0.7)

    assert simulated(shop, change).requests == 2
    assert simulated(shop, change, days=7).requests == 1


def test_it_takes_as_many_queries_however_many_requests(shop: Shop) -> None:
    made = simulations.begin(change=make_change(shop.cast, 0.7), by=shop.cast.owner, now=timezone.now())
    comparison = simulating.comparison(made)
    taken = []
    for _ in range(2):
        shop.ask(0.9)
        rows = comparing.read(Decision.objects.all())
        with CaptureQueriesContext(connection) as queries:
            comparison.of(rows)
        comparison.policies.clear()
        taken.append(len(queries))
    assert taken == [2, 2]


def test_the_page_says_it_first_and_leads_to_each_request(shop: Shop) -> None:
    shop.ask(0.9)
    asked = shop.ask(0.6, 0.5, 0.3)
    change = make_change(shop.cast, 0.55)
    simulated(shop, change)

    answer = part(shop.cast.auditor, change)
    said = text(answer).replace("\N{NO-BREAK SPACE}", " ")

    assert "Of 2 requests whose end the past tells, 1 would have ended otherwise, 1 fewer with a person" in said
    assert "models would have cost USD 0.012 less" in said
    assert "reviews a day 0.0 0.0 on the busiest day 1, then 0" in said
    assert "half are answered within 20 ms 20 ms the same" in said
    assert "95 % are answered within 60 ms 20 ms 40 ms sooner" in said
    assert "USD 0.006 less (too few for an interval)" in said
    assert "It holds until" in said
    assert reverse("request", args=[asked.pk]) in answer.content.decode()
    assert "What it would have done" in text(signed_in(shop.cast.auditor).get(reverse("change", args=[change.pk])))


def test_the_page_says_what_the_past_cannot_tell(shop: Shop) -> None:
    shop.ask(0.85)
    change = make_change(shop.cast, 0.9)
    simulated(shop, change)
    said = text(part(shop.cast.owner, change))
    assert "What the past cannot tell" in said
    assert "tf-idf would be asked, and was not asked then." in said


def test_the_page_says_how_far_it_is_and_asks_again_until_it_has_ended(shop: Shop) -> None:
    shop.ask(0.85)
    change = make_change(shop.cast, 0.7)
    before = part(shop.cast.finance, change)
    assert "Each open change is simulated by itself" in text(before)
    simulations.begin(change=change, by=shop.cast.owner, now=timezone.now())
    going = part(shop.cast.finance, change)
    assert "0 of 1 requests decided again" in text(going)
    assert 'hx-trigger="every 2s"' in going.content.decode()
    assert "Cancel the simulation" not in going.content.decode()
    assert "Cancel the simulation" in part(shop.cast.owner, change).content.decode()
    assert simulating.work()
    assert "hx-trigger" not in part(shop.cast.finance, change).content.decode()


def test_a_workflow_that_nobody_asked_says_so(shop: Shop) -> None:
    change = make_change(shop.cast, 0.9)
    assert simulated(shop, change).requests == 0
    assert "No application asked" in text(part(shop.cast.finance, change))


def test_each_way_to_go_stale_has_its_own_sentence(shop: Shop) -> None:
    shop.ask(0.9)
    change = make_change(shop.cast, 0.7)
    simulated(shop, change)
    changes.revise(change=change, document=make_document(0.6), by=shop.cast.integrator)
    assert "The simulation is of revision 1: simulate revision 2." in text(part(shop.cast.owner, change))
    simulated(shop, change)
    assert "does not hold" not in text(part(shop.cast.owner, change))
    other = approve(make_change(shop.cast, 0.75), shop.cast.owner)
    changes.activate(change=other, by=shop.cast.lead)
    assert "Another version became live since it was simulated" in text(part(shop.cast.owner, change))
    assert "Another version" not in text(part(shop.cast.owner, other))


def test_others_are_told_nothing(shop: Shop) -> None:
    change = make_change(shop.cast, 0.7)
    assert part(shop.cast.reviewer, change).status_code == 403
    assert part(shop.cast.stranger, change).status_code == 404
    rules = changes.propose_approval_rules(document={"rules": [{"name": "A"}]}, title="A", note="", by=shop.cast.lead)
    assert part(shop.cast.lead, rules).status_code == 404
    assert not Decision.objects.exists()


def test_nothing_is_compared_where_nothing_was_live(shop: Shop) -> None:
    make_live(shop.cast, 0.7)
    first = Change.objects.get(revision__base_version=None)
    assert "Nothing was live in production when this was written" in text(part(shop.cast.owner, first))
