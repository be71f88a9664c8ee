"""Forms that turn what a person types into a policy document; whether it may serve is the engine's to say.

A policy is edited by its fields or as a whole document, and who goes from one to the other takes along what he typed.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict

from governance.errors import InvalidDocument
from governance.models import Mode
from governance.views.forms import sent
from governance.views.policy_fields import PolicyFields, base_sent
from governance.views.rule_fields import acted
from smallfirst import engine
from smallfirst.engine import Problem


class PolicyForm(forms.Form):
    """What both ways of editing share: a title and a reason for the voters."""

    title = forms.CharField(label="What changes, in one line", max_length=200)
    mode = forms.ChoiceField(
        label="Once it is live",
        choices=[
            (
                Mode.OBSERVE,
                "it only observes: whoever is asked answers, and what the policy would do is recorded",
            ),
            (Mode.ENFORCE, "it enforces: the policy decides who answers"),
        ],
        widget=forms.RadioSelect,
    )
    note = forms.CharField(
        label="Why",
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Voters and auditors read this.",
    )


class LadderForm(PolicyFields, PolicyForm):
    """What changes, with the parts of the policy that have fields."""


class DocumentText(forms.Form):
    """A whole policy document as JSON."""

    text = forms.CharField(
        label="Policy document", max_length=200_000, widget=forms.Textarea(attrs={"rows": 30, "class": "mono"})
    )

    def clean_text(self) -> str:
        """Refuse what is not one JSON object, saying where it goes wrong."""
        text: str = self.cleaned_data["text"]
        try:
            read = json.loads(text)
        except json.JSONDecodeError as error:
            raise forms.ValidationError(
                f"This is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
            ) from error
        except RecursionError as error:
            raise forms.ValidationError("This is nested too deeply for a policy.") from error
        if not isinstance(read, dict):
            raise forms.ValidationError("A policy document is one JSON object, { … }.")
        return text

    def document(self) -> dict[str, Any]:
        """Return the object that was typed."""
        made: dict[str, Any] = json.loads(self.cleaned_data["text"])
        return made


class DocumentForm(DocumentText, PolicyForm):
    """What changes, with the whole document."""


# Both ways to a document.
AnyForm = PolicyFields | DocumentText


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a policy: where, with the id of its field where it has one, what, and its remedy."""

    where: str
    anchor: str
    message: str
    fix: str


@dataclass(frozen=True)
class Editor:
    """A policy that is edited: its form, and whether it was sent to be taken.

    `looked`: it was only sent to be judged. `stayed`: a step to the other view was asked for that could not be made.
    """

    form: Any
    submitted: bool = False
    looked: bool = False
    stayed: bool = False

    @property
    def whole(self) -> bool:
        """Whether the whole document is edited."""
        return isinstance(self.form, DocumentText)

    @property
    def status(self) -> int:
        """What the page answers when it is not left."""
        return 422 if self.submitted or self.stayed else 200

    def place(self, problems: Sequence[Problem]) -> list[Fault]:
        """Let each problem of the document stand at its field, and return them all for the head of the page."""
        return [self._placed(problem) for problem in problems]

    def judged(self, check: Callable[[dict[str, Any]], object]) -> list[Fault]:
        """Return what is wrong with the policy as it stands in a form that was only sent to be looked at."""
        form = self.form
        form.is_valid()
        # What was chosen a moment ago to be added is not wrong yet.
        names = ["text"] * ("text" in form.errors) if self.whole else [each for each in form.wrong if not _adds(each)]
        if names:
            words = [form.fields[name].label if self.whole else form.place_words(name) for name in names]
            return [
                Fault(str(said), form[name].auto_id, " ".join(form.errors[name]), "")
                for name, said in zip(names, words, strict=True)
            ]
        try:
            check(form.document())
        except InvalidDocument as error:
            return self.place(error.problems)
        return []

    def _placed(self, problem: Problem) -> Fault:
        name = None if self.whole else self.form.field_of(problem.path)
        if name is None:
            return Fault(problem.path, "", problem.message, problem.fix)
        self.form.add_error(name, f"{problem.message[:1].upper()}{problem.message[1:]}: {problem.fix}.")
        return Fault(self.form.place_words(name), self.form[name].auto_id, problem.message, problem.fix)


def editor(
    request: HttpRequest,
    *,
    start: dict[str, Any] | None,
    models: Callable[[], Sequence[tuple[str, str]]],
    initial: Mapping[str, Any],
    fields: Callable[..., PolicyFields],
    document: Callable[..., DocumentText],
) -> Editor:
    """Return the form that the request asks for: shown, changed by one of its buttons, or sent.

    `start` is what to begin with, None where there is nothing that fields could be made of. `fields` and `document`
    make the two forms, both with what else they ask, of which `initial` holds what stands there first.
    """
    given = sent(request)
    if start is None or _is_whole(request, given):
        return _of_document(given, start, models, initial, fields, document)
    if given is None:
        return Editor(fields(document=start, models=models(), initial=initial))
    start, offered = base_sent(given.get("base", ""), start), models()
    form = fields(given, document=start, models=offered, initial=initial)
    if "rules-act" in given:
        places, focus = acted(form.rules.places, given)
        form = fields(document=start, models=offered, initial={**initial, **_typed(form, given)}, places=places)
        form.focus = focus
        if focus in form.fields:
            form.fields[focus].widget.attrs["autofocus"] = True
        return Editor(form)
    if given.get("show") != "whole":
        return Editor(form, submitted=given.get("show") != "faults", looked=given.get("show") == "faults")
    form.is_valid()
    if form.wrong:
        return Editor(form, stayed=True)
    text = document_text(form.document())
    return Editor(document(initial={**initial, **_typed(form, given), "text": text}))


def _of_document(
    given: QueryDict | None,
    start: dict[str, Any] | None,
    models: Callable[[], Sequence[tuple[str, str]]],
    initial: Mapping[str, Any],
    fields: Callable[..., PolicyFields],
    document: Callable[..., DocumentText],
) -> Editor:
    if given is None:
        return Editor(document(initial={**initial, "text": document_text(start)}))
    form = document(given, initial=initial)
    if given.get("show") != "fields":
        return Editor(form, submitted=given.get("show") != "faults", looked=given.get("show") == "faults")
    form.is_valid()
    if "text" in form.errors:
        return Editor(form, stayed=True)
    made = form.document()
    try:
        engine.read_policy(made)
    except engine.PolicyError as error:
        first = error.problems[0]
        form.add_error("text", f"It has no fields yet: {first.path}: {first.message}; {first.fix}.")
        return Editor(form, stayed=True)
    return Editor(fields(document=made, models=models(), initial={**initial, **_typed(form, given)}))


def _is_whole(request: HttpRequest, given: QueryDict | None) -> bool:
    return "whole" in request.GET if given is None else bool({"whole", "text"} & given.keys())


def _typed(form: forms.Form, given: QueryDict) -> dict[str, Any]:
    """What was typed, readable or not, by field."""
    return {
        name: field.widget.value_from_datadict(given, {}, name)
        for name, field in form.fields.items()
        if name in given and not _adds(name)
    }


def _adds(name: str) -> bool:
    """Whether a field only chooses what is to be added."""
    return name.endswith(("-add-when", "-add-then"))


def document_text(document: dict[str, Any] | None) -> str:
    """Return a document as it is edited, an empty text for none."""
    return json.dumps(document, indent=2, ensure_ascii=False) if document else ""
