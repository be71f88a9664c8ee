"""Asking a gateway from here, with a key of the control plane's own: to try a request, to evaluate a model."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx2

from governance.models import Environment


class NotReached(Exception):
    """No gateway answered; the text says which address and why."""


class TooSlow(NotReached):
    """The gateway was reached and did not answer in time."""


@dataclass(frozen=True)
class Answer:
    """What a gateway answered: the status, the body's JSON, and its x-smallfirst headers without that prefix."""

    status: int
    body: dict[str, Any]
    said: Mapping[str, str]


class Line:
    """An open line to one gateway; several threads may ask over it at a time."""

    def __init__(self, url: str, client: httpx2.Client) -> None:
        self._url = url
        self._client = client

    def ask(self, *, token: str, body: Mapping[str, Any]) -> Answer:
        """Send a chat request and return the gateway's answer, whatever its status. Raises NotReached and TooSlow."""
        return self._say("POST", "/v1/chat/completions", token=token, body=body)

    def review(self, review: UUID, *, token: str) -> Answer:
        """Ask how a review of this key stands, as its application does. Raises NotReached and TooSlow."""
        return self._say("GET", f"/v1/reviews/{review}", token=token, body=None)

    def _say(self, method: str, path: str, *, token: str, body: Mapping[str, Any] | None) -> Answer:
        headers = {"Authorization": f"Bearer {token}"}
        try:
            answer = self._client.request(method, f"{self._url}{path}", json=body, headers=headers)
            read = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            why = str(error) or type(error).__name__
            kind = TooSlow if isinstance(error, httpx2.ReadTimeout) else NotReached
            raise kind(f"The gateway at {self._url} did not answer: {why}.") from error
        if not isinstance(read, dict):
            raise NotReached(f"What answers at {self._url} is no gateway.")
        prefix = "x-smallfirst-"
        said = {name[len(prefix) :]: value for name, value in answer.headers.items() if name.startswith(prefix)}
        return Answer(answer.status_code, read, said)


@contextmanager
def line(environment: Environment, *, seconds: float) -> Iterator[Line]:
    """Open a line to an environment's gateway; each answer may take so many seconds. Raises NotReached for no address.

    Opening one takes longer than a small model's answer: who asks much asks over one line.
    """
    if not environment.gateway_url:
        raise NotReached(f"No gateway of {environment.name} is known: name its address first.")
    with httpx2.Client(timeout=seconds, trust_env=False) as client:
        yield Line(environment.gateway_url, client)


def ask(environment: Environment, *, token: str, body: Mapping[str, Any], seconds: float) -> Answer:
    """Send one chat request to an environment's gateway and return its answer. Raises NotReached and TooSlow."""
    with line(environment, seconds=seconds) as opened:
        return opened.ask(token=token, body=body)


def review(environment: Environment, *, token: str, review: UUID, seconds: float) -> Answer:
    """Ask an environment's gateway how a review of this key stands. Raises NotReached and TooSlow."""
    with line(environment, seconds=seconds) as opened:
        return opened.review(review, token=token)
