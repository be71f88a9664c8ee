"""Harbour & Vale's own applications: a request every few seconds over the live workflows, for as long as `up` runs.

They are ordinary clients of the gateway with an API key each, and do what a considerate client does: they ask for one
thing at a time, fetch what was decided, and while people have enough cases of theirs to decide they send only what
models answered before, so that a night alone fills no queue.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import httpx2

from demo import texts
from demo.sentence import OTHER_SENTENCES
from demo.texts import Sample

FEEDBACK, SCREEN, LISTENING = "customer-feedback", "message-screen", "social-listening"
# How often a visit is of which application.
OFTEN = {FEEDBACK: 5, LISTENING: 3, SCREEN: 2}
# Seconds between two visits, and between two steps of one run.
BETWEEN_VISITS, BETWEEN_STEPS = (3.0, 7.0), (0.4, 1.2)
# With so many cases of a step open, its application asks for nothing that might become another.
OPEN_AT_MOST = {"sentiment": 6, "reply": 2, "screen": 4}
# In the set every second message is an attack; who writes to a shop attacks seldom.
ATTACKS = 0.1
REPLY = "Write a short and polite reply to this customer. Do not promise money.\n\nCustomer: {text}"
# Two sentences: a draft, and done in time on a machine that has much else to do.
REPLY_TOKENS = 48
# Which model the observed application names itself.
NAMED = "minilm"
FETCHED_AT_ONCE = 4
# Texts that an application remembers as answered by a model.
REMEMBERED = 40
SECONDS = 90.0

_log = logging.getLogger(__name__)


class KeyRefusedError(Exception):
    """The gateway takes a key no longer: it was revoked, or its workflow is retired."""


@dataclass(frozen=True)
class Texts:
    """What is asked about; none of it was seen by a model when it was fitted."""

    comments: Sequence[Sample]
    posts: Sequence[Sample]
    honest: Sequence[Sample]
    attacks: Sequence[Sample]

    @classmethod
    def read(cls, directory: Path) -> "Texts":
        """The texts below the models' directory. Raises FileNotFoundError before they were fetched."""
        messages = texts.unseen_messages(directory)
        return cls(
            comments=texts.unseen_sentences(directory),
            posts=texts.tweets(directory),
            honest=[each for each in messages if each.label == "benign"],
            attacks=[each for each in messages if each.label == "attack"],
        )


@dataclass(frozen=True)
class Desk:
    """What the applications know of their cases: how many of a workflow's step are open, which ended unfetched."""

    waiting: Callable[[str, str], int]
    unfetched: Callable[[str], Iterable[UUID]]


class Applications:
    """The applications of the live workflows, with their keys; `draw` chooses, `pause` waits so many seconds."""

    def __init__(
        self,
        client: httpx2.Client,
        *,
        keys: Mapping[str, str],
        asked: Texts,
        desk: Desk,
        draw: Random,
        pause: Callable[[float], None],
    ) -> None:
        self._client, self._keys, self._texts, self._desk = client, dict(keys), asked, desk
        self._draw, self._pause = draw, pause
        self._answered: dict[str, deque[str]] = {step: deque(maxlen=REMEMBERED) for step in OPEN_AT_MOST}
        # Known to be answered by a model, for a start at which people have enough already.
        self._answered["sentiment"].extend(text for text, model, _label in OTHER_SENTENCES if model != "person")
        self._visits = {FEEDBACK: self._feedback, SCREEN: self._screen, LISTENING: self._listening}

    def run(self) -> None:
        """Visit until no key is taken any more."""
        while self._keys:
            self.visit()
            self._pause(self._draw.uniform(*BETWEEN_VISITS))

    def visit(self) -> str:
        """One application's turn, which is returned: fetch what was decided, then ask. An unreachable gateway is met

        again next time; an application whose key is refused asks no more.
        """
        open_to = list(self._keys)
        slug = self._draw.choices(open_to, [OFTEN[each] for each in open_to])[0]
        try:
            for review in list(self._desk.unfetched(slug))[:FETCHED_AT_ONCE]:
                self._send(slug, "GET", f"/v1/reviews/{review}")
            self._visits[slug]()
        except KeyRefusedError:
            _log.warning("%s: its key is not taken any more", slug)
            del self._keys[slug]
        except httpx2.TransportError as error:
            _log.warning("%s: the gateway did not answer (%s)", slug, type(error).__name__)
        return slug

    def _feedback(self) -> None:
        """A comment comes in: language, sentiment, and for a complaint the draft of a reply, all in one run."""
        text = self._next(FEEDBACK, "sentiment", self._texts.comments)
        if text is None:
            return
        run = f"comment-{UUID(int=self._draw.getrandbits(128), version=4)}"
        self._ask(FEEDBACK, "language", text, run=run)
        self._pause(self._draw.uniform(*BETWEEN_STEPS))
        sentiment = self._ask(FEEDBACK, "sentiment", text, run=run)
        if sentiment == "negative" and self._has_room(FEEDBACK, "reply"):
            self._pause(self._draw.uniform(*BETWEEN_STEPS))
            self._ask(FEEDBACK, "reply", REPLY.format(text=text), run=run, max_tokens=REPLY_TOKENS)

    def _screen(self) -> None:
        some = self._texts.attacks if self._draw.random() < ATTACKS else self._texts.honest
        text = self._next(SCREEN, "screen", some)
        if text is not None:
            self._ask(SCREEN, "screen", text)

    def _listening(self) -> None:
        self._ask(LISTENING, "mention", self._draw.choice(self._texts.posts).text, model=NAMED)

    def _next(self, slug: str, step: str, some: Sequence[Sample]) -> str | None:
        """A text to ask about: any while people have room for one more case, else one that a model answered before."""
        if self._has_room(slug, step):
            return self._draw.choice(some).text
        before = self._answered[step]
        return self._draw.choice(before) if before else None

    def _has_room(self, slug: str, step: str) -> bool:
        return self._desk.waiting(slug, step) < OPEN_AT_MOST[step]

    def _ask(
        self, slug: str, step: str, text: str, *, model: str = "auto", run: str | None = None, **more: Any
    ) -> str | None:
        """Ask for one thing, with more fields of the request; the answer's text, None where there is none."""
        metadata = {"step": step} | ({"run": run} if run else {})
        body = {"model": model, "metadata": metadata, "messages": [{"role": "user", "content": text}]} | more
        answer = self._send(slug, "POST", "/v1/chat/completions", json=body)
        if answer.status_code != httpx2.codes.OK:
            return None
        if step in self._answered and text not in self._answered[step]:
            self._answered[step].append(text)
        said: str = answer.json()["choices"][0]["message"]["content"]
        return said.strip()

    def _send(self, slug: str, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self._keys[slug]}"}
        answer = self._client.request(method, path, headers=headers, timeout=SECONDS, **more)
        # A 403 speaks of one request: it is not allowed, or its review was refused, cancelled or expired.
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            raise KeyRefusedError(slug)
        return answer
