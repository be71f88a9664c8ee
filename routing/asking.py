"""Asking a gateway from here, with a key of the control plane's own: to try a request, to evaluate a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from governance.models import Environment


class NotReached(Exception):
    """No gateway answered; the text says which address and why."""


@dataclass(frozen=True)
class Answer:
    """What a gateway answered: the status, the body's JSON, and its x-smallfirst headers without that prefix."""

    status: int
    body: dict[str, Any]
    said: Mapping[str, str]


def ask(environment: Environment, *, token: str, body: Mapping[str, Any], seconds: float) -> Answer:
    """Send a chat request to an environment's gateway and return its answer, whatever its status. Raises NotReached."""
    if not environment.gateway_url:
        raise NotReached(f"No gateway of {environment.name} is known: name its address first.")
    url = f"{environment.gateway_url}/v1/chat/completions"
    try:
        with httpx2.Client(timeout=seconds, trust_env=False) as client:
            answer = client.post(url, json=body, headers={"Authorization": f"Bearer {token}"})
        read = answer.json()
    except (httpx2.HTTPError, ValueError) as error:
        why = str(error) or type(error).__name__
        raise NotReached(f"The gateway at {environment.gateway_url} did not answer: {why}.") from error
    if not isinstance(read, dict):
        raise NotReached(f"What answers at {environment.gateway_url} is no gateway.")
    prefix = "x-smallfirst-"
    said = {name[len(prefix) :]: value for name, value in answer.headers.items() if name.startswith(prefix)}
    return Answer(answer.status_code, read, said)
