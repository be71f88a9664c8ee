"""The first policies of Harbour & Vale's workflows, as the documents that are proposed and approved."""

from typing import Any

from demo.sentence import KEEP_FROM
from demo.texts import LABELS, LANGUAGES, VERDICTS

Document = dict[str, Any]
# Sure enough to answer a customer's message unseen, or to hold it back.
SCREEN_FROM = 0.9


def _review(*, title: str, respond_within: int, expire_after: int, on_expiry: Document, answer: Document) -> Document:
    return {
        "when": "unsure",
        "role": "reviewer",
        "title": title,
        "respond_within": respond_within,
        "expire_after": expire_after,
        "on_expiry": on_expiry,
        "answer": answer,
    }


def customer_feedback() -> Document:
    """Language by one model, sentiment by three and a person, a reply that a person releases."""
    return {
        "format": 1,
        "pin": "replace",
        "guards": {"data_class": "internal", "hosting": ["self"]},
        "steps": [
            # Not worth a person: a wrong guess makes the next models unsure, and those ask one.
            {"name": "language", "ladder": [{"model": "langid"}], "gate": {"labels": list(LANGUAGES)}},
            {
                "name": "sentiment",
                "ladder": [{"model": "lexicon"}, {"model": "tfidf"}, {"model": "minilm"}],
                "gate": {"keep_from": KEEP_FROM, "labels": list(LABELS)},
                "review": _review(
                    title="Customer feedback, sentiment unclear",
                    respond_within=900,
                    expire_after=14_400,
                    on_expiry={"action": "answer", "answer": "neutral"},
                    answer={"type": "label", "options": list(LABELS)},
                ),
            },
            {
                "name": "reply",
                "ladder": [{"model": "smollm2-135m"}],
                "review": _review(
                    title="Reply to a customer, to be released",
                    respond_within=3600,
                    expire_after=86_400,
                    on_expiry={"action": "refuse"},
                    answer={"type": "text"},
                )
                | {"when": "always"},
                "limits": {"max_output_tokens": 160, "deadline_ms": 60_000},
            },
        ],
        "rules": [
            {
                "name": "Other languages go to a person",
                "when": [
                    {"type": "step", "is": ["sentiment"]},
                    {"type": "language", "is": [each for each in LANGUAGES if each != "en"]},
                ],
                "then": {"review": True},
            },
        ],
    }


def message_screen() -> Document:
    """Two models say whether a message is an attack; what they are not sure of is held back for a person."""
    return {
        "format": 1,
        "pin": "refuse",
        "guards": {"data_class": "confidential", "hosting": ["self"]},
        "steps": [
            {
                "name": "screen",
                "ladder": [{"model": "patterns"}, {"model": "char-tfidf"}],
                "gate": {"keep_from": SCREEN_FROM, "labels": list(VERDICTS)},
                "review": _review(
                    title="Message held back: an attack on the assistant?",
                    respond_within=600,
                    expire_after=7200,
                    # Held back for good rather than let through unseen.
                    on_expiry={"action": "answer", "answer": "attack"},
                    answer={"type": "label", "options": list(VERDICTS)},
                ),
            },
        ],
        "rules": [],
    }


def social_listening() -> Document:
    """Watched, not yet obeyed: the word list first, the dearer models where it is not sure, nobody after them."""
    return {
        "format": 1,
        "pin": "replace",
        "guards": {"data_class": "public", "hosting": ["self"]},
        "steps": [
            {
                "name": "mention",
                "ladder": [{"model": "lexicon"}, {"model": "tfidf"}, {"model": "minilm"}],
                "gate": {"keep_from": KEEP_FROM, "labels": list(LABELS)},
            },
        ],
        "rules": [],
    }


def staff_assistant() -> Document:
    """A small and a mid open model; questions of science begin at the mid one, where the small one is seldom right."""
    return {
        "format": 1,
        "pin": "replace",
        "guards": {"data_class": "internal"},
        "steps": [
            {
                "name": "code",
                "ladder": [{"model": "qwen2.5-7b-instruct"}, {"model": "llama-3.3-nemotron-super-49b"}],
                "gate": {"keep_from": 0.5},
            },
            {
                "name": "knowledge",
                "ladder": [{"model": "qwen2.5-7b-instruct"}, {"model": "llama-3.1-nemotron-51b-instruct"}],
                "gate": {"keep_from": 0.6},
            },
        ],
        "rules": [
            {
                "name": "Science begins at the mid model",
                "when": [{"type": "tag", "name": "kind", "is": ["science"]}],
                "then": {"start": "mid"},
            },
        ],
    }


def refund_sums() -> Document:
    """A small model calculates, a dearer one where the sum does not look right, a person where neither does."""
    return {
        "format": 1,
        "pin": "refuse",
        "guards": {"data_class": "confidential"},
        "steps": [
            {
                "name": "sum",
                "ladder": [{"model": "mixtral-8x7b-instruct"}, {"model": "gpt-4-1106-preview", "keep_from": 0.7}],
                "gate": {"keep_from": 0.8},
                "review": _review(
                    title="Refund to be calculated by hand",
                    respond_within=3600,
                    expire_after=86_400,
                    on_expiry={"action": "refuse"},
                    answer={"type": "text"},
                ),
            },
        ],
        "rules": [],
    }
