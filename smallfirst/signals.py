"""Numbers read from the text of a request; plain counts that anyone can check by hand, no model."""

import re
from collections.abc import Iterator, Mapping, Sequence

from smallfirst.engine.facts import Signals

# A token of English or code is about four bytes; every message costs a few for its frame.
BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4

# Counts stay within what a decision may hold, whatever is sent.
MOST = 100_000_000

_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"[.!?…](?=\s|\Z)|[。！？]")
_QUESTION = re.compile(r"[?？]+")
_DIGIT = re.compile(r"\d")
# A line that fences code, ends like a statement or a block, opens a definition, imports, queries, or is one tag.
# No part crosses a line's end, so that the time taken grows with the text and not with its square.
_CODE_LINE = re.compile(
    r"^(?:[ \t]*(?:```|#include\b|def \w+\(|class \w+[:({]|from [\w.]+ import |import [\w.]+[ \t]*$"
    r"|SELECT\b.*\bFROM\b|</?[a-z][^>\n]*>[ \t]*$)|.*[;{}][ \t]*$)",
    re.MULTILINE,
)


def read(messages: Sequence[object]) -> Signals:
    """Return the signals of a request's messages, in OpenAI's shape; what is not text counts nothing.

    ``input_tokens`` estimates all messages; all else is counted in what users wrote, since a system prompt is the same
    for every request of a step and says nothing about this one.
    """
    texts = [(role, text) for message in messages for role, text in _texts(message)]
    tokens = _estimated([text for _, text in texts]) + TOKENS_PER_MESSAGE * len(messages)
    return _counted("\n".join([text for role, text in texts if role == "user"]), tokens)


def read_texts(texts: Sequence[str], *, tokens: int = 0) -> Signals:
    """Return the signals of texts to embed; ``tokens`` are those that came as numbers, in place of texts."""
    return _counted("\n".join(texts), _estimated(texts) + tokens)


def _estimated(texts: Sequence[str]) -> int:
    return -(-sum([len(text.encode("utf-8", "surrogatepass")) for text in texts]) // BYTES_PER_TOKEN)


def _counted(written: str, tokens: int) -> Signals:
    sentences = len(_SENTENCE_END.findall(written))
    return Signals(
        input_tokens=min(MOST, tokens),
        characters=len(written),
        words=len(_WORD.findall(written)),
        sentences=max(sentences, 1) if written.strip() else 0,
        questions=len(_QUESTION.findall(written)),
        digits=len(_DIGIT.findall(written)),
        code=len(_CODE_LINE.findall(written)),
    )


def _texts(message: object) -> Iterator[tuple[str, str]]:
    """Yield the role and each text of a message whose content is a string or a list of parts."""
    if not isinstance(message, Mapping):
        return
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str):
        return
    for part in content if isinstance(content, list) else [content]:
        text = part.get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str):
            yield role, text
