"""Requests told in columns: what they add up to is, to the last digit, what they come to told one by one."""

import random
from datetime import timedelta
from decimal import Decimal, getcontext
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from governance.models import Mode
from ledger import rollups
from ledger.models import Decision
from routing import comparing, endings, pasts, pieces, simulating, simulations, snapshots, tallies
from routing.comparing import Asked, Compared, Comparison, Ended
from routing.models import Simulation
from routing.pasts import Reader
from routing.tallies import Step, Tally
from smallfirst.engine import SnapshotDocument
from tests.cast import make_document
from tests.ledger.reports import BERLIN
from tests.routing.asked import Answer, Shop, make_shop

GUARDS: dict[str, Any] = {"guards": {"models": ["lexicon", "tf-idf"]}}
RULES: dict[str, Any] = {
    "rules": [
        {"name": "Shop", "when": [{"type": "tag", "name": "shop", "is": ["north"]}], "then": {"start": "mid"}},
        {"name": "Risk", "when": [{"type": "risk", "at_least": "high"}], "then": {"refuse": "Not for this."}},
        {"name": "German", "when": [{"type": "language", "is": ["de"]}], "then": {"keep_from": 0.35}},
    ]
}


def candidate(keep_from: float, **given: Any) -> dict[str, Any]:
    """A policy with another threshold, and what else is given; what is of its one step is named `step`."""
    step = given.pop("step", {})
    document = make_document(keep_from) | given
    document["steps"][0] |= step
    return document


LABELS = {"gate": {"keep_from": 0.5, "labels": ["positive", "negative"]}}
ALWAYS = {"review": make_document()["steps"][0]["review"] | {"when": "always"}}
HURRY = {"limits": {"deadline_ms": 30}}
FAULTS: tuple[Answer, ...] = ("aborted", "error", "timeout", "refused")
REQUESTS = 60
CANDIDATES = (
    candidate(0.55),
    candidate(0.9),
    candidate(0.2, **GUARDS),
    candidate(0.6, **RULES),
    candidate(0.6, step=LABELS),
    candidate(0.7, step=ALWAYS),
    candidate(0.8, step=HURRY),
    candidate(0.75, guards={"max_cost": "0.02"}, step={"limits": {"max_output_tokens": 600}}),
    candidate(0.75, guards={"models": ["nobody"]}),
)


@pytest.fixture
def shop(installation_keys: None) -> Shop:
    """Asked some dozens of times, in every way; of the newest nothing is charged yet."""
    shop, chance = make_shop(), random.Random(4471)
    for number in range(REQUESTS):
        ask(shop, number, chance, charged=number > 3)
    rollups.fold_all(zone=BERLIN)
    for number in range(4):
        ask(shop, number, chance, charged=False)
    return shop


def ask(shop: Shop, number: int, chance: random.Random, *, charged: bool) -> None:
    """One request, its answers as sure, as late and as labelled as chance has it."""
    answers: list[Answer] = []
    while len(answers) < 3 and (not answers or answers[-1] in FAULTS[1:] or float(answers[-1]) < 0.8):
        answers.append(chance.choice((*FAULTS, *[round(chance.random(), 2)] * 12)))
        if answers[-1] == "aborted":
            break
    facts: dict[str, Any] = {"risk": chance.choice(("minimal", "limited", "high")), "run": f"run-{number}"}
    facts |= {"language": chance.choice(("de", "en", None)), "tags": (("shop", chance.choice(("north", "south"))),)}
    at = timezone.now() - timedelta(hours=number)
    record = shop.decide(*answers, at=at, **facts)
    told = tuple(
        msgspec.structs.replace(
            each,
            latency_ms=chance.choice((0, 14, 20, 105, 3333)),
            label=each.label and chance.choice(("positive", "negative", "neither")),
        )
        for each in record.attempts
    )
    record = msgspec.structs.replace(record, attempts=told)
    shop.send(record, at=at)
    if charged or number:
        shop.report(record, at=at)


