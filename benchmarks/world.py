"""What a gateway is measured with: a policy of twenty rules, three models, and the documents signed for them."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import uuid_utils

from smallfirst import seal
from smallfirst.origins import origin_of

# Rising tier; the price is USD for a million tokens in and out.
MODELS = (("small", "small", "0.05", "0.20"), ("mid", "mid", "0.50", "1.50"), ("big", "frontier", "3.00", "15.00"))
RULES = 20
QUESTION = (
    "I ordered two desk lamps last Monday and one of them came with a cracked shade. I have sent it back with the "
    "label that was in the parcel, and the tracking says it reached you three days ago. I have heard nothing since. "
    "Could you tell me whether the lamp has been checked, when I get the money back, and on which card it will arrive? "
    "The other lamp works well, but its cable is shorter than your page says: 1.2 m instead of 1.8 m. Is that a fault, "
    "or is the page wrong? I would like to keep it if you can send a longer cable. My order number is 4471-2093, "
    "and you can reach me in the evening. Please do not call during the day, because I am at work and cannot answer. "
    "A short message is fine as well; I read them all on my way home."
)
SYSTEM = (
    "You answer customers of a shop for lamps and furniture. Answer in the language of the customer, in at most five "
    "sentences, politely and without promises that the shop has not made."
)


def question(model: str, *, stream: bool = False) -> str:
    """A chat request of about 1 KB that asks for a model."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    more = {"stream": True} if stream else {}
    return json.dumps({"model": model, "messages": messages, "max_completion_tokens": 400, **more})


def document(
    *, rules: int = RULES, gated: bool = True, max_cost: str | None = None, hard: bool = False
) -> dict[str, Any]:
    """A policy: rules with four conditions each, guards, and a ladder whose answers must have come to their end.

    ``gated`` False leaves the gate out, so that a stream passes as it comes. Of the rules most fail at their first or
    second condition, as rules for other steps and classes do, and the last one fires for the requests of ``question``;
    ``hard``: each is looked at to its last condition, and every fifth fires and narrows what may be used.
    """
    step: dict[str, Any] = {
        "name": "*",
        "ladder": [{"model": name} for name, *_ in MODELS],
        "limits": {"max_output_tokens": 500, "deadline_ms": 20_000},
    }
    if gated:
        step |= {"gate": {"stop_reasons": ["stop"]}, "start": {"easy": "small", "medium": "small", "hard": "small"}}
    return {
        "format": 1,
        "pin": "replace",
        "guards": {"regions": ["local"], "licences": ["Apache-2.0"], "max_cost": max_cost},
        "steps": [step],
        "rules": [_hard_rule(number) if hard else _rule(number, last=number == rules - 1) for number in range(rules)],
    }


def _rule(number: int, *, last: bool) -> dict[str, Any]:
    size = {"type": "input_tokens", "at_least": 10, "at_most": 5_000 + number}
    length = {"type": "signal", "name": "characters", "at_least": 100 + number}
    grave = [{"type": "data_class", "at_least": "confidential"}, {"type": "risk", "at_least": "high"}]
    usual = [{"type": "risk", "at_least": "minimal"}, {"type": "data_class", "at_least": "public"}]
    first: list[dict[str, Any]]
    then: dict[str, Any] = {"guards": {"hosting": ["self"]}}
    if last or number % 3 == 1:
        first = usual if last else grave
    elif number % 3 == 0:
        first = [{"type": "step", "is": ["answer", "summarise"]}, {"type": "language", "is": [f"l{number}", "it"]}]
        then = {"start": "mid"}
    else:
        first = [{"type": "tag", "name": "desk", "is": [f"desk-{number}"]}, {"type": "risk", "at_least": "limited"}]
        then = {"start": "frontier"}
    return {"name": f"rule {number}", "when": [*first, size, length], "then": then}


