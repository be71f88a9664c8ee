"""The fields in which a policy is written without its document: ladders, gates, starts, reviews, limits and guards.

What has no field stays as it is in the document that the fields start from: rules above all, and who reviews how.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms

from governance.models import DataClass, Endpoint, Environment, Hosting, Tier, Workflow

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


class PolicyFields(forms.Form):
    """Which models each step asks, when their answers are kept, who is asked in doubt, and what is never allowed."""

    def __init__(
        self,
        data: Any = None,
        *,
        document: dict[str, Any],
        models: Sequence[tuple[str, str]],
        initial: Mapping[str, Any],
    ) -> None:
        """Make the fields of each step, with room for one rung more; `models` are names with their words."""
        super().__init__(data, initial=dict(initial))
        self._base = document
        for number, step in enumerate(document["steps"]):
            self._add_ladder(number, step, models)
            self.fields |= {f"step-{number}-{name}": field for name, field in _rest_of(step)}
        self.fields |= {f"guards-{name}": field for name, field in _guards(document.get("guards") or {})}

    def _add_ladder(self, number: int, step: Mapping[str, Any], models: Sequence[tuple[str, str]]) -> None:
        name, ladder = _step_name(step), step["ladder"]
        self.fields[f"step-{number}"] = _threshold(
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
            self.fields[f"step-{number}-rung-{place}"] = _threshold(
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

    @property
    def guards(self) -> list[forms.BoundField]:
        """The fields of what holds for all steps."""
        return [self[name] for name in self.fields if name.startswith("guards-")]

    @property
    def guards_wrong(self) -> bool:
        """Whether something of them cannot be read."""
        return any(field.errors for field in self.guards)

    @property
    def wrong_steps(self) -> bool:
        """Whether anything that was typed of the policy cannot be read."""
        return any(name.startswith(("step-", "guards-")) for name in self.errors)

    def document(self) -> dict[str, Any]:
        """Return the base document with what was typed here; what was not sent, or not changed, stays as it was."""
        made = copy.deepcopy(self._base)
        for number, step in enumerate(made["steps"]):
            self._put_ladder(number, step)
            for name, value in self._changed(f"step-{number}-", _rest_of(step)):
                _put(step, name, value)
        for name, value in self._changed("guards-", _guards(made.get("guards") or {})):
            made["guards"] = (made.get("guards") or {}) | {name: value}
        return made

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
                rungs.append({"model": model} if own is None else {"model": model, "keep_from": own})
        step["ladder"] = rungs

    def _changed(self, prefix: str, fields: Iterator[tuple[str, forms.Field]]) -> list[tuple[str, Any]]:
        """By name, what was typed into fields and is not what stood there before."""
        found = []
        for name, field in fields:
            if prefix + name in self.data and field.has_changed(field.initial, self.data.get(prefix + name)):
                found.append((name, self.cleaned_data.get(prefix + name)))
        return found

    def _said(self, name: str, before: Any) -> Any:
        """What was typed into a field, or what stood there where it was not sent."""
        return self.cleaned_data.get(name) if name in self.data else before


def models_for(workflow: Workflow, environment: Environment) -> list[tuple[str, str]]:
    """The models that a ladder may name: served there and cleared for the workflow's data, in rising tier."""
    found: dict[str, str] = {}
    for endpoint in Endpoint.objects.served_in(environment):
        if workflow.data_class in endpoint.version.data_classes:
            found[endpoint.version.model.name] = endpoint.version.model.tier
    tiers = list(Tier.values)
    return [(name, f"{name} ({tier})") for name, tier in sorted(found.items(), key=lambda each: tiers.index(each[1]))]


class Names(forms.CharField):
    """Names, separated by commas; cleaned they are a list, None where there are none."""

    def prepare_value(self, value: Any) -> Any:
        """Show a list as it is typed."""
        return ", ".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether other names were typed; spaces make no difference."""
        return bool(self.clean(data) != (initial or None))

    def clean(self, value: Any) -> Any:
        """Return the names in the order in which they were typed, each once."""
        found = [each.strip() for each in str(super().clean(value) or "").split(",")]
        return list(dict.fromkeys(each for each in found if each)) or None


class Amount(forms.DecimalField):
    """An amount of money, cleaned to the text that a policy holds it in; None where nothing was typed."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether another amount was typed."""
        try:
            return super().to_python(data) != (None if initial is None else Decimal(initial))
        except forms.ValidationError:
            return True

    def clean(self, value: Any) -> Any:
        """Return it without an exponent."""
        amount = super().clean(value)
        return None if amount is None else f"{amount:f}"


