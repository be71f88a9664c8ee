"""Stamps: no write goes unnoticed, and nothing is read across one."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import time_machine
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance import accounts, changes, registry, workflows
from governance.models import Change, Content, Model, PolicyVersion, Team
from routing import snapshots, stamps, states
from routing.stamps import UnsettledError
from tests.cast import (
    Cast,
    approve,
    make_cast,
    make_change,
    make_exceptions,
    make_key,
    make_live,
    make_model,
    make_provider,
    make_standard,
)

# Versions and contents never change; which of them count stands in their heads.
NARROW = {"models": ["lexicon", "tf-idf"]}
NEVER_CHANGED = {PolicyVersion._meta.db_table, Content._meta.db_table}


def snapshot_stamp() -> str:
    """The stamp of what bundles are made of."""
    return snapshots.stamp(now=timezone.now())


def state_stamp() -> str:
    """The stamp of what states are made of."""
    return stamps.read(states.TABLES, now=timezone.now())


def activate(cast: Cast) -> None:
    """Make another threshold live."""
    changes.activate(change=approve(make_change(cast, 0.5), cast.owner), by=cast.lead)


def standing(cast: Cast, change: Change) -> None:
    """Make a standard or an exception live."""
    changes.activate(change=approve(change, cast.lead), by=cast.lead)


def add_model(cast: Cast) -> None:
    """Register a model and serve it."""
    make_model("minilm", "mid", cast.owner, cast.team, make_provider("other"), cast.production)


def add_version(cast: Cast) -> None:
    """Replace a model's version."""
    registry.add_version(
        model=cast.models[0], version="2", context_tokens=10, data_classes=["public"], regions=["eu"], by=cast.lead
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("act", "stamp"),
    [
        (activate, snapshot_stamp),
        (add_model, snapshot_stamp),
        (add_version, snapshot_stamp),
        (lambda cast: workflows.retire(workflow=cast.workflow, reason="done", by=cast.lead), snapshot_stamp),
        (lambda cast: workflows.retire(workflow=cast.workflow, reason="done", by=cast.lead), state_stamp),
        (lambda cast: standing(cast, make_standard(cast, guards=NARROW)), snapshot_stamp),
        (lambda cast: Team.objects.filter(pk=cast.team.pk).update(name="Customers"), snapshot_stamp),
        (make_key, state_stamp),
        (
            lambda cast: accounts.revoke_key(key=make_key(cast)[0], reason="lost", by=cast.lead),
            state_stamp,
        ),
    ],
)
def test_an_act_changes_the_stamp(act: Callable[[Cast], object], stamp: Callable[[], str]) -> None:
    cast = make_cast()
    make_live(cast)
    before = stamp()
    assert stamp() == before

    act(cast)

    assert stamp() != before


@pytest.mark.django_db
def test_the_stamp_moves_when_the_last_day_of_an_exception_is_over() -> None:
    """No row is written then."""
    cast = make_cast()
    make_live(cast)
    standing(cast, make_standard(cast, guards=NARROW))
    standing(cast, make_exceptions(cast, "guards.models"))
    today = timezone.now()
    with time_machine.travel(today + timedelta(days=29), tick=False):
        before = snapshot_stamp()
    with time_machine.travel(today + timedelta(days=30), tick=False):
        assert snapshot_stamp() == before
    with time_machine.travel(today + timedelta(days=31), tick=False):
        assert snapshot_stamp() != before


@pytest.mark.django_db
def test_a_row_that_gets_its_old_value_back_still_changes_the_stamp() -> None:
    """Else a document read in between would pass for one of before and after."""
    cast = make_cast()
    before = snapshot_stamp()
    for title in ("Another", cast.models[0].title):
        Model.objects.filter(pk=cast.models[0].pk).update(title=title)
    assert snapshot_stamp() != before


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("make", "tables"),
    [
        (lambda cast: snapshots.make(cast.production, now=timezone.now()), snapshots.TABLES),
        (lambda cast: states._content(cast.production), states.TABLES),
    ],
    ids=["snapshot", "state"],
)
def test_every_table_that_is_read_is_stamped(
    make: Callable[[Cast], object], tables: dict[type[models.Model], str]
) -> None:
    cast = make_cast()
    make_live(cast)
    standing(cast, make_standard(cast, guards=NARROW))
    standing(cast, make_exceptions(cast, "guards.models"))
    with CaptureQueriesContext(connection) as queries:
        make(cast)
    read = set(re.findall(r'(?:FROM|JOIN) "(\w+)"', " ".join(query["sql"] for query in queries)))
    assert read
    assert read - {table._meta.db_table for table in tables} <= NEVER_CHANGED


def given(*values: str) -> Callable[[], str]:
    """Stamps that come one after the other."""
    left: Iterator[str] = iter(values)
    return lambda: next(left)


def test_what_was_read_while_the_rows_held_still_is_taken() -> None:
    assert stamps.settled(given("only"), given("a", "a")) == ("only", "a")


def test_what_was_read_across_a_write_is_read_again() -> None:
    assert stamps.settled(given("torn", "torn too", "whole"), given("a", "b", "c", "c")) == ("whole", "c")


def test_rows_that_never_hold_still_give_nothing() -> None:
    with pytest.raises(UnsettledError):
        stamps.settled(given(*"torn" * stamps.TRIES), given(*map(str, range(stamps.TRIES + 1))))