def both(shop: Shop, document: dict[str, Any]) -> Comparison:
    """What is live beside a policy."""
    head = shop.cast.workflow.heads.select_related("version").get(environment=shop.cast.production)
    text = snapshots.make(shop.cast.production, now=timezone.now()).text
    register = msgspec.json.decode(text, type=SnapshotDocument)
    before = comparing.under(register, shop.cast.workflow.pk, head.version.document, head.mode)
    after = comparing.under(register, shop.cast.workflow.pk, document, Mode.ENFORCE)
    assert before is not None
    assert after is not None
    return Comparison(before, after, comparing.places())


def reader(shop: Shop) -> Reader:
    """All of the last weeks."""
    now = timezone.now()
    keys = list(simulations.keys_of(shop.cast.workflow).values_list("pk", flat=True))
    return Reader(shop.cast.workflow.pk, shop.cast.production.pk, keys, now - timedelta(days=28), now)


def in_columns(shop: Shop, compared: Comparison, most: int) -> Tally:
    """What all requests add up to, so many at a time, the next ones fetched beside them."""
    tally, after, read = Tally(), None, reader(shop)
    while (piece := read.read(after, most, then=most)) is not None:
        odd = comparing.read(Decision.objects.filter(pk__in=piece.odd))
        tallies.add(tally, compared.of(odd))
        if piece.pasts is not None:
            changed = endings.add(tally, piece.pasts, compared)
            tallies.note(tally, compared.of(comparing.read(Decision.objects.filter(pk__in=changed))))
        after = piece.upto
    read.close()
    return tally


def one_by_one(compared: Comparison) -> Tally:
    """The same, each by itself."""
    tally = Tally()
    tallies.add(tally, compared.of(comparing.read(Decision.objects.order_by("pk"))))
    return tally


@pytest.mark.django_db
def test_what_is_told_in_columns_is_what_comes_of_each_request(shop: Shop) -> None:
    outcomes = set()
    for document in CANDIDATES:
        compared = both(shop, document)
        expected = one_by_one(compared)
        assert expected.n == REQUESTS + 4
        for most in (1000, 7):
            found = in_columns(shop, compared, most)
            assert (found.steps, found.changed) == (expected.steps, expected.changed), document
        outcomes |= {end for step in expected.steps.values() for end in step.after.ends}
    assert outcomes >= {"small", "mid", "frontier", "person", "no answer"}


