"""Drawing a sample of the log: the formula, what the population is, who may, what is refused, and that it stays."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from config.up.services import Postgres
from governance import audit, audit_samples, seals
from governance.accounts import NotPermitted
from governance.errors import InvalidInput
from governance.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditSample, new_id
from governance.models.audit_samples import KINDS
from governance.permissions import Role
from tests.at_once import at_once
from tests.cast import BOOTSTRAP, Cast, make_audit_sample, make_cast, make_change, make_live, make_person
from tests.pages import signed_in, text

START = datetime(2000, 1, 1, tzinfo=UTC)
SEED = "six dice: 4 2 6 6 1 3"


def seal(settings: Any, *, later: timedelta = timedelta(0)) -> AuditCheckpoint:
    """Seal all there is, sign it, and return the checkpoint."""
    seals.seal(keys=Path(settings.KEYS), now=timezone.now() + later)
    return AuditCheckpoint.objects.order_by("-number")[0]


@pytest.fixture
def cast(live_database: Any, settings: Any) -> Cast:
    """The cast with changes, all sealed under the first checkpoint."""
    made = make_cast()
    make_live(made, 0.8)
    make_change(made, 0.6)
    seal(settings)
    return made


def draw(cast: Cast, **given: Any) -> AuditSample:
    """Five entries of the whole log, by the auditor."""
    signed = AuditCheckpoint.objects.order_by("-number").values_list("at", flat=True)[0]
    usual: dict[str, Any] = {"acts": [], "since": START, "until": signed, "n": 5, "seed": SEED, "purpose": ""}
    return audit_samples.draw(**(usual | {"by": cast.auditor, "now": timezone.now()} | given))


def by_hand(sample: AuditSample) -> tuple[int, list[int]]:
    """Population and draws as the docstring of AuditSample says, without the database."""
    leaves = {leaf.event_id: leaf for leaf in AuditLeaf.objects.filter(index__lt=sample.size)}
    within = [
        leaves[event.pk]
        for event in AuditEvent.objects.all()
        if event.pk in leaves
        and sample.since <= event.at < sample.until
        and (not sample.acts or event.action in sample.acts)
    ]
    ticket = {
        leaf.index: hashlib.sha256(sample.seed.encode() + bytes.fromhex(leaf.hash)).hexdigest() for leaf in within
    }
    return len(within), sorted(ticket, key=ticket.__getitem__)[: sample.n]


def test_the_draws_are_those_that_anybody_can_draw_again(cast: Cast) -> None:
    checkpoint = AuditCheckpoint.objects.get()
    drawn = draw(cast, purpose="Fourth quarter")
    assert (drawn.checkpoint, drawn.size, drawn.root) == (1, checkpoint.size, checkpoint.root)
    assert drawn.population == AuditEvent.objects.filter(at__lt=checkpoint.at).count() > 20
    assert (drawn.population, drawn.draws) == by_hand(drawn)
    assert len(drawn.draws) == 5
    # The same again, whoever draws; with another seed others; and more of them begin with the same ones.
    assert draw(cast, by=cast.lead).draws == drawn.draws
    assert draw(cast, seed="é ü 🎲").draws != drawn.draws
    for other in (draw(cast, seed="é ü 🎲"), draw(cast, n=20), draw(cast, acts=["accounts.grant"])):
        assert (other.population, other.draws) == by_hand(other)
    assert draw(cast, n=20).draws[:5] == drawn.draws


def test_a_golden_draw(cast: Cast) -> None:
    """The ticket of one leaf by the formula, so that another language can be checked against it."""
    seed, leaf = SEED.encode(), bytes(range(32))
    golden = "d729ce09741e0081ce58f7db6c08ccbd"
    with connection.cursor() as sql:
        sql.execute("SELECT encode(sha256(convert_to(%s, 'UTF8') || %s::bytea), 'hex')", [SEED, leaf])
        assert sql.fetchone()[0][:32] == hashlib.sha256(seed + leaf).hexdigest()[:32] == golden


def test_the_entry_says_all_of_it(cast: Cast) -> None:
    drawn = draw(cast, acts=["changes.vote", "changes.activate", "changes.vote"], purpose="Fourth quarter")
    assert drawn.acts == ["changes.activate", "changes.vote"]
    event = AuditEvent.objects.about(drawn).get()
    assert (event.action, event.actor_id, event.reason) == (
        "audit_samples.draw",
        str(cast.auditor.pk),
        "Fourth quarter",
    )
    assert event.summary == "Drew 2 of 2 entries of the audit log"
    assert event.after == audit.plain(audit_samples.facts(drawn))
    assert event.entry_hash == audit.entry_hash(event)


def test_a_small_population_is_drawn_whole_and_none_is_a_finding_too(cast: Cast) -> None:
    few = draw(cast, acts=["changes.propose"], n=10)
    assert (few.population, len(few.draws), few.all_drawn) == (2, 2, True)
    none = draw(cast, acts=["emergencies.begin"])
    assert (none.population, none.draws, none.all_drawn) == (0, [], True)
    assert not draw(cast).all_drawn


def test_the_period_is_from_its_first_moment_to_before_its_last(cast: Cast) -> None:
    moments = sorted(AuditEvent.objects.filter(action="accounts.grant").values_list("at", flat=True))
    within = draw(cast, acts=["accounts.grant"], since=moments[1], until=moments[4])
    assert within.population == sum(moments[1] <= at < moments[4] for at in moments)
    assert draw(cast, acts=["accounts.grant"], since=moments[0], until=moments[0] + timedelta(microseconds=1)).draws


def test_only_what_is_under_a_checkpoint_counts(cast: Cast, settings: Any) -> None:
    first = draw(cast)
    make_person("Somebody else")
    # Sealed, and not signed for yet.
    seal(settings)
    assert draw(cast).population == first.population
    seal(settings, later=timedelta(minutes=2))
    with pytest.raises(InvalidInput, match="future"):
        draw(cast)
    now = timezone.now()
    second = draw(cast, until=now, now=now)
    assert (second.checkpoint, second.population > first.population) == (2, True)
    assert (second.population, second.draws) == by_hand(second)


REFUSED: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "reversed": (
        {"since": datetime(2024, 1, 2, tzinfo=UTC), "until": datetime(2024, 1, 1, tzinfo=UTC)},
        "ends",
        "until",
    ),
    "empty": ({"since": START, "until": START}, "ends before it begins", "until"),
    "ends in the future": ({"until": datetime(2100, 1, 1, tzinfo=UTC)}, "lies in the future; end the period", "until"),
    "begins in the future": (
        {"since": datetime(2100, 1, 1, tzinfo=UTC), "until": datetime(2100, 2, 1, tzinfo=UTC)},
        "since: this lies in the future",
        "since",
    ),
    "no act": ({"acts": ["votes"]}, "“votes” is no act", "acts"),
    "none": ({"n": 0}, "1 to 1,000", None),
    "fewer than none": ({"n": -1}, "n: ", "n"),
    "too many": ({"n": 1001}, "1 to 1,000", None),
    "no seed": ({"seed": "  "}, "seed: ", "seed"),
    "a seed nobody can read": ({"seed": "a\x00b"}, "seed: take out", "seed"),
    "a long seed": ({"seed": "a" * 201}, "seed: ", "seed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_the_field_and_writes_nothing(cast: Cast, name: str) -> None:
    given, words, field = REFUSED[name]
    entries = AuditEvent.objects.count()
    with pytest.raises(InvalidInput, match=words) as raised:
        draw(cast, **given)
    assert raised.value.field == field
    assert (AuditSample.objects.count(), AuditEvent.objects.count()) == (0, entries)


def test_what_is_not_signed_yet_is_no_period(cast: Cast, settings: Any) -> None:
    signed = AuditCheckpoint.objects.get().at
    with pytest.raises(InvalidInput, match=r"the last checkpoint was signed at .* UTC; end the period there"):
        draw(cast, until=signed + timedelta(microseconds=1))
    # An entry of the period that nobody has sealed yet, as of a transaction that took its time.
    with transaction.atomic():
        late = audit.record(action="teams.note", actor=BOOTSTRAP, object=cast.team, summary="Late")
    seals.seal(keys=Path(settings.KEYS), now=timezone.now())
    with pytest.raises(InvalidInput, match="until: the last checkpoint"):
        draw(cast, until=late.at + timedelta(microseconds=1), now=timezone.now())
    assert not AuditSample.objects.exists()


def test_an_entry_of_the_period_that_waits_is_waited_for(cast: Cast, settings: Any) -> None:
    with transaction.atomic():
        audit.record(action="teams.note", actor=BOOTSTRAP, object=cast.team, summary="Begun in time")
        # Beside it another process signs, and cannot see it yet.
        at_once(lambda: seals.seal(keys=Path(settings.KEYS), now=timezone.now() + timedelta(minutes=2)))
    signed = AuditCheckpoint.objects.order_by("-number")[0]
    assert signed.number == 2
    with pytest.raises(InvalidInput, match="1 entry of this period waits for the next checkpoint"):
        draw(cast, until=signed.at, now=signed.at)
    assert draw(cast, acts=["changes.vote"], until=signed.at, now=signed.at).population == 1
    seal(settings, later=timedelta(minutes=4))
    assert draw(cast, until=signed.at, now=signed.at).checkpoint == 3


def test_before_the_first_checkpoint_there_is_nothing_to_draw_from(live_database: Any) -> None:
    cast = make_cast()
    now = timezone.now()
    with pytest.raises(InvalidInput, match="Nothing is sealed yet"):
        audit_samples.draw(acts=[], since=START, until=now, n=1, seed="1", purpose="", by=cast.auditor, now=now)


@pytest.mark.parametrize("who", ["owner", "reviewer", "finance", "integrator", "admin", "stranger"])
def test_who_may_not_draws_nothing(cast: Cast, who: str) -> None:
    entries = AuditEvent.objects.count()
    with pytest.raises(NotPermitted, match="governance lead or auditor"):
        draw(cast, by=cast.people[who])
    assert (AuditSample.objects.count(), AuditEvent.objects.count()) == (0, entries)


def test_an_auditor_of_one_team_does_not_draw_from_all(cast: Cast) -> None:
    with pytest.raises(NotPermitted):
        draw(cast, by=make_person("Local auditor", Role.AUDITOR, cast.team))


def test_the_same_at_once_gives_the_same_twice(cast: Cast) -> None:
    assert at_once(lambda: draw(cast).draws, lambda: draw(cast).draws)[0] is not None
    first, second = AuditSample.objects.all()
    assert (first.draws, first.population) == (second.draws, second.population)
    assert AuditEvent.objects.filter(action="audit_samples.draw").count() == 2


def test_a_crash_leaves_neither_sample_nor_entry(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = AuditEvent.objects.count()
    monkeypatch.setattr(audit, "record", lambda **_given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        draw(cast)
    assert (AuditSample.objects.count(), AuditEvent.objects.count()) == (0, entries)


def test_who_writes_a_row_past_the_verb_gets_what_the_formula_gives(cast: Cast) -> None:
    honest = draw(cast)
    row = AuditSample.objects.filter(pk=honest.pk).values().get()
    forged = AuditSample(**row | {"id": new_id(), "population": 3, "draws": [1, 2, 3], "root": "0" * 64, "size": 9})
    with pytest.raises(IntegrityError, match="without an audit event"):
        forged.save(force_insert=True)
    with transaction.atomic():
        forged.save(force_insert=True)
        audit.record(action="audit_samples.draw", actor=BOOTSTRAP, object=forged, summary="By hand")
    forged.refresh_from_db()
    assert [getattr(forged, name) for name in ("size", "root", "population", "draws")] == [
        *(honest.size, honest.root, honest.population, honest.draws)
    ]
    unsigned: tuple[dict[str, Any], ...] = ({"checkpoint": 9}, {"until": datetime(2100, 1, 1, tzinfo=UTC)})
    for given in unsigned:
        with pytest.raises(IntegrityError, match="no checkpoint"), transaction.atomic():
            AuditSample(**row | {"id": new_id(), **given}).save(force_insert=True)
    against: dict[str, dict[str, Any]] = {
        "auditsample_period": {"since": honest.until},
        "auditsample_n": {"n": 0},
        "auditsample_form": {"seed": ""},
    }
    for words, given in against.items():
        with pytest.raises(IntegrityError, match=words), transaction.atomic():
            AuditSample(**row | {"id": new_id(), **given}).save(force_insert=True)
    assert AuditSample.objects.count() == 2


NEVER = (
    "UPDATE governance_auditsample SET seed = 'other'",
    "DELETE FROM governance_auditsample",
    "TRUNCATE governance_auditsample",
)


def test_nobody_changes_a_sample(cast: Cast, live_database: Any, postgres: Postgres) -> None:
    drawn = draw(cast)
    for statement in NEVER:
        with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as sql:
            sql.execute(statement)
    with psycopg.connect(live_database.migrator_url, autocommit=True) as migrator:
        migrator.execute("SET ROLE smallfirst_audit")
        for statement in NEVER:
            with pytest.raises(psycopg.errors.CheckViolation, match="never"):
                migrator.execute(statement)
    with postgres.connect(live_database.name) as admin:
        admin.execute("SET session_replication_role = replica")
        for statement in NEVER:
            with pytest.raises(psycopg.errors.CheckViolation, match="never"):
                admin.execute(statement)
    assert AuditSample.objects.get() == drawn


def test_every_kind_can_be_drawn(cast: Cast) -> None:
    populations = {name: draw(cast, acts=kind.acts, n=1000).population for name, kind in KINDS.items()}
    assert populations["live"] == populations["votes"] == 1
    assert populations["people"] > 10
    assert sum(populations.values()) < AuditEvent.objects.count()


@pytest.fixture
def forger(live_database: Any) -> Iterator["psycopg.Connection[Any]"]:
    """Someone who owns the audit tables and has put their triggers aside."""
    with psycopg.connect(live_database.migrator_url, autocommit=True) as server:
        server.execute("SET ROLE smallfirst_audit")
        server.execute("ALTER TABLE governance_auditevent DISABLE TRIGGER USER")
        yield server


def test_a_draw_that_was_changed_afterwards_is_marked(forger: "psycopg.Connection[Any]", settings: Any) -> None:
    cast = make_cast()
    # Of entries without a personal part, which would hold them.
    drawn = make_audit_sample(cast, acts=["accounts.grant"])
    leaf = AuditLeaf.objects.get(index=drawn.draws[1])
    client, address = signed_in(cast.auditor), reverse("audit_sample", args=[drawn.pk])
    assert [row["unchanged"] for row in client.get(address).context["rows"]] == [True] * 3
    forger.execute("UPDATE governance_auditevent SET reason = 'By telephone.' WHERE id = %s", [leaf.event_id])
    assert [row["unchanged"] for row in client.get(address).context["rows"]] == [True, False, True]
    forger.execute("DELETE FROM governance_auditevent WHERE id = %s", [leaf.event_id])
    page = client.get(address)
    assert [row["unchanged"] for row in page.context["rows"]] == [True, False, True]
    assert "This entry is gone from the log." in text(page)
