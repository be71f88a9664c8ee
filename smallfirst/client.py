"""The SDK: decide in process, under the last policy that people approved, and report what came of it.

    with Smallfirst("https://smallfirst.example", "sf_…", root_key="…", state_dir="/var/lib/shop") as sf:
        d = sf.decide(step="sentiment", messages=messages)
        while d.action == "ask":
            answer = call(d.ask)
            d.next(text=answer.text, confidence=answer.confidence, input_tokens=12, output_tokens=1)
        sf.report(d)

See docs/sdk.md.
"""

import atexit
import os
import time
import weakref
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self
from uuid import UUID

import msgspec

from smallfirst import seal, structs
from smallfirst.cases import REVIEWABLE_BYTES, ReviewRequest, case_of, opened, review_fault, shown
from smallfirst.connection import Connection, Line, clear_of_forks
from smallfirst.deciding import (
    Action,
    Ask,
    Attempt,
    AttemptOutcome,
    Deciding,
    checked,
    facts_of,
    signals_of,
    with_run,
)
from smallfirst.documents import StateKey
from smallfirst.engine import Person, Plan, Signals
from smallfirst.engine.policy import AUTO
from smallfirst.faults import (
    InvalidInput,
    InvalidKey,
    NothingToAsk,
    NotReady,
    NotRecorded,
    ReviewNotTaken,
    ReviewUnknown,
    SmallfirstError,
    StillWaiting,
    log,
    spared,
)
from smallfirst.held import Bundle, GatewayState, Held, Unreachable
from smallfirst.records import WAITING, Delivered, Opened, Standing
from smallfirst.seal import SealError
from smallfirst.spool import Kind
from smallfirst.undecided import Undecided

__all__ = [
    "Action",
    "Ask",
    "Attempt",
    "AttemptOutcome",
    "Deciding",
    "InvalidInput",
    "InvalidKey",
    "NotReady",
    "NotRecorded",
    "NothingToAsk",
    "Opened",
    "ReviewNotTaken",
    "ReviewUnknown",
    "Smallfirst",
    "SmallfirstError",
    "Standing",
    "StillWaiting",
]

BUNDLE_SECONDS: Final = 5.0
STATE_SECONDS: Final = 2.0
ASK_AGAIN: Final = (0.25, 2.0)
AT_EXIT_SECONDS: Final = 5.0
# How long a review may be unknown that another process opened: it lies in that one's spool for seconds.
UNKNOWN_SECONDS: Final = 30.0

WhenExpired = Literal["serve", "refuse"]

_canonical = msgspec.json.Encoder(order="sorted").encode
_open: "weakref.WeakSet[Smallfirst]" = weakref.WeakSet()


