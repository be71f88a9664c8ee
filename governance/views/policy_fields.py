"""The fields in which a policy is written without its document: ladders, gates, starts, limits, guards and rules.

What has no field stays as it is in the document that the fields start from: who reviews how, and what a pin means. So
who comes from the whole document loses nothing. Guards and rules are those of restriction_fields.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms

from governance import admissions
from governance.models import Endpoint, Environment, Tier, Workflow
from governance.views import document_fields as kinds
from governance.views.restriction_fields import RestrictionFields
from governance.views.rule_fields import Place
from smallfirst import engine

DIFFICULTIES = ("easy", "medium", "hard")
REVIEWS = (("unsure", "when no model is sure enough"), ("always", "before every answer"), ("", "never"))
# What the engine takes where a policy says nothing.
DEADLINE_MS = 30_000


@dataclass(frozen=True)
class StepFields:
    """The fields of one step: the confidence that keeps an answer, a pair a rung (model, own confidence), the rest."""

    name: str
    keep: forms.BoundField
    rungs: list[tuple[forms.BoundField, forms.BoundField]]
    more: list[forms.BoundField]

    @property
    def more_wrong(self) -> bool:
        """Whether something of the rest, which stands folded, cannot be read."""
        return any(field.errors for field in self.more)


class PolicyFields(RestrictionFields):
    """Which models each step asks, when their answers are kept, who is asked in doubt, and what is never allowed."""

    def __init__(
        self,
        data: Any = None,
        *,
        document: dict[str, Any],
        models: Sequence[tuple[str, str]],
        initial: Mapping[str, Any],
        places: tuple[Place, ...] | None = None,
    ) -> None:
        """Make the fields of each step, with room for one rung more, and of each rule.

        `models` are names with their words; `places` are the rules in their order, else those that were sent, else
        those of the document.
        """
        super().__init__(data, document=document, initial=initial, places=places)
        # What is wrong is told in the order of the page, where the steps come first.
        below = {name: self.fields.pop(name) for name in list(self.fields) if name.startswith(("guards-", "rule-"))}
        for number, step in enumerate(document["steps"]):
            self._add_ladder(number, step, models)
            self.fields |= {f"step-{number}-{name}": field for name, field in _rest_of(step)}
        self.fields |= below

    def _add_ladder(self, number: int, step: Mapping[str, Any], models: Sequence[tuple[str, str]]) -> None:
        name, ladder = _step_name(step), step["ladder"]
        self.fields[f"step-{number}"] = kinds.threshold(
            f"{name}: keep an answer from confidence",
            (step.get("gate") or {}).get("keep_from"),
            "Between 0 and 1; below it the next model is asked. Empty keeps any answer.",
        )
        for place in range(len(ladder) + 1):
            rung = ladder[place] if place < len(ladder) else {}
            named = rung.get("model", "")
            offered = models if named in dict([("", ""), *models]) else [(named, named), *models]
            self.fields[f"step-{number}-model-{place}"] = forms.ChoiceField(
                label=f"{name}: asked {_place_words(place)}",
                required=False,
                initial=named,
                choices=[("", "no further model"), *offered],
            )
            self.fields[f"step-{number}-rung-{place}"] = kinds.threshold(
                "kept from", rung.get("keep_from"), "" if place else "Empty: as the step says."
            )

    @property
    def steps(self) -> list[StepFields]:
        """The fields by step, for the page."""
        return [
            StepFields(
                _step_name(step),
                self[f"step-{number}"],
                [
                    (self[f"step-{number}-model-{place}"], self[f"step-{number}-rung-{place}"])
                    for place in range(len(step["ladder"]) + 1)
                ],
                [self[f"step-{number}-{name}"] for name, _ in _rest_of(step)],
            )
            for number, step in enumerate(self._base["steps"])
        ]

    def document(self) -> dict[str, Any]:
        """Return the base document with what was typed here; what was not sent, or not changed, stays as it was."""
        made = super().document()
        for number, step in enumerate(made["steps"]):
            self._put_ladder(number, step)
            for name, value in kinds.changed(self, f"step-{number}-", _rest_of(step)):
                _put(step, name, value)
        return made

    def field_of(self, path: str) -> str | None:
        """Return the name of the field where a place in the document was written; None where none was."""
        step = re.match(r"steps\[(\d+)\]\.?(.*)", path)
        if step is not None and int(step[1]) < len(self._base["steps"]):
            found = self._step_field_of(int(step[1]), step[2])
            return found if found in self.fields else None
        return super().field_of(path)

    def _step_field_of(self, number: int, rest: str) -> str:
        rung = re.match(r"ladder\[(\d+)\]\.(\w+)", rest)
        if rung or rest.startswith("ladder"):
            room = range(len(self._base["steps"][number]["ladder"]) + 1)
            filled = [place for place in room if self[f"step-{number}-model-{place}"].value()]
            index = int(rung[1]) if rung else 0
            place = filled[index] if index < len(filled) else 0
            return f"step-{number}-{'rung' if rung and rung[2] == 'keep_from' else 'model'}-{place}"
        part, _, name = re.sub(r"\[\d+\]$", "", rest).partition(".")
        match part:
            case "gate":
                return f"step-{number}-labels" if name == "labels" else f"step-{number}"
            case "start":
                return f"step-{number}-start-{name}"
            case "limits":
                return f"step-{number}-{name}"
            case _:
                return f"step-{number}-when"

    def _put_ladder(self, number: int, step: dict[str, Any]) -> None:
        keep_from = self._said(f"step-{number}", (step.get("gate") or {}).get("keep_from"))
        if step.get("gate") or keep_from is not None:
            step["gate"] = (step.get("gate") or {}) | {"keep_from": keep_from}
        rungs = []
        for place in range(len(step["ladder"]) + 1):
            rung = step["ladder"][place] if place < len(step["ladder"]) else {}
            model = self._said(f"step-{number}-model-{place}", rung.get("model", ""))
            own = self._said(f"step-{number}-rung-{place}", rung.get("keep_from"))
            if model:
                rungs.append(rung | {"model": model} | ({"keep_from": own} if own != rung.get("keep_from") else {}))
        step["ladder"] = rungs

    def _said(self, name: str, before: Any) -> Any:
        """What was typed into a field, or what stood there where it was not sent."""
        return self.cleaned_data.get(name) if name in self.data else before


def base_sent(text: str, otherwise: dict[str, Any]) -> dict[str, Any]:
    """Return the document that a form carried along; another where it carried none that is a policy."""
    try:
        document = json.loads(text)
        engine.read_policy(document)
    except (ValueError, RecursionError, TypeError):
        return otherwise
    made: dict[str, Any] = document
    return made


def models_for(workflow: Workflow, environment: Environment) -> list[tuple[str, str]]:
    """The models that a ladder may name: served there and cleared for the workflow's data, in rising tier."""
    found: dict[str, str] = {}
    admitted = admissions.live_in(environment)
    for endpoint in Endpoint.objects.served_in(environment):
        if admissions.cleared(admitted.get(endpoint.version_id), workflow.data_class):
            found[endpoint.version.model.name] = endpoint.version.model.tier
    tiers = list(Tier.values)
    return [(name, f"{name} ({tier})") for name, tier in sorted(found.items(), key=lambda each: tiers.index(each[1]))]


