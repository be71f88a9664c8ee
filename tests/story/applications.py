"""Applications that go on asking whatever dies around them, and remember what each request was told."""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Self
from uuid import UUID, uuid4

import httpx2

from demo.sentence import OTHER_SENTENCES

APPLICATIONS = 4
GATED = "sentiment"
# A step without a gate, which the demo does not have: its streams are passed on as they come.
UNGATED = "topic"


@dataclass(frozen=True)
class Told:
    """What the head of an answer said that came whole; `cost` is missing where the head left before it was known."""

    status: int
    decision: UUID
    attempts: int
    cost: Decimal | None
    review: str | None

    @property
    def again(self) -> bool:
        """Whether it only says how a review stands that the same request had opened before."""
        return self.review is not None and self.attempts == 0


@dataclass(frozen=True)
class Sent:
    """A request as it was sent once, under a run of its own. `cut`: it was sent, and its answer did not come whole."""

    run: str
    text: str
    step: str
    stream: bool
    told: Told | None = None
    cut: bool = False


class Applications:
    """Send one request after the other while entered, and again whatever was not answered.

    `sent` has them all; `odd` has answers that an application which did nothing wrong must not get.
    """

    def __init__(self, gateway: str, key: str) -> None:
        self.sent: list[Sent] = []
        self.odd: list[str] = []
        headers = {"Authorization": f"Bearer {key}"}
        self._client = httpx2.Client(base_url=gateway, headers=headers, timeout=60, trust_env=False)
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on, args=[number]) for number in range(APPLICATIONS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def wait_for(self, answers: int) -> None:
        """Wait until so many more requests have been answered."""
        before = self._answered()
        wait(lambda: self._answered() >= before + answers, "the gateway does not answer")

    def _answered(self) -> int:
        return sum(1 for one in list(self.sent) if one.told)

    def _ask_on(self, number: int) -> None:
        """Each kind of request in turn, gated and not, plain and streamed; each application begins at another."""
        kinds = list(itertools.product(OTHER_SENTENCES, (GATED, UNGATED), (False, True)))
        begin = number * len(kinds) // APPLICATIONS
        for (sentence, _model, _label), step, stream in itertools.cycle(kinds[begin:] + kinds[:begin]):
            text = f"{sentence} (order {uuid4().hex[:12]})"
            answered = False
            while not answered:
                if self._stopping.is_set():
                    return
                answered = self._ask(Sent(str(uuid4()), text, step, stream))

    def _ask(self, sent: Sent) -> bool:
        """Send it, note what came of it, and say whether it was answered."""
        body = {
            "model": "auto",
            "messages": [{"role": "user", "content": sent.text}],
            "metadata": {"step": sent.step, "run": sent.run},
            "stream": sent.stream,
        }
        try:
            answer = self._client.post("/v1/chat/completions", json=body)
        except httpx2.TransportError as error:
            self.sent.append(replace(sent, cut=not isinstance(error, httpx2.ConnectError)))
            self._stopping.wait(0.05)
            return False
        whole = answer.status_code == 200 and (not sent.stream or answer.text.endswith("data: [DONE]\n\n"))
        if not whole and answer.status_code != 422:
            self.odd.append(answer.text)
        self.sent.append(replace(sent, told=_told(answer)))
        return True


def _told(answer: httpx2.Response) -> Told:
    said = {name: answer.headers.get(f"x-smallfirst-{name}") for name in ("cost", "review")}
    return Told(
        status=answer.status_code,
        decision=UUID(answer.headers["x-smallfirst-decision"]),
        attempts=int(answer.headers["x-smallfirst-attempts"]),
        cost=Decimal(said["cost"]) if said["cost"] else None,
        review=said["review"],
    )


def wait(holds: Callable[[], bool], otherwise: str) -> None:
    """Wait up to two minutes."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
