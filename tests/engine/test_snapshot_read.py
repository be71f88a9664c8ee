"""Reading a snapshot: what its text must be, and how its rows must fit together."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest

from smallfirst import engine
from smallfirst.engine import SnapshotError
from smallfirst.engine.snapshot import Held, SnapshotDocument
from tests.engine.made import (
    GRAND,
    LEXICON,
    MINILM,
    MINILM_SPARE,
    REGISTRY,
    WORKFLOW,
    ident,
    make_document,
    make_endpoint,
    make_model,
    make_policy,
    make_price,
    make_standard,
    make_step,
)

DOCUMENT = make_document(make_policy())


def changed(**changes: Any) -> SnapshotDocument:
    return msgspec.structs.replace(DOCUMENT, **changes)


def test_a_snapshot_is_read_with_the_digest_of_its_text() -> None:
    text = msgspec.json.encode(DOCUMENT)

    snapshot = engine.read_snapshot(text)

    assert snapshot.digest == sha256(text).hexdigest()
    assert set(snapshot.workflows) == {WORKFLOW}
    assert snapshot.workflows[WORKFLOW].slug == "feedback"
    assert set(snapshot.models) == {"lexicon", "minilm", "grand"}
    assert set(snapshot.endpoints) == set(snapshot.rates) == {LEXICON, MINILM, MINILM_SPARE, GRAND}
    assert [endpoint.id for endpoint in snapshot.served["minilm"]] == [MINILM, MINILM_SPARE]


def test_standards_and_guards_of_a_workflow_may_be_absent_from_the_text() -> None:
    rows = msgspec.to_builtins(DOCUMENT)
    del rows["standards"], rows["workflows"][0]["guards"], rows["workflows"][0]["standards"]

    assert engine.read_snapshot(msgspec.json.encode(rows)).workflows[WORKFLOW].slug == "feedback"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("unheard_of",), 1, "unknown field `unheard_of`"),
        (("workflows", 0, "mode"), "dream", "Invalid enum value 'dream'"),
        (("workflows", 0, "policy", "format"), 2, "Invalid enum value 2"),
        (("workflows", 0, "policy", "steps", 0, "sorcery"), True, "unknown field `sorcery`"),
        (("models", 0, "tier"), "huge", r"\$.models\[0\].tier"),
        (("prices", 0, "input"), "NaN", r"\$.prices\[0\].input"),
        (("prices", 0, "input"), 0.1, r"\$.prices\[0\].input"),
        (("endpoints", 0, "id"), "one", r"\$.endpoints\[0\].id"),
    ],
)
def test_a_clause_that_this_engine_does_not_know_is_refused(place: tuple[Any, ...], value: Any, message: str) -> None:
    rows = msgspec.to_builtins(DOCUMENT)
    row = rows
    for step in place[:-1]:
        row = row[step]
    row[place[-1]] = value

    with pytest.raises(SnapshotError, match=message):
        engine.read_snapshot(msgspec.json.encode(rows))


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_not_a_snapshot_is_refused(text: bytes) -> None:
    with pytest.raises(SnapshotError, match="not a snapshot"):
        engine.read_snapshot(text)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (changed(models=(*REGISTRY.models, make_model("minilm"))), "models: 'minilm' stands twice"),
        (
            changed(endpoints=(*REGISTRY.endpoints, make_endpoint(1, "lexicon"))),
            f"endpoints: '{MINILM}' stands twice",
        ),
        (
            changed(endpoints=(*REGISTRY.endpoints, make_endpoint(9, "gpt5"))),
            "serves 'gpt5', which is no model here",
        ),
        (
            changed(prices=(*REGISTRY.prices, make_price(MINILM, "1", "1"))),
            f"prices: '{MINILM}' stands twice",
        ),
        (
            changed(prices=(make_price(ident(77), "1", "1"),)),
            f"prices: {ident(77)} is no endpoint here",
        ),
        (changed(workflows=DOCUMENT.workflows * 2), f"workflows: '{WORKFLOW}' stands twice"),
        (changed(standards=(make_standard(),) * 2), "standards: .* stands twice"),
        (
            changed(workflows=(msgspec.structs.replace(DOCUMENT.workflows[0], standards=(Held(standard=ident(77)),)),)),
            f"feedback holds to standard {ident(77)}, which is none here",
        ),
    ],
)
def test_rows_that_do_not_fit_together_are_refused(document: SnapshotDocument, message: str) -> None:
    with pytest.raises(SnapshotError, match=message):
        engine.compile_snapshot(document, digest="")


def test_prices_are_exact_per_token() -> None:
    price = make_price(LEXICON, "0.0000000001", "9999999999.9999999999", cache_read="0")

    rates = engine.compile_snapshot(changed(prices=(price,)), digest="").rates[LEXICON]

    assert (str(rates.input), str(rates.output)) == ("1E-16", "9999.9999999999999999")
    assert rates.cache_read is not None
    assert rates.cache_read == 0
    assert rates.cache_write is None


def test_a_workflow_without_a_known_model_is_still_read() -> None:
    """A model may be retired while a policy names it; its rung is then left out, and nothing else stops."""
    document = changed(models=(), endpoints=(), prices=())

    assert engine.compile_snapshot(document, digest="").workflows[WORKFLOW].steps["sentiment"].step == make_step()
