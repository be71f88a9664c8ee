"""What a decision's row holds packed: its numbers in fixed places, and one number for what is alike."""

from typing import Any

import msgspec
import numpy as np
import pytest
from django.utils import timezone

from ledger import decisions, packed
from ledger.models import Decision
from smallfirst import records
from smallfirst.engine import AttemptSignals
from tests.ledger.reports import make_site, raw

BASE: dict[str, Any] = {
    "id": "01a220b8-ead3-726c-80b9-468dcfa02c2a",
    "at": "2026-11-28T09:30:00.000001Z",
    "workflow": "01a220b8-ead3-726c-80b9-468dcfa02c2b",
    "environment": "01a220b8-ead3-726c-80b9-468dcfa02c2c",
    "key": "01a220b8-ead3-726c-80b9-468dcfa02c2d",
    "step": "sentiment",
    "run": "run-1",
    "facts": {"workflow": "01a220b8-ead3-726c-80b9-468dcfa02c2b", "step": "sentiment", "run": "run-1"},
    "signals": {"input_tokens": 100_000_000, "characters": 1_000_000_000, "words": 3, "code": 7},
    "state": {"at": 1_700_000_000_000},
    "snapshot": "ab" * 32,
    "policy_version": None,
    "attempts": [],
    "outcome": "kept",
    "kept_model": "lexicon",
    "tier": "small",
    "review": None,
    "triage": "easy",
}
ATTEMPT: dict[str, Any] = {"rung": 0, "endpoint": "01a220b8-ead3-726c-80b9-468dcfa02c2e", "outcome": "ok"}


def decision(**given: Any) -> records.Decision:
    """A decision as it is reported."""
    return msgspec.convert(BASE | given, records.Decision)


def head(**given: Any) -> Any:
    """The head of one, read as numpy reads it."""
    (found,) = np.frombuffer(packed.head(decision(**given)), dtype=packed.HEAD)
    return found


def test_numbers_come_back_as_they_were() -> None:
    read = head(attempts=[ATTEMPT, ATTEMPT])
    assert [int(read[name]) for name in packed.SIGNALS] == [100_000_000, 1_000_000_000, 3, 0, 0, 0, 7]
    assert int(read["attempts"]) == 2

    told = [
        ATTEMPT | {"confidence": 0.1, "latency_ms": 86_400_000, "output_tokens": 100_000_000},
        ATTEMPT | {"confidence": 0.0, "output_tokens": 0},
        ATTEMPT | {"rung": 1},
    ]
    found = np.frombuffer(packed.attempts(decision(attempts=told)), dtype=packed.ATTEMPT)
    assert found["confidence"].tolist() == [0.1, 0.0, packed.NO_CONFIDENCE]
    assert found["latency_ms"].tolist() == [86_400_000, 0, 0]
    assert found["output_tokens"].tolist() == [100_000_000, 0, packed.NO_TOKENS]
    assert len(set(found["rest"].tolist())) == 1
    assert packed.attempts(decision()) == b""


@pytest.mark.parametrize(
    "other",
    [
        {"facts": BASE["facts"] | {"tags": [["shop", "north"]]}},
        {"facts": BASE["facts"] | {"language": "de"}},
        {"step": "language"},
        {"policy_version": BASE["key"]},
    ],
)
def test_what_a_plan_or_a_gate_may_depend_on_has_another_number(other: dict[str, Any]) -> None:
    assert head(**other)["facts"] != head()["facts"]


def test_the_runs_name_and_the_moment_make_no_difference() -> None:
    other = head(run="run-2", facts=BASE["facts"] | {"run": "run-2"}, state={"at": 5}, at="2026-11-28T09:31:00.000001Z")
    assert (other["facts"], other["state"]) == (head()["facts"], head()["state"])
    assert head(state={"at": 5, "stopped_workflow": True})["state"] != head()["state"]


@pytest.mark.parametrize(
    "other", [{"outcome": "error"}, {"endpoint": BASE["key"]}, {"label": "positive"}, {"stop_reason": "stop"}]
)
def test_attempts_of_another_kind_have_another_number(other: dict[str, Any]) -> None:
    one, another = np.frombuffer(packed.attempts(decision(attempts=[ATTEMPT, ATTEMPT | other])), dtype=packed.ATTEMPT)
    assert one["rest"] != another["rest"]


@pytest.mark.django_db
def test_it_is_stored_with_the_decision() -> None:
    site = make_site()
    sent = site.decision()
    assert decisions.record(batch=raw([sent]), gateway=site.gateway, now=timezone.now()).accepted == 1
    row, wire = Decision.objects.get(), msgspec.convert(sent, records.Decision)
    assert row.packed is not None
    assert row.packed_attempts is not None
    assert (bytes(row.packed), bytes(row.packed_attempts)) == (packed.head(wire), packed.attempts(wire))
    assert isinstance(wire.attempts[0], AttemptSignals)
