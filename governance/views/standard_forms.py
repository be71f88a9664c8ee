"""Standards and exceptions as fields, and back to the documents they are."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from governance import standards
from governance.exceptions import LEVELS, MOST_DAYS, Deviation, Exceptions
from governance.models import User
from governance.views.forms import AboutForm
from governance.views.restriction_fields import RestrictionFields
from governance.views.rule_fields import EFFECTS
from smallfirst import engine
from smallfirst.engine import Problem

# A standard restricts; where a request starts and what is kept is each policy's choice.
CHOICES = ("start", "keep_from")
# Rows for exceptions that are new, on each page.
ROOM = 3


class StandardForm(RestrictionFields, AboutForm):
    """What changes, with the guards and rules of a standard."""

    effects: Mapping[str, str] = {name: title for name, title in EFFECTS.items() if name not in CHOICES}


class DeviationForm(forms.Form):
    """One exception. Without parts it is none."""

    parts = forms.MultipleChoiceField(
        label="Excepted from", required=False, widget=forms.CheckboxSelectMultiple, help_text="None ticked: not at all."
    )
    owner = forms.ChoiceField(label="Who answers for it", required=False)
    reason = forms.CharField(
        label="Why it cannot be held", required=False, max_length=2_000, widget=forms.Textarea(attrs={"rows": 2})
    )
    until = forms.DateField(
        label="Last day",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=f"In UTC, at most {MOST_DAYS} days ahead; after it, it holds no more by itself.",
    )

    def __init__(
        self, *args: Any, known: Mapping[str, Iterable[str]], people: list[tuple[str, str]], **kwargs: Any
    ) -> None:
        """Offer the parts of the standards that are live or proposed, and the people who may sign in."""
        super().__init__(*args, **kwargs)
        offered = [
            (f"{level} {key}", f"{engine.part_named(key)} of {LEVELS[level]}")
            for level, keys in known.items()
            for key in keys
        ]
        held = [each for each in self.initial.get("parts", []) if each not in dict(offered)]
        gone = [(each, f"{each.partition(' ')[2]}, which no standard has any more") for each in held]
        for name, choices in (("parts", [*offered, *gone]), ("owner", [("", "Choose one"), *people])):
            field = self.fields[name]
            if isinstance(field, forms.ChoiceField):
                field.choices = choices

    def clean(self) -> dict[str, Any]:
        """What excepts from something says the rest too, and of one level alone."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        if said.get("parts"):
            for name in ("owner", "reason", "until"):
                if not said.get(name) and name not in self.errors:
                    self.add_error(name, "Fill this in, or tick no part.")
            if len({each.partition(" ")[0] for each in said["parts"]}) > 1:
                self.add_error("parts", "Parts of two standards are two exceptions: tick those of one.")
        elif any(said.get(name) for name in ("owner", "reason", "until")) and not self.initial:
            self.add_error("parts", "Tick what it is excepted from, or empty the rest.")
        return said

    def document(self) -> dict[str, Any] | None:
        """Return the exception as the document has it, None for none."""
        said = self.cleaned_data
        if not said["parts"]:
            return None
        return {
            "standard": said["parts"][0].partition(" ")[0],
            "parts": [each.partition(" ")[2] for each in said["parts"]],
            "owner": said["owner"],
            "reason": said["reason"],
            "until": said["until"].isoformat(),
        }


class ExceptionsForms:
    """The exceptions of a workflow as one page of forms."""

    def __init__(
        self, given: QueryDict | None, found: Exceptions, about: dict[str, Any], known: Mapping[str, Iterable[str]]
    ) -> None:
        """Start from exceptions; with `given` from what was typed."""
        self.about = AboutForm(given, initial=about)
        kept = [_initial(each) for each in found.exceptions]
        factory = forms.formset_factory(DeviationForm, extra=ROOM, max_num=20, absolute_max=20)
        people = [(str(each.pk), each.name) for each in User.objects.filter(is_active=True).order_by("name")]
        self.rows = factory(given, initial=kept, prefix="exceptions", form_kwargs={"known": known, "people": people})

    def is_valid(self) -> bool:
        """Whether all of it can be read."""
        return all([self.about.is_valid(), self.rows.is_valid()])

    def document(self) -> dict[str, Any]:
        """Return the whole document; rows that except from nothing are left out."""
        made = [row.document() for row in self.rows if row.cleaned_data]
        return {"format": 1, "exceptions": [each for each in made if each is not None]}

    def place(self, problems: Iterable[Problem]) -> list[Problem]:
        """Let each problem stand at its field; return those that have none."""
        rows = [row for row in self.rows if row.cleaned_data and row.document() is not None]
        left = []
        for problem in problems:
            number, _, field = problem.path.removeprefix("exceptions[").partition("].")
            name = field.partition("[")[0]
            if not number.isdecimal() or name not in DeviationForm.base_fields:
                left.append(problem)
                continue
            rows[int(number)].add_error(name, f"{problem.message[:1].upper()}{problem.message[1:]}: {problem.fix}.")
        return left


def moved(given: QueryDict | None, live: object) -> str:
    """Say that something else became live since a page was made, whose form carries what was live then as `live`."""
    if given is None or given.get("live", "") == str(live or ""):
        return ""
    return (
        "Something else became live since you opened this page. What you typed stands here: compare, then submit anew."
    )


def base_sent(text: str, otherwise: dict[str, Any]) -> dict[str, Any]:
    """Return the document that a form carried along; another where it carried none that is a standard."""
    try:
        document = json.loads(text)
        standards.read(document)
    except (ValueError, RecursionError, TypeError, standards.InvalidStandard):
        return otherwise
    made: dict[str, Any] = document
    return made


def _initial(each: Deviation) -> dict[str, Any]:
    parts = [f"{each.standard} {part}" for part in each.parts]
    return {"parts": parts, "owner": str(each.owner), "reason": each.reason, "until": each.until}