def _rest_of(step: Mapping[str, Any]) -> Iterator[tuple[str, forms.Field]]:
    """What of a step has a field besides its ladder; a person is asked only as a review of the document says how."""
    name, start = _step_name(step), step.get("start") or {}
    tiers = [("", "the first model"), *Tier.choices]
    for difficulty in DIFFICULTIES:
        label = f"{name}: {difficulty} requests start with"
        yield f"start-{difficulty}", kinds.choice(label, tiers, start.get(difficulty, ""))
    yield (
        "labels",
        kinds.names(
            f"{name}: keep only these labels",
            (step.get("gate") or {}).get("labels"),
            f"{kinds.SEPARATED} Empty: any answer.",
        ),
    )
    if step.get("review"):
        yield "when", kinds.choice(f"{name}: a person is asked", REVIEWS, step["review"]["when"])
    limits = step.get("limits") or {}
    yield (
        "max_output_tokens",
        kinds.number(f"{name}: output tokens at most", limits.get("max_output_tokens"), 10_000_000, "Empty: no limit."),
    )
    yield (
        "deadline_ms",
        kinds.number(
            f"{name}: no further model after milliseconds",
            limits.get("deadline_ms", DEADLINE_MS),
            3_600_000,
            f"Empty: {DEADLINE_MS:,}.",
        ),
    )


def _put(step: dict[str, Any], name: str, value: Any) -> None:
    """Write what was typed to its place in a step."""
    match name.partition("-"):
        case ("start", "-", difficulty):
            start = dict.fromkeys(DIFFICULTIES, Tier.SMALL.value) | (step.get("start") or {})
            step["start"] = start | {difficulty: value or Tier.SMALL.value}
        case ("labels", *_):
            step["gate"] = (step.get("gate") or {}) | {"labels": value}
        case ("when", *_):
            step["review"] = step["review"] | {"when": value} if value else None
        case _:
            given = DEADLINE_MS if name == "deadline_ms" and value is None else value
            step["limits"] = (step.get("limits") or {}) | {name: given}


def _step_name(step: Mapping[str, Any]) -> str:
    """A step as a label names it."""
    return str(step["name"]) if step["name"] != "*" else "any other step"


def _place_words(place: int) -> str:
    """The place of a rung in words: first, then second, third …"""
    return ("first", "second", "third", "fourth", "fifth")[place] if place < 5 else f"as number {place + 1}"