@pytest.mark.django_db
def test_what_is_not_packed_and_what_is_too_much_is_told_by_itself(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = both(shop, CANDIDATES[0])
    expected = one_by_one(compared)
    monkeypatch.setattr(pasts, "MOST_ATTEMPTS", 2)
    assert in_columns(shop, compared, 1000) == expected
    monkeypatch.setattr(pieces, "MOST_AMOUNT", Decimal("0.000001"))
    read = reader(shop).read(None, 1000)
    assert read is not None
    assert len(read.odd) > 30
    assert in_columns(shop, compared, 1000) == expected


@pytest.mark.django_db
def test_what_is_fetched_ahead_is_let_go(shop: Shop) -> None:
    """By who reads something else next, and by who stops."""
    read = reader(shop)
    first = read.read(None, 7, then=7)
    assert first is not None
    again = read.read(None, 7, then=7)
    assert again is not None
    assert again.upto == first.upto
    read.close()
    assert Decision.objects.count() == REQUESTS + 4
    second, other = read.read(first.upto, 7), reader(shop).read(first.upto, 7)
    assert second is not None
    assert other is not None
    assert (second.upto, second.odd) == (other.upto, other.odd)
    read.close()


@pytest.mark.django_db
def test_it_is_read_once_what_equal_numbers_stand_for(shop: Shop, django_assert_max_num_queries: Any) -> None:
    read, compared = reader(shop), both(shop, CANDIDATES[3])
    piece = read.read(None, 1000)
    assert piece is not None
    assert piece.pasts is not None
    # Risk, language and shop: but for the run's name there are no more.
    assert len(piece.pasts.heads) <= 18
    assert len(piece.pasts.asked.states) == 1
    assert {head.facts.run for head in piece.pasts.heads} == {None}
    walked = endings.walk(piece.pasts, compared)
    assert len(walked.ends) < len(piece.pasts)
    with django_assert_max_num_queries(2):
        assert read.read(None, 1000) is not None


@pytest.mark.django_db
def test_what_was_stored_before_anything_was_packed_is_told_by_itself(
    installation_keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pieces, so that a lease lasts for each."""
    shop, chance = make_shop(), random.Random(4471)
    for number in range(12):
        with monkeypatch.context() as patched:
            if number % 4:
                patched.setattr("ledger.packed.head", lambda decision: None)
                patched.setattr("ledger.packed.attempts", lambda decision: None)
            ask(shop, number, chance, charged=True)
    rollups.fold_all(zone=BERLIN)
    monkeypatch.setattr(pieces, "MOST_ODD", 2)
    compared, read = both(shop, CANDIDATES[0]), reader(shop)
    piece = read.read(None, 1000)
    assert piece is not None
    assert len(piece.odd) == 2
    assert in_columns(shop, compared, 1000) == one_by_one(compared)
    made = simulations.ask(
        workflow=shop.cast.workflow,
        environment=shop.cast.production,
        document=CANDIDATES[0],
        mode="enforce",
        by=shop.cast.lead,
        now=timezone.now(),
    )
    assert simulating.work()
    made.refresh_from_db()
    assert (made.state, made.told) == (Simulation.State.DONE, 12)


@given(st.lists(st.integers(0, 2**60 - 1), max_size=30))
def test_sums_and_squares_are_exact(values: list[int]) -> None:
    numbers = np.array(values, dtype=np.int64)
    assert endings.total(numbers) == sum(values)
    assert endings.squares(numbers) == sum(value * value for value in values)


# In units of the tenth decimal: the sum of their squares has more digits than the 28 of the usual context.
LARGE = [(10**17 - 1, 0), (10**17 - 3, 0), (1, 10**17 - 7), (0, 3)]


def priced(pair: tuple[int, int]) -> pasts.Pasts:
    """One request whose first attempt leads to the end before, and whose second to the one after."""
    columns: dict[str, Any] = {"amount": np.array([pair]), "currency": np.array([[0, 0]]), "currencies": ["USD"]}
    return cast("pasts.Pasts", SimpleNamespace(**columns))


def alone(pair: tuple[int, int]) -> Compared:
    """The same, told by itself."""
    one, other = (Ended("kept", "", cost={"USD": Decimal(units).scaleb(-pieces.DECIMALS)}) for units in pair)
    return Compared(cast("Asked", None), one, other)


def test_what_costs_very_much_is_added_to_the_last_digit() -> None:
    step, others, units = Step(), Step(), Decimal(1).scaleb(-pieces.DECIMALS)
    for pair in LARGE:
        taken = np.array([[True, False]])
        endings._costs(step, priced(pair), np.array([0]), taken, ~taken)
        tallies._costs(others, alone(pair))
    exact = [sum(one for one, _other in LARGE), sum(other for _one, other in LARGE)]
    exact.append(sum((other - one) ** 2 for one, other in LARGE))
    assert len(str(exact[2])) > getcontext().prec
    for costs in (step.costs["USD"], others.costs["USD"], tallies.whole({"a": step}).costs["USD"]):
        assert Fraction(costs.before) == exact[0] * Fraction(units)
        assert Fraction(costs.after) == exact[1] * Fraction(units)
        assert Fraction(costs.squares) == exact[2] * Fraction(units) ** 2
    both = tallies.whole({"a": step, "b": others}).costs["USD"]
    assert Fraction(both.squares) == 2 * exact[2] * Fraction(units) ** 2
    assert tallies.load(tallies.dump(Tally(steps={"a": step}))).steps["a"] == step


@given(
    st.lists(
        st.integers(0, 10**12) | st.sampled_from((99, 100, 104, 105, 106, 115, 125, 995, 999, 1000, 1050)), max_size=30
    )
)
def test_milliseconds_are_rounded_as_they_are_one_by_one(values: list[int]) -> None:
    rounded = endings.two_digits(np.array(values, dtype=np.int64)).tolist()
    assert [str(each) for each in rounded] == [tallies.two_digits(each) for each in values]