def _hard_rule(number: int) -> dict[str, Any]:
    last = (
        {"type": "signal", "name": "characters", "at_least": 100 + number}
        if number % 5 == 4
        else {"type": "tag", "name": "desk", "is": [f"desk-{number + 100}", "all"]}
    )
    return {
        "name": f"rule {number}",
        "when": [
            {"type": "data_class", "at_least": "public"},
            {"type": "risk", "at_least": "limited" if number % 2 else "minimal"},
            {"type": "input_tokens", "at_least": 10, "at_most": 5_000 + number},
            last,
        ],
        "then": {"guards": {"data_class": "internal", "hosting": ["self"]}},
    }


def new_id() -> str:
    """A fresh UUIDv7."""
    return str(uuid_utils.uuid7())


def snapshot(policies: dict[str, dict[str, Any]], models_url: str) -> dict[str, Any]:
    """A snapshot with one workflow for each policy, by slug, and the three models served at an address."""
    endpoints = {name: new_id() for name, *_ in MODELS}
    shared = {"hosting": "self", "context_tokens": 128_000, "licence": "Apache-2.0", "regions": ["local"]}
    return {
        "workflows": [
            {
                "id": new_id(),
                "slug": slug,
                "mode": "enforce",
                "risk": "limited",
                "data_class": "internal",
                "policy_version": {"id": new_id(), "number": 1},
                "policy": policy,
            }
            for slug, policy in policies.items()
        ],
        "models": [
            {"id": new_id(), "name": name, "version": "1", "tier": tier, "data_classes": ["public", "internal"]}
            | shared
            for name, tier, *_ in MODELS
        ],
        "endpoints": [
            {
                "id": endpoints[name],
                "model": name,
                "provider": "local",
                "url": models_url,
                "upstream_model": name,
                "region": "local",
                "hosting": "self",
                "secret": "env:MODELS_KEY",
                "logprobs": True,
                "timeout_ms": 20_000,
                "order": 1,
            }
            for name, *_ in MODELS
        ],
        "prices": [
            {"endpoint": endpoints[name], "currency": "USD", "input": price_in, "output": price_out}
            | {"cache_read": None, "cache_write": None}
            for name, _, price_in, price_out in MODELS
        ],
    }


@dataclass(frozen=True)
class World:
    """Signed documents in a directory, the key to believe them by, and an application's token by workflow slug.

    `models` is the origin of the models' server.
    """

    directory: Path
    root_key: str
    tokens: dict[str, str]
    models: str


def sign(directory: Path, policies: dict[str, dict[str, Any]], models_url: str) -> World:
    """Write a bundle and a state for these policies, signed as a control plane signs them, and good for a day."""
    root, signing, review = seal.new_secret(), seal.new_secret(), seal.new_secret()
    now = datetime.now(UTC)
    certificate = seal.issue_certificate(
        root,
        key_id="benchmark",
        public_key=seal.signing_public_key(signing),
        not_before=now - timedelta(hours=1),
        not_after=now + timedelta(days=1),
    )
    content = snapshot(policies, models_url)
    text = json.dumps(content)
    environment = new_id()
    tokens = {slug: f"sf_{slug}_{uuid_utils.uuid4().hex}" for slug in policies}
    head = {"format": 1, "serial": 1, "issued_at": now.isoformat(), "expires_at": (now + timedelta(days=1)).isoformat()}
    bundle = head | {
        "environment": {"id": environment, "name": "production"},
        "review_key": seal.box_public_key(review),
        "requires": [],
        "digest": sha256(text.encode()).hexdigest(),
        "snapshot": text,
    }
    keys = [
        {"id": new_id(), "sha256": sha256(tokens[row["slug"]].encode()).hexdigest(), "workflow": row["id"]}
        for row in content["workflows"]
    ]
    state = head | {
        "environment": environment,
        "keys": keys,
        "stops": {"models": [], "endpoints": [], "workflows": []},
    }
    purposes: tuple[tuple[seal.Purpose, dict[str, Any]], ...] = (("bundle", bundle), ("state", state))
    for purpose, payload in purposes:
        envelope = seal.sign_envelope(
            json.dumps(payload), purpose=purpose, certificate=certificate, signing_secret=signing
        )
        (directory / f"{purpose}.json").write_bytes(envelope)
    return World(directory, seal.signing_public_key(root), tokens, origin_of(models_url))
