"""The kinds of fields in which parts of a policy are written, and what of them was changed."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms

from governance.models import DataClass, Hosting

SEPARATED = "Separated by commas; a name with a comma stands in quotation marks."


class Names(forms.CharField):
    """Names, separated by commas; cleaned they are a list, None where there are none."""

    def prepare_value(self, value: Any) -> Any:
        """Show a list as it is typed."""
        return ", ".join(_quoted(each) for each in value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether other names were typed than are shown; spaces make no difference."""
        try:
            return _read(data) != _read(self.prepare_value(initial))
        except forms.ValidationError:
            return True

    def clean(self, value: Any) -> Any:
        """Return the names in the order in which they were typed, each once."""
        found = _read(super().clean(value))
        if self.required and found is None:
            raise forms.ValidationError(self.error_messages["required"], code="required")
        return found


class Text(forms.CharField):
    """A text with line breaks as a document has them, however a browser sends them."""

    def to_python(self, value: Any) -> Any:
        """Return it with plain line breaks."""
        said = super().to_python(value)
        return said.replace("\r\n", "\n") if isinstance(said, str) else said

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether another text was typed than is shown."""
        return bool(self.to_python(data) != self.to_python(initial))


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


class Bound(forms.FloatField):
    """A number that is shown without a point where it is whole."""

    def prepare_value(self, value: Any) -> Any:
        """Show 3.0 as 3."""
        return int(value) if isinstance(value, float) and value.is_integer() else value


def choice(label: str, choices: Sequence[tuple[str, Any]], value: str, *, required: bool = False) -> forms.ChoiceField:
    """One of several words."""
    return forms.ChoiceField(label=label, required=required, choices=choices, initial=value)


def names(label: str, value: Any, help_text: str, *, required: bool = False, longest: int = 5_000) -> Names:
    """Several names."""
    return Names(label=label, required=required, max_length=longest, initial=value, help_text=help_text)


def number(label: str, value: int | None, most: int, help_text: str, *, required: bool = False) -> forms.IntegerField:
    """A whole number from 1."""
    return forms.IntegerField(
        label=label, required=required, initial=value, min_value=1, max_value=most, help_text=help_text
    )


def threshold(label: str, value: float | None, help_text: str, *, required: bool = False) -> forms.FloatField:
    """A confidence between 0 and 1."""
    return forms.FloatField(
        label=label,
        required=required,
        initial=value,
        min_value=0,
        max_value=1,
        help_text=help_text,
        widget=forms.NumberInput(attrs={"step": "0.01", "inputmode": "decimal"}),
    )


def guard_fields(guards: Mapping[str, Any], *, required: bool = False) -> Iterator[tuple[str, forms.Field]]:
    """The guards, by name. `required`: an empty one is none, so it has to be taken out instead."""
    empty = "" if required else " Empty: all."
    classes = [("", "Choose one" if required else "none beyond the workflow’s"), *DataClass.choices]
    yield (
        "data_class",
        choice("Models must be cleared for", classes, guards.get("data_class") or "", required=required),
    )
    for name, label in (("regions", "Regions"), ("licences", "Licences"), ("models", "Models")):
        yield name, names(f"{label} that may be used", guards.get(name), f"{SEPARATED}{empty}", required=required)
    kinds = f"Of {', '.join(Hosting.values)}, separated by commas.{empty}"
    yield "hosting", names("Hosting that may be used", guards.get("hosting"), kinds, required=required, longest=200)
    yield from _ceilings(guards, required)


def _ceilings(guards: Mapping[str, Any], required: bool) -> Iterator[tuple[str, forms.Field]]:
    """What a request may cost and last, whatever its step."""
    yield (
        "max_cost",
        Amount(
            label="USD that a request may cost at most",
            required=required,
            min_value=Decimal(0),
            max_digits=20,
            decimal_places=10,
            initial=guards.get("max_cost"),
            help_text="With all its attempts." + ("" if required else " Empty: no ceiling."),
            widget=forms.TextInput(attrs={"inputmode": "decimal"}),
        ),
    )
    text = "" if required else "Empty: as each step says."
    latest = "No further model after milliseconds"
    yield "max_latency_ms", number(latest, guards.get("max_latency_ms"), 3_600_000, text, required=required)


def changed(form: forms.Form, prefix: str, fields: Iterator[tuple[str, forms.Field]]) -> list[tuple[str, Any]]:
    """Return, by name, what was typed into fields of a form and is not what stood there before."""
    found = []
    for name, field in fields:
        if prefix + name in form.data and field.has_changed(field.initial, form.data.get(prefix + name)):
            found.append((name, form.cleaned_data.get(prefix + name)))
    return found


def _read(value: Any) -> list[str] | None:
    """The names in a text, None where there are none. Raises ValidationError for one that cannot be read."""
    try:
        rows = list(csv.reader([str(value or "")], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise forms.ValidationError("A quotation mark is not closed, or something follows it.") from error
    found = (each.strip() for row in rows for each in row)
    return list(dict.fromkeys(each for each in found if each)) or None


def _quoted(name: Any) -> str:
    """A name as it stands in a list, in quotation marks where it would be read as something else."""
    said = str(name)
    return '"' + said.replace('"', '""') + '"' if "," in said or '"' in said else said
