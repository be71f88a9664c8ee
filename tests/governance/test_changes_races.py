"""Two and more people at once, on connections of their own: exactly one wins, and nothing unseen becomes live."""

import itertools
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from governance import accounts, changes, votes
from governance.errors import GovernanceError
from governance.models import AuditEvent, Change, PolicyHead, Vote
from tests.cast import Cast, approve, make_cast, make_change, make_document, make_live

Outcome = Change | GovernanceError


def at_once(*acts: Callable[[], Change]) -> list[Outcome]:
    """Run each act in a thread and connection of its own, all released together; what each gave or was refused."""
    start = threading.Barrier(len(acts))
    outcomes: list[Any] = [None] * len(acts)

    def run(place: int, act: Callable[[], Change]) -> None:
        try:
            start.wait(20)
            outcomes[place] = act()
        except Exception as error:  # noqa: BLE001 (shown to the test, which knows which ones it expects)
            outcomes[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


def while_held(first: Callable[[], Change], second: Callable[[], Change]) -> Outcome:
    """Let the second act begin while the first has done its work but not committed; what the second came to."""
    done = threading.Event()
    outcomes: list[Outcome] = []

    def run() -> None:
        done.wait(20)
        try:
            outcomes.append(second())
        except GovernanceError as error:
            outcomes.append(error)
        finally:
            connection.close()

    waiting = threading.Thread(target=run)
    waiting.start()
    with transaction.atomic():
        first()
        done.set()
        waiting.join(0.5)
        assert waiting.is_alive(), "the second did not wait for the first"
    waiting.join(20)
    (outcome,) = outcomes
    return outcome


@pytest.mark.parametrize("_", range(3))
def test_of_two_activations_on_one_head_exactly_one_wins(_: int, live_database: Any) -> None:
    cast = make_cast()
    make_live(cast, 0.9)
    one, other = (approve(make_change(cast, keep_from), cast.owner) for keep_from in (0.8, 0.7))
    outcomes = at_once(
        lambda: changes.activate(change=one, by=cast.lead), lambda: changes.activate(change=other, by=cast.owner)
    )
    (winner,) = [each for each in outcomes if isinstance(each, Change)]
    assert [type(each) for each in outcomes if each is not winner] == [changes.StaleBase]
    assert PolicyHead.objects.get().change == winner
    loser = other if winner == one else one
    assert Change.objects.get(pk=loser.pk).state == "stale"


def test_one_change_activated_twice_at_once_is_applied_once(live_database: Any) -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    outcomes = at_once(*[lambda: changes.activate(change=change, by=cast.lead)] * 4)
    assert sorted(type(each).__name__ for each in outcomes) == ["Change", "NotOpen", "NotOpen", "NotOpen"]
    assert AuditEvent.objects.filter(action="changes.activate").count() == 1


def test_a_vote_that_waits_for_an_edit_is_refused(live_database: Any) -> None:
    cast = make_cast()
    change = make_change(cast)
    seen = change.revision.payload_digest
    outcome = while_held(
        lambda: changes.revise(change=change, document=make_document(0.5), by=cast.integrator),
        lambda: changes.vote(
            change=change, digest=seen, choice="approve", reason="", by=cast.owner, then_activate=True
        ),
    )
    assert isinstance(outcome, changes.DigestMoved)
    assert not Vote.objects.exists()
    assert not PolicyHead.objects.exists()


def test_an_edit_that_waits_for_a_vote_takes_its_effect_away(live_database: Any) -> None:
    cast = make_cast()
    change = make_change(cast)
    outcome = while_held(
        lambda: approve(change, cast.owner),
        lambda: changes.revise(change=change, document=make_document(0.5), by=cast.integrator),
    )
    assert isinstance(outcome, Change)
    assert outcome.state == "in_review"
    assert votes.standing(outcome).counted == 0


def test_an_activation_that_waits_for_an_edit_activates_nothing(live_database: Any) -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    outcome = while_held(
        lambda: changes.revise(change=change, document=make_document(0.5), by=cast.integrator),
        lambda: changes.activate(change=change, by=cast.lead),
    )
    assert isinstance(outcome, changes.NotApproved)
    assert not PolicyHead.objects.exists()


def test_a_vote_that_waits_for_another_change_to_go_live_is_refused(live_database: Any) -> None:
    cast = make_cast()
    fast, slow = approve(make_change(cast, 0.8), cast.owner), make_change(cast, 0.7)
    outcome = while_held(lambda: changes.activate(change=fast, by=cast.lead), lambda: approve(slow, cast.owner))
    assert isinstance(outcome, changes.StaleBase)


def test_proposals_at_once_get_versions_of_their_own(live_database: Any) -> None:
    cast = make_cast()
    outcomes = at_once(*[lambda place=place: make_change(cast, 0.5 + place / 50) for place in range(6)])
    assert sorted(each.revision.policy.number for each in outcomes if isinstance(each, Change)) == [1, 2, 3, 4, 5, 6]


def test_a_crowd_at_random_never_makes_live_what_was_not_approved(live_database: Any) -> None:
    cast = make_cast()
    make_live(cast)
    outcomes = at_once(*[lambda seed=seed: _work(cast, seed) for seed in range(5)])
    assert [each for each in outcomes if isinstance(each, BaseException)] == []

    live = Change.objects.get(head__isnull=False)
    applied = list(Change.objects.filter(state="applied").for_page().order_by("applied_at"))
    assert applied[-1] == live
    assert len(applied) > 1, "nothing ever became live: the test saw nothing"
    for before, after in itertools.pairwise(applied):
        assert after.revision.base_version == before.revision.policy
    for change in applied:
        hands = {each.user_id for each in change.contributors.all()}
        newest = {
            vote.voter_id: vote
            for revision in change.revisions.all()
            if revision == change.revision
            for vote in revision.votes.all()
        }
        approving = [vote for voter, vote in newest.items() if vote.choice == "approve" and voter not in hands]
        assert approving
        assert {vote.digest for vote in approving} == {changes.payload_digest(change, change.revision)}


def _work(cast: Cast, seed: int) -> Change:
    """Thirty acts at random; refusals are part of the work, any other failure is not."""
    chance = random.Random(seed)
    people = [cast.lead, cast.owner, cast.second_lead, cast.integrator]
    for _ in range(30):
        person, value = chance.choice(people), chance.randrange(1, 99) / 100
        change = Change.objects.for_list().filter(state__in=Change.OPEN).order_by("?").first()
        act = chance.choice(["propose", "revise", "approve", "approve", "object", "activate", "activate", "leave"])
        try:
            if act == "propose" or change is None:
                make_change(cast, value, by=person)
            elif act == "revise":
                changes.revise(change=change, document=make_document(value), by=person)
            elif act == "approve":
                approve(change, person)
            elif act == "object":
                digest = change.revision.payload_digest
                changes.vote(change=change, digest=digest, choice="request_changes", reason="no", by=person)
            elif act == "activate":
                changes.activate(change=change, by=person)
            else:
                accounts.deactivate(person=cast.second_lead, reason="gone", by=cast.admin)
                accounts.reactivate(person=cast.second_lead, reason="back", by=cast.admin)
        except GovernanceError:
            continue
    return Change.objects.order_by("-number")[0]
