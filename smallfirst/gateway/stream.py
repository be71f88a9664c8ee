"""Streams to the caller: chunks of a model passed on as they come, and a whole answer retold in chunks."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Raw

from smallfirst.gateway.upstream import MISSING, AttemptFailed, Usage, model_name, read_usage
from smallfirst.gateway.wire import encode

DONE: Final = b"data: [DONE]\n\n"

_fields_decoder = msgspec.json.Decoder(dict[str, Raw])


class _Finish(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None


_finishes_decoder = msgspec.json.Decoder(list[_Finish])


def event(data: bytes) -> bytes:
    """One server-sent event."""
    return b"data: " + data + b"\n\n"


class Relay:
    """Passes a model's chunks on under its registered name, and reads from them what the records need.

    Usage is always asked for; the caller gets it only when he asked too.
    """

    def __init__(self, *, model: str, include_usage: bool) -> None:
        self._model = Raw(encode(model))
        self._include_usage = include_usage
        self.usage: Usage = MISSING
        self.model_served: str | None = None
        self.finish_reason: str | None = None
        self.finished = False

    def chunk(self, data: bytes) -> bytes | None:
        """The event for the caller, or None when this one is not for him; raise AttemptFailed for a broken stream."""
        try:
            fields = _fields_decoder.decode(data)
            finishes = _finishes_decoder.decode(fields.get("choices", Raw(b"[]")))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise AttemptFailed("error", "not_a_chunk", status=200) from None
        if "error" in fields:
            raise AttemptFailed("error", "error_in_stream", status=200)
        if self.model_served is None and "model" in fields:
            self.model_served = model_name(fields["model"])
        for finish in finishes:
            if finish.finish_reason is not None:
                self.finished = True
                if finish.index == 0:
                    self.finish_reason = finish.finish_reason
        usage = fields.get("usage")
        if usage is not None and bytes(usage) != b"null":
            self.usage = read_usage(usage)
            if not finishes and not self._include_usage:
                return None
        if not self._include_usage:
            fields.pop("usage", None)
        fields["model"] = self._model
        return event(encode(fields))


def retold(completion: dict[str, Any], *, include_usage: bool) -> Iterator[bytes]:
    """Tell a whole completion as chunks: for each choice its message, then why it ended; then usage, and `[DONE]`."""
    chunk = {name: value for name, value in completion.items() if name not in ("choices", "usage", "object")}
    chunk["object"] = "chat.completion.chunk"
    if include_usage:
        chunk["usage"] = None
    for index, choice in enumerate(completion["choices"]):
        delta = dict(choice["message"])
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(delta["tool_calls"])]
        said = {"index": index, "delta": delta, "logprobs": choice.get("logprobs"), "finish_reason": None}
        ended = {"index": index, "delta": {}, "logprobs": None, "finish_reason": choice.get("finish_reason")}
        yield event(encode(chunk | {"choices": [said]}))
        yield event(encode(chunk | {"choices": [ended]}))
    if include_usage:
        yield event(encode(chunk | {"choices": [], "usage": completion.get("usage")}))
    yield DONE
