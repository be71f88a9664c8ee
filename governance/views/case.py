"""A review's opened case as a page shows it, and the form that takes the answer."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms

from governance.figures import Rung
from governance.models import Review
from smallfirst.cases import SHOWN_CHARACTERS

SPEAKERS = {
    "system": "The application’s instruction",
    "user": "The request",
    "assistant": "Said before",
    "tool": "A tool said",
}
# Why a person is asked although no model was unsure.
RELEASED = ("always", "rule")


class AnswerForm(forms.Form):
    """One label, a text, or fields as JSON: what the policy asks the person for."""

    def __init__(self, data: Any = None, *, shape: Mapping[str, Any], draft: str = "") -> None:
        """Make the one field that the answer's type needs; a text starts as the draft of a model."""
        super().__init__(data, initial={"text": draft})
        self.shape = shape
        kind = shape["type"]
        if kind == "label":
            self.fields["label"] = forms.ChoiceField(
                label="Answer", choices=[(option, option) for option in shape.get("options", [])]
            )
        elif kind == "text":
            self.fields["text"] = forms.CharField(
                label="Your answer",
                max_length=20_000,
                widget=forms.Textarea(attrs={"rows": 8}),
                help_text="It starts as the last model’s draft: what stands here is sent." if draft else "",
            )
        else:
            self.fields["fields"] = forms.JSONField(
                label="Your answer",
                help_text="A JSON object as the policy’s schema asks.",
                widget=forms.Textarea(attrs={"rows": 8}),
            )

    def answer(self) -> dict[str, Any]:
        """Return the answer as the verb takes it: the one field that was filled in."""
        return {name: self.cleaned_data[name] for name in self.fields}


def options(shape: Mapping[str, Any]) -> list[dict[str, str]]:
    """The labels to choose from with the key that chooses each: 1, 2, 3 …"""
    if shape["type"] != "label":
        return []
    return [{"value": value, "key": str(place)} for place, value in enumerate(shape.get("options", []), 1)]


def shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """The opened body in the order a reviewer reads it: what he should see, then the conversation, then the models."""
    messages = [
        {
            "role": each.get("role", "user"),
            "label": SPEAKERS.get(each.get("role"), "Said"),
            "text": _text(each.get("content")),
        }
        for each in body.get("messages", [])
    ]
    return {
        "title": body.get("title") or "",
        "context": body.get("context") or [],
        "messages": sorted(messages, key=lambda each: each["role"] == "system"),
        "attempts": [each | {"css": each.get("tier", "")} for each in body.get("attempts", [])],
        "url": _link(body.get("url")),
    }


def draft(body: Mapping[str, Any] | None) -> str:
    """The last answer of a model, for a text that a person releases; none where the case holds only its beginning."""
    said = [str(each["text"]) for each in (body or {}).get("attempts", []) if each.get("text")]
    return said[-1] if said and len(said[-1]) < SHOWN_CHARACTERS else ""


def rungs(review: Review, body: Mapping[str, Any] | None) -> list[Rung]:
    """What was tried, as a ladder that ends at the person; an answer that was sure enough is proposed to him."""
    attempts = (body or {}).get("attempts", [])
    tried = [
        Rung(
            tier=each.get("tier", "small"),
            model=each.get("model", ""),
            state="climbed" if each.get("outcome", "ok") == "ok" else "failed",
            confidence=each.get("confidence"),
            threshold=each.get("threshold"),
            cost=Decimal(each["cost"]) if each.get("cost") is not None else None,
            priced=each.get("cost") is not None,
            word="proposed" if review.reason_code in RELEASED and each is attempts[-1] else "",
        )
        for each in attempts
    ]
    word = "waiting for a person" if review.status in Review.WAITING else review.get_status_display().lower()
    return [*tried, Rung(tier="person", model=review.role, state="person", word=word)]


def expiry_words(on_expiry: Mapping[str, Any]) -> str:
    """What the application is told if nobody decides."""
    return "refused" if on_expiry["action"] == "refuse" else f"“{on_expiry['answer']}”"


def answer_words(answer: Mapping[str, Any] | None) -> str:
    """An answer in words."""
    if answer is None:
        return "The text of this answer was erased."
    for name in ("label", "text"):
        if name in answer:
            return str(answer[name])
    return json.dumps(answer.get("fields", answer), indent=2, ensure_ascii=False)


def _link(address: Any) -> str | None:
    """An address that a browser opens as a page; what an application sent may be any scheme."""
    return address if isinstance(address, str) and address.startswith(("https://", "http://")) else None


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)