def _rest_of(step: Mapping[str, Any]) -> Iterator[tuple[str, forms.Field]]:
    """What of a step has a field besides its ladder; a person is asked only as a review of the document says how."""
    name, start = _step_name(step), step.get("start") or {}
    tiers = [("", "the first model"), *Tier.choices]
    for difficulty in DIFFICULTIES:
        label = f"{name}: {difficulty} requests start with"
        yield f"start-{difficulty}", _choice(label, tiers, start.get(difficulty, ""))
    yield (
        "labels",
        Names(
            label=f"{name}: keep only these labels",
            required=False,
            max_length=5_000,
            initial=(step.get("gate") or {}).get("labels"),
            help_text="Separated by commas. Empty: any answer.",
        ),
    )
    if step.get("review"):
        yield "when", _choice(f"{name}: a person is asked", REVIEWS, step["review"]["when"])
    limits = step.get("limits") or {}
    yield (
        "max_output_tokens",
        _number(f"{name}: output tokens at most", limits.get("max_output_tokens"), 10_000_000, "Empty: no limit."),
    )
    yield (
        "deadline_ms",
        _number(
            f"{name}: no further model after milliseconds",
            limits.get("deadline_ms", DEADLINE_MS),
            3_600_000,
            f"Empty: {DEADLINE_MS:,}.",
        ),
    )


def _guards(guards: Mapping[str, Any]) -> Iterator[tuple[str, forms.Field]]:
    """What holds for all steps, whatever their ladders say."""
    classes = [("", "none beyond the workflow's"), *DataClass.choices]
    yield "data_class", _choice("Models must be cleared for", classes, guards.get("data_class") or "")
    for name, label in (("regions", "Regions"), ("licences", "Licences"), ("models", "Models")):
        yield (
            name,
            Names(
                label=f"{label} that may be used",
                required=False,
                max_length=5_000,
                initial=guards.get(name),
                help_text="Separated by commas. Empty: all.",
            ),
        )
    yield (
        "hosting",
        Names(
            label="Hosting that may be used",
            required=False,
            max_length=200,
            initial=guards.get("hosting"),
            help_text=f"Of {', '.join(Hosting.values)}, separated by commas. Empty: all.",
        ),
    )
    yield from _ceilings(guards)


def _ceilings(guards: Mapping[str, Any]) -> Iterator[tuple[str, forms.Field]]:
    """What a request may cost and last, whatever its step."""
    yield (
        "max_cost",
        Amount(
            label="USD that a request may cost at most",
            required=False,
            min_value=Decimal(0),
            max_digits=20,
            decimal_places=10,
            initial=guards.get("max_cost"),
            help_text="With all its attempts. Empty: no ceiling.",
            widget=forms.TextInput(attrs={"inputmode": "decimal"}),
        ),
    )
    yield (
        "max_latency_ms",
        _number(
            "No further model after milliseconds", guards.get("max_latency_ms"), 3_600_000, "Empty: as each step says."
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


def _choice(label: str, choices: Sequence[tuple[str, Any]], value: str) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, required=False, choices=choices, initial=value)


def _number(label: str, value: int | None, most: int, help_text: str) -> forms.IntegerField:
    return forms.IntegerField(
        label=label, required=False, initial=value, min_value=1, max_value=most, help_text=help_text
    )


def _threshold(label: str, value: float | None, help_text: str) -> forms.FloatField:
    return forms.FloatField(
        label=label,
        required=False,
        initial=value,
        min_value=0,
        max_value=1,
        help_text=help_text,
        widget=forms.NumberInput(attrs={"step": "0.01", "inputmode": "decimal"}),
    )


def _step_name(step: Mapping[str, Any]) -> str:
    """A step as a label names it."""
    return str(step["name"]) if step["name"] != "*" else "any other step"


def _place_words(place: int) -> str:
    """The place of a rung in words: first, then second, third …"""
    return ("first", "second", "third", "fourth", "fifth")[place] if place < 5 else f"as number {place + 1}"
