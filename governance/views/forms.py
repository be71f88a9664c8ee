"""Forms that call a verb: their page, and how a verb's refusal comes to stand beside the field at fault."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render

from governance.accounts import NotPermitted
from governance.errors import GovernanceError
from governance.permissions import Right


@dataclass(frozen=True)
class FormPage:
    """What stands around a form; `back` is the label and the address of the page it belongs to.

    `groups` are headings, each with the names of its fields; fields that no group names stand last. `notes` are terms
    with what each means, below the form; `rights` are roles with what each may do.
    """

    title: str
    headline: str
    lede: str
    submit: str
    back: tuple[str, str]
    groups: Sequence[tuple[str, Sequence[str]]] = ()
    danger: bool = False
    notes: Sequence[tuple[str, str]] = ()
    rights: Sequence[tuple[str, Sequence[Right]]] = ()


class AboutForm(forms.Form):
    """What voters read first."""

    title = forms.CharField(label="What changes, in one line", max_length=200)
    note = forms.CharField(
        label="Why",
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Voters and auditors read this.",
    )


class ReasonForm(forms.Form):
    """Why, for those who read the log."""

    reason = forms.CharField(
        label="Why",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Stands in the audit log.",
    )


def sent(request: HttpRequest) -> QueryDict | None:
    """Return what a form was sent with; None while it is only shown."""
    return request.POST if request.method == "POST" else None


def ask(request: HttpRequest, form: forms.Form, page: FormPage, act: Callable[[], str]) -> HttpResponse:
    """Show a form; when it is sent and fits, act and go to the address that `act` returns.

    What the verb refuses stands at its field, and what was typed stays. NotPermitted is a page of its own.
    """
    if request.method == "POST" and form.is_valid():
        try:
            return redirect(act())
        except NotPermitted:
            raise
        except GovernanceError as error:
            refuse(form, error)
    return show(request, form, page)


def show(request: HttpRequest, form: forms.Form, page: FormPage) -> HttpResponse:
    """The page of a form: 422 when it was sent and did not fit."""
    named = {name for _heading, names in page.groups for name in names}
    rest = [form[name] for name in form.fields if name not in named]
    groups = [(heading, [form[name] for name in names]) for heading, names in page.groups]
    context = {"form": form, "page": page, "groups": [*groups, ("", rest)] if rest else groups}
    return render(request, "governance/form.html", context, status=422 if form.is_bound else 200)


def refuse(form: forms.Form, error: GovernanceError) -> None:
    """Let a verb's refusal stand in a form, at its field where the form has it."""
    text = str(error)
    if error.field in form.fields:
        text = text.removeprefix(f"{error.field}: ")
        form.add_error(error.field, text[:1].upper() + text[1:])
    else:
        form.add_error(None, text)
