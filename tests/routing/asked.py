"""Requests as a gateway has them decided and reports them: by the one engine, under the environment's own snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.utils import timezone

from governance import accounts, changes
from governance.models import ApiKey
from ledger import decisions, rollups
from ledger.models import Decision
from routing import snapshots
from routing.models import Snapshot
from smallfirst import engine
from smallfirst.engine import AttemptSignals, Climb, Facts, Person, Plan, Refusal, Signals, State
from smallfirst.records import moment_text
from tests import cast as casting
from tests.ledger.reports import BERLIN, Site, make_site, new_id

# How sure a model is of "positive", or what went wrong.
Answer = float | Literal["error", "timeout", "aborted", "refused"]


@dataclass(frozen=True)
class Shop:
    """A site whose policy is live: lexicon, tf-idf, smollm2, each kept from 0.8, then a person."""

    site: Site

    @property
    def cast(self) -> casting.Cast:
        """Who plays."""
        return self.site.cast

    def ask(self, *answers: Answer, at: datetime | None = None, charged: bool = True, **facts: Any) -> Decision:
        """Have a request decided that gets these answers in turn; report it, its attempts and its case, and charge."""
        when = at or timezone.now()
        record = self.decide(*answers, at=when, **facts)
        self.send(record, at=when)
        self.report(record, at=when)
        if charged:
            rollups.fold_all(zone=BERLIN)
        return Decision.objects.for_list().get(pk=record.id)

    def decide(self, *answers: Answer, at: datetime, **given: Any) -> engine.Decision:
        """What a gateway decides; where a person is asked, his case waits."""
        key = self.site.key
        content = snapshots.make(self.cast.production, now=at)
        Snapshot.objects.get_or_create(digest=content.digest, defaults={"text": content.text})
        snapshot = engine.read_snapshot(content.text.encode())
        facts = Facts(**({"workflow": str(self.cast.workflow.pk), "step": "sentiment"} | given))
        signals, state = Signals(input_tokens=12, words=9), State(at=int(at.timestamp() * 1000))
        planned, decision = engine.plan(facts, signals, state, snapshot), new_id(at)
        made, review = _walk(planned, answers), None
        if isinstance(planned, Plan) and isinstance(engine.next(planned, made), Person):
            review = str(casting.make_review(key, decision=UUID(decision)).pk)
        return engine.conclude(
            planned,
            made,
            id=decision,
            at=moment_text(at),
            environment=str(self.cast.production.pk),
            key=str(key.pk),
            facts=facts,
            signals=signals,
            state=state,
            snapshot=content.digest,
            review=review,
        )

    def send(self, record: engine.Decision, *, at: datetime) -> None:
        """Report a decision."""
        sent = [msgspec.Raw(engine.encode(record))]
        assert decisions.record(batch=sent, gateway=self.site.gateway, now=at).refused == ()

    def report(self, record: engine.Decision, *, at: datetime) -> None:
        """Report the attempts of a decision: 1,000 tokens in and 500 out each."""
        models = {str(self.site.endpoint(place).pk): place for place in range(len(self.cast.models))}
        events = []
        for number, attempt in enumerate(record.attempts):
            last = number == len(record.attempts) - 1
            event = self.site.event(
                at,
                models[attempt.endpoint],
                decision=record.id,
                attempt=number,
                run=record.run,
                outcome=attempt.outcome,
                kept=record.outcome == "kept" and last,
                latency_ms=attempt.latency_ms,
            )
            if attempt.outcome != "ok":
                event |= {"http_status": 503, "error": "overloaded", "output_tokens": None}
            events.append(event)
        if events:
            assert self.site.report(events, at).refused == ()

    def measuring(self) -> "Shop":
        """The same, asked by the key with which models are measured."""
        key, _token = accounts.own_key(
            workflow=self.cast.workflow,
            environment=self.cast.production,
            purpose=ApiKey.Purpose.EVALUATION,
            by=self.cast.lead,
        )
        return Shop(replace(self.site, key=key))

    def watch(self) -> None:
        """Have the policy only watched from now on."""
        change = changes.propose(
            workflow=self.cast.workflow,
            environment=self.cast.production,
            document=casting.make_document(0.7),
            title="Only watch",
            note="",
            mode="observe",
            by=self.cast.integrator,
        )
        changes.activate(change=casting.approve(change, self.cast.owner), by=self.cast.lead)


def make_shop() -> Shop:
    """A shop that nobody asked anything yet; each attempt costs USD 0.006."""
    site = make_site()
    for place in range(3):
        site.price(place)
    casting.make_live(site.cast)
    return Shop(site)


def _walk(planned: Plan | Refusal, answers: Sequence[Answer]) -> list[AttemptSignals]:
    """The attempts that the engine asks for, with these answers."""
    made: list[AttemptSignals] = []
    said = iter(answers)
    while isinstance(planned, Plan) and isinstance(move := engine.next(planned, made), Climb):
        answer = next(said)
        facts: dict[str, Any] = {"rung": move.rung, "endpoint": move.endpoint, "latency_ms": 20}
        if isinstance(answer, str):
            facts["outcome"] = answer
        else:
            facts |= {"outcome": "ok", "confidence": answer, "label": "positive", "stop_reason": "stop"}
            facts["output_tokens"] = 500
        made.append(AttemptSignals(**facts))
    assert next(said, None) is None, "more answers than the ladder asks for"
    return made