class Smallfirst:
    """Decides for one API key. Threads may share one; after a fork, parent and child each go on with theirs."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        root_key: str | None = None,
        state_dir: str | os.PathLike[str] | None = None,
        when_expired: WhenExpired = "serve",
        bundle_seconds: float = BUNDLE_SECONDS,
        state_seconds: float = STATE_SECONDS,
        wait_seconds: float = 10.0,
        raises: bool = False,
    ) -> None:
        """Read what an earlier run kept in `state_dir`, and begin to follow the control plane at `url`.

        `root_key` is the public root key (`./run manage root_key` prints it), else `$SMALLFIRST_ROOT_KEY`; nothing is
        obeyed that it does not stand behind. `state_dir` is else `$SMALLFIRST_SDK_STATE`, else `~/.smallfirst`. The
        seconds are between polls. Where nothing was kept, this waits up to `wait_seconds` for a first answer and goes
        on without one. Raises InvalidInput, and OSError for a directory that cannot be written.

        Once made, it raises nothing: what goes wrong is logged, and a decision refuses and says why. `raises` asks for
        the exceptions that each method names.
        """
        root_key = root_key or os.environ.get("SMALLFIRST_ROOT_KEY", "")
        directory = state_dir or os.environ.get("SMALLFIRST_SDK_STATE") or Path.home() / ".smallfirst"
        if not key.startswith("sf_") or not key.isascii() or not key.isprintable():
            raise InvalidInput("key", "must be an API key, which begins with sf_")
        if when_expired not in ("serve", "refuse"):
            raise InvalidInput("when_expired", "must be serve or refuse")
        for name, seconds in (("bundle_seconds", bundle_seconds), ("state_seconds", state_seconds)):
            if not 0.01 <= seconds <= 3600:
                raise InvalidInput(name, "must be between 0.01 and 3600 seconds")
        try:
            line = Line(url, key)
        except ValueError as error:
            raise InvalidInput("url", str(error)) from None
        try:
            known = len(seal.decode_base64url(root_key)) == seal.SECRET_BYTES
        except SealError:
            known = False
        if not known:
            raise InvalidInput("root_key", "must be the public root key, which `./run manage root_key` prints")
        self._when_expired, self._raises = when_expired, raises
        self._delivered: set[str] = set()
        self._connection = Connection(
            line=line,
            key=key,
            root_key=root_key,
            directory=Path(directory),
            bundle_seconds=bundle_seconds,
            state_seconds=state_seconds,
        )
        _open.add(self)
        self._connection.start()
        documents = self._connection.documents
        if documents.bundle.value is None or documents.state.value is None:
            self._connection.wait_polled(wait_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def decide(
        self,
        *,
        step: str | None = None,
        messages: Sequence[Mapping[str, object]] | None = None,
        signals: Signals | Mapping[str, object] | None = None,
        data_class: str | None = None,
        risk: str | None = None,
        language: str | None = None,
        run: str | None = None,
        tags: Mapping[str, str] | None = None,
        model: str = AUTO,
        max_output_tokens: int | None = None,
        wants_logprobs: bool = False,
        stream: bool = False,
        kind: Literal["chat", "embeddings"] = "chat",
    ) -> Deciding:
        """Decide which model to ask first for one request, from memory: no file is read, nobody is asked.

        `messages` are OpenAI's; the numbers that the policy looks at are read from them, or given as `signals`. Data
        class and risk can only raise what the workflow declares. A `model` other than `auto` is a pin. Raises, if asked
        for, NotReady, InvalidKey, and InvalidInput for a field out of its bounds; else such a decision refuses.
        """
        try:
            return self._decide(
                (step, data_class, risk, language, tags, model, max_output_tokens, wants_logprobs, stream, kind),
                run,
                messages,
                signals,
            )
        except Exception as error:
            if self._raises:
                raise
            spared("decide", error)
            return Undecided(error)

    def _decide(
        self,
        said: tuple[Any, ...],
        run: str | None,
        messages: Sequence[Mapping[str, object]] | None,
        signals: Signals | Mapping[str, object] | None,
    ) -> Deciding:
        """Decide on the facts said, in the order in which `facts_of` takes them."""
        connection = self._connection
        connection.start()
        bundle, key = self._in_force()
        now = datetime.now(UTC)
        if self._when_expired == "refuse" and "expired" in self._ages(now):
            raise NotReady("The control plane has been silent for so long that its last word has expired.")
        return Deciding(
            facts=with_run(facts_of(key, bundle.snapshot.workflows.get(key.workflow), *said), run),
            signals=signals_of(messages, signals),
            state=connection.documents.engine_state(key.workflow, now),
            snapshot=bundle.snapshot,
            environment=bundle.payload.environment.id,
            key=key.id,
            at=now,
            messages=messages,
            review_key=bundle.payload.review_key,
            raises=self._raises,
        )

    def next(self, d: Deciding, **attempt: Any) -> Action:
        """Say what came of the attempt that `d.ask` named, and return what to do now: see `Deciding.next`."""
        return d.next(**attempt)

    def report(
        self, d: Deciding, usage: Mapping[str, object] | None = None, outcome: AttemptOutcome | None = None
    ) -> bool:
        """Report a decision and its attempts. After True they are on disk: a killed process loses nothing of them.

        `usage` and `outcome` are what came of the last attempt, where `next` was not told. A decision that is left
        while a model is still to be asked has failed. Raises, if asked for, InvalidInput for one that a person must
        decide (`ask_person` reports it) or that was reported before, and NotRecorded; else returns False for these.
        """
        try:
            self._report(d, usage, outcome)
        except Exception as error:
            if self._raises:
                raise
            spared("report", error)
            return False
        return d.reported

    def _report(self, d: Deciding, usage: Mapping[str, object] | None, outcome: AttemptOutcome | None) -> None:
        if isinstance(d, Undecided):
            return
        _unreported(d)
        if usage is not None or outcome is not None:
            d.next(**{**(usage or {}), "outcome": outcome or "ok"})
        if isinstance(d.move, Person):
            raise InvalidInput("", f"a person must decide, so ask one with ask_person: {d.why.sentence}")
        self._write(d.records(None))
        d.reported = True

    def ask_person(
        self,
        d: Deciding,
        *,
        messages: Sequence[Mapping[str, object]] | None = None,
        title: str | None = None,
        url: str | None = None,
        context: Sequence[Mapping[str, object]] = (),
        answer: Mapping[str, object] | None = None,
    ) -> Opened | None:
        """Open the review that a decision asks for, and report the decision with it; return it with its id and times.

        The case shows the messages (those given to `decide`, unless said), what the models answered, and what else a
        reviewer needs: `title`, `url`, `context` (a list of `{"label", "text" | "table" | "thread"}`), and in `answer`
        what he fills in, where that differs from the policy's. The same request has the same review. Raises, if asked
        for, InvalidInput where no person is asked, and NotRecorded; else returns None for these.
        """
        added = {"title": title, "url": url, "context": context, "answer": answer}
        try:
            return self._ask_person(d, d.messages if messages is None else messages, added)
        except Exception as error:
            if self._raises:
                raise
            spared("ask_person", error)
            return None

    def _ask_person(self, d: Deciding, seen: Sequence[object] | None, added: Mapping[str, Any]) -> Opened:
        _unreported(d)
        move, plan = d.move, d.plan
        if not isinstance(move, Person) or not isinstance(plan, Plan) or plan.review is None:
            raise InvalidInput("", f"nobody is to be asked: {d.why.sentence}")
        if seen is None:
            raise InvalidInput("messages", "a reviewer has to see the request: give its messages")
        said = {**added, "context": list(added["context"])}
        asked = checked({name: value for name, value in said.items() if value}, ReviewRequest)
        fault = review_fault(asked)
        if fault is not None:
            raise InvalidInput(*fault)
        raw = _encoded({"messages": seen, "facts": msgspec.structs.replace(d.facts, run=None), "review": asked})
        if len(raw) > REVIEWABLE_BYTES:
            raise InvalidInput("messages", f"what a person is shown has at most {REVIEWABLE_BYTES} bytes")
        record = case_of(
            plan,
            move,
            d.facts,
            decision=d.id,
            environment=d.environment,
            key=d.key,
            digest=sha256(raw).digest(),
            asked=asked,
            body=shown(seen, d.answers(), asked),
            review_key=d.review_key,
            now=datetime.now(UTC),
        )
        self._connection.forget_refusal(record.id)
        self._write([*d.records(record.id), ("review", record)])
        d.reported = True
        return opened(record, plan)

    def wait(self, review: Opened | str | None, timeout: float | None = None) -> Standing | None:
        """Wait until a review has ended and return how; its `outcome` holds the answer, None where it was cancelled.

        Without a `timeout` (seconds) it waits until then however long that is; a review always ends, by a person or by
        its expiry. One that the control plane has not known for `UNKNOWN_SECONDS`, while nothing waits here to be
        delivered, is not waited for. Raises, if asked for, StillWaiting, ReviewNotTaken, ReviewUnknown, InvalidKey, and
        NotReady once this is closed; else returns None for these, and for a review that `ask_person` could not open.
        """
        try:
            return self._wait(review, timeout)
        except Exception as error:
            if self._raises:
                raise
            spared("wait", error)
            return None

    def _wait(self, review: Opened | str | None, timeout: float | None) -> Standing:
        review = str(review.id if isinstance(review, Opened) else review)
        try:
            UUID(review)
        except ValueError:
            raise InvalidInput("review", "must be a review, or its id") from None
        self._connection.start()
        deadline = None if timeout is None else time.monotonic() + timeout
        pause, unknown_since = ASK_AGAIN[0], None
        while True:
            standing = self._standing(review)
            if isinstance(standing, Standing) and standing.status not in WAITING:
                self._tell(review)
                return standing
            if standing != "unknown" or self._connection.backlog():
                unknown_since = None
            elif unknown_since is None:
                unknown_since = time.monotonic()
            elif time.monotonic() - unknown_since >= UNKNOWN_SECONDS:
                raise ReviewUnknown(f"The control plane knows no review {review} of this API key.")
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise StillWaiting(f"Nobody has decided on review {review} yet.")
            if self._connection.wait_closing(pause if left is None else min(pause, left)):
                raise NotReady("This Smallfirst is closed.")
            pause = min(pause * 1.5, ASK_AGAIN[1])

    def _standing(self, review: str) -> Standing | Literal["unknown"] | None:
        """How a review stands; "unknown" to the control plane, None while that one says nothing.

        Raises ReviewNotTaken and InvalidKey.
        """
        refusal = self._connection.refusal(review)
        if refusal is not None:
            raise ReviewNotTaken(f"The control plane refused review {review}: {refusal}.")
        try:
            answer = self._connection.line.get(f"/api/v1/reviews/{review}")
        except Unreachable as error:
            log("review.unreachable", review=review, cause=error.cause)
            return None
        if answer.status == 401:
            raise InvalidKey("This API key is unknown or was revoked.")
        if answer.status == 404:
            return "unknown"
        if answer.status != 200:
            return None
        try:
            standing = msgspec.json.decode(answer.body, type=Standing)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            log("review.unreadable_answer", review=review)
            return None
        ended_without = standing.status in ("answered", "expired") and standing.outcome is None
        return None if ended_without else standing

    def _tell(self, review: str) -> None:
        """Record, once in the life of this process, that an outcome has reached its application."""
        if review not in self._delivered:
            self._write([("delivered", Delivered(review=review, at=datetime.now(UTC)))])
            self._delivered.add(review)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until the control plane has all reports; False when it has not within `timeout` seconds."""
        return self._connection.flush(timeout)

    def status(self) -> dict[str, Any]:
        """How it stands with policies and reports, as the gateway's /healthz says it."""
        now, documents = datetime.now(UTC), self._connection.documents
        return {
            "key": "turned away" if self._connection.turned_away else "known" if self._connection.key() else "unknown",
            "bundle": _document(documents.bundle, now),
            "state": _document(documents.state, now),
            "spool": {"waiting_bytes": self._connection.backlog(), "refused_records": self._connection.refused()},
            "upload": {"problem": self._connection.silence},
        }

    def close(self, timeout: float = AT_EXIT_SECONDS) -> None:
        """Deliver what there is within `timeout` seconds and stop; the next run delivers what is left."""
        _open.discard(self)
        self._connection.close(timeout)

    def _in_force(self) -> tuple[Bundle, StateKey]:
        """What to decide by. Raises NotReady and InvalidKey."""
        connection = self._connection
        if connection.closed:
            raise NotReady("This Smallfirst is closed.")
        if connection.turned_away:
            raise InvalidKey("This API key is unknown or was revoked.")
        bundle, state = connection.documents.bundle.value, connection.documents.state.value
        if bundle is None or state is None:
            causes = {held.silence or (held.refusal and held.refusal.cause) for held in self._feeds()}
            known = ", ".join(sorted(str(cause) for cause in causes if cause))
            raise NotReady(f"No policies have come yet{f' ({known})' if known else ''}.")
        key = connection.key()
        if key is None:
            raise InvalidKey("This API key is unknown or was revoked.")
        return bundle, key

    def _feeds(self) -> tuple[Held[Bundle], Held[GatewayState]]:
        return self._connection.documents.bundle, self._connection.documents.state

    def _ages(self, now: datetime) -> list[str]:
        return [held.age(now) for held in self._feeds()]

    def _write(self, records: list[tuple[Kind, object]]) -> None:
        if self._connection.closed:
            raise NotReady("This Smallfirst is closed.")
        self._connection.start()
        try:
            self._connection.write(records)
        except OSError as error:
            log("spool.failed", error=error.errno)
            raise NotRecorded(f"The disk did not take the report: {error}") from error


def _unreported(d: Deciding) -> None:
    if d.reported:
        raise InvalidInput("", "this decision was reported before")


def _encoded(request: Mapping[str, object]) -> bytes:
    try:
        return _canonical(request)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput("messages", f"must be JSON: {error}") from None


def _document(held: Held[Bundle] | Held[GatewayState], now: datetime) -> dict[str, Any]:
    payload = held.value.payload if held.value else None
    return {
        "age": held.age(now),
        "serial": payload.serial if payload else None,
        "issued_at": payload.issued_at if payload else None,
        "expires_at": payload.expires_at if payload else None,
        "problem": held.silence,
        "refused": held.refusal.cause if held.refusal else None,
    }


def _close_all() -> None:
    for client in list(_open):
        client.close()


# An application may make and use its clients in several threads.
structs.prepare()
atexit.register(_close_all)
clear_of_forks(lambda: [client._connection for client in list(_open)])
