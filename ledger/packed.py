"""A decision's numbers as bytes of fixed places, so that a million of them are read as columns, without any JSON.

The head holds its signals, and numbers for its facts and its state: equal ones have equal numbers, but for the run's
name and the moment, on which nothing that is decided depends. They only say which are alike; what they are stands in
the row itself. Each attempt follows with its own numbers, and one for the rest of it.

The numbers are 64 bits of a BLAKE2b: that two of a million different ones are the same has a chance under 1 in 10^7.
"""

import struct
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np

from smallfirst.records import Decision

SIGNALS = ("input_tokens", "characters", "words", "sentences", "questions", "digits", "code")
# As struct and as numpy have it: little-endian, nothing between.
HEAD = np.dtype([("facts", "<i8"), ("state", "<i8"), ("attempts", "<i4"), *((name, "<i4") for name in SIGNALS)])
ATTEMPT = np.dtype([("rest", "<i8"), ("confidence", "<f8"), ("latency_ms", "<i4"), ("output_tokens", "<i4")])
# An attempt without a confidence has one below all, one without known tokens has fewer than none.
NO_CONFIDENCE, NO_TOKENS = -1.0, -1

_HEAD, _ATTEMPT = struct.Struct(f"<qqi{len(SIGNALS)}i"), struct.Struct("<qdii")
_encode = msgspec.json.Encoder().encode


def head(decision: Decision) -> bytes:
    """Return one HEAD. What was looked for in answers depends on step and policy, so these are told apart as well."""
    read = decision.signals
    facts = msgspec.structs.replace(decision.facts, run=None)
    return _HEAD.pack(
        _number((decision.step, decision.policy_version, facts)),
        _number(msgspec.structs.replace(decision.state, at=0)),
        len(decision.attempts),
        *(getattr(read, name) for name in SIGNALS),
    )


def attempts(decision: Decision) -> bytes:
    """Return an ATTEMPT for each attempt in turn."""
    return b"".join(
        _ATTEMPT.pack(
            _number((each.endpoint, each.outcome, each.label, each.stop_reason)),
            NO_CONFIDENCE if each.confidence is None else each.confidence,
            each.latency_ms,
            NO_TOKENS if each.output_tokens is None else each.output_tokens,
        )
        for each in decision.attempts
    )


def _number(value: Any) -> int:
    return int.from_bytes(blake2b(_encode(value), digest_size=8).digest(), "little", signed=True)
