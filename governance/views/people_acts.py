"""What changes a person's account: adding one, inviting, letting go and back, granting and revoking roles."""

from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import available_timezones

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from governance import accounts
from governance import people as persons
from governance.accounts import ORGANISATION
from governance.models import Environment, Grant, Role, Team, User
from governance.models.accounts import holding
from governance.permissions import PERMISSIONS, rights_of
from governance.views.forms import FormPage, ReasonForm, ask, sent


def zones() -> list[tuple[str, str]]:
    """The zones that a person may choose, by name."""
    named = sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    return [(name, name.replace("_", " ")) for name in ["UTC", *named]]


class PersonForm(forms.Form):
    """What is written of a person; `email` stays out where it is edited."""

    name = forms.CharField(max_length=120)
    email = forms.EmailField(label="E-mail address", max_length=254, help_text="What the person signs in with.")
    time_zone = forms.ChoiceField(label="Time zone", choices=zones, help_text="Times on pages stand in it.")


class GrantForm(forms.Form):
    """A role to be granted."""

    role = forms.ChoiceField(choices=Role.choices)
    team = forms.ModelChoiceField(
        queryset=Team.objects.order_by("name"), required=False, empty_label="The whole organisation"
    )
    environment = forms.ModelChoiceField(
        queryset=Environment.objects.all(),
        required=False,
        empty_label="All",
        help_text="With one, whatever changes something is allowed there alone.",
    )
    until = forms.DateField(
        label="Last day",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Left empty, it holds until it is revoked.",
    )

    def clean_until(self) -> date | None:
        """A day to come."""
        last: date | None = self.cleaned_data["until"]
        if last is not None and last < timezone.localdate():
            raise forms.ValidationError("Choose today or a day to come.")
        return last


@require_http_methods(["GET", "POST"])
def person_new(request: HttpRequest) -> HttpResponse:
    """Add a person, who can do nothing yet."""
    user = _administrator(request)
    form = PersonForm(sent(request), initial={"time_zone": user.time_zone})
    page = FormPage(
        title="Add a person",
        headline="Add a person",
        lede="Then grant a role, and hand on a link by which the person chooses a password.",
        submit="Add the person",
        back=("People", reverse("people")),
    )

    def act() -> str:
        made = accounts.create_person(by=user, **form.cleaned_data)
        messages.success(request, f"{made.name} is added. Grant a role next, then make the sign-in link.")
        return _page_of(made)

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def person_edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Call a person by another name, and set the zone of his times."""
    found, user = _person(request, pk)
    form = PersonForm(sent(request), initial={"name": found.name, "time_zone": found.time_zone})
    del form.fields["email"]
    page = FormPage(
        title="Edit",
        headline=f"What is written of {found.name}",
        lede="The name stands beside votes and answers, those of before too; the audit log keeps what it was.",
        submit="Save",
        back=(found.name, _page_of(found)),
    )

    def act() -> str:
        persons.edit(person=found, by=user, **form.cleaned_data)
        messages.success(request, "Saved.")
        return page.back[1]

    return ask(request, form, page, act)


@never_cache
@require_POST
def person_invite(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Make a link by which the person chooses a password; this answer alone shows it."""
    found, user = _person(request, pk)
    if not found.is_active:
        messages.error(request, f"{found.name} may not sign in: reactivate the account first.")
        return render(request, "governance/person_invited.html", {"person": found, "link": ""}, status=422)
    token = persons.invite(person=found, by=user)
    link = request.build_absolute_uri(reverse("welcome", args=[found.pk, token]))
    context = {"person": found, "link": link, "days": persons.DAYS}
    return render(request, "governance/person_invited.html", context)


@require_http_methods(["GET", "POST"])
def person_deactivate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let a person no longer sign in."""
    found, user = _person(request, pk)
    form = ReasonForm(sent(request))
    page = FormPage(
        title="Deactivate",
        headline=f"Let {found.name} no longer sign in?",
        lede="Sessions end at once, and votes not yet acted on count no more. Records keep the name. It can be undone.",
        submit="Deactivate the account",
        back=(found.name, _page_of(found)),
        danger=True,
    )

    def act() -> str:
        accounts.deactivate(person=found, by=user, **form.cleaned_data)
        messages.success(request, f"{found.name} may no longer sign in.")
        return page.back[1]

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def person_reactivate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let a person sign in again."""
    found, user = _person(request, pk)
    form = ReasonForm(sent(request))
    page = FormPage(
        title="Reactivate",
        headline=f"Let {found.name} sign in again?",
        lede="With the password of before, and with the roles that were not revoked meanwhile.",
        submit="Reactivate the account",
        back=(found.name, _page_of(found)),
    )

    def act() -> str:
        accounts.reactivate(person=found, by=user, **form.cleaned_data)
        messages.success(request, f"{found.name} may sign in again.")
        return page.back[1]

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def grant_new(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give a person a role."""
    found, user = _person(request, pk)
    form = GrantForm(sent(request))
    page = FormPage(
        title="Grant a role",
        headline=f"Which role for {found.name}, and where?",
        lede="It holds from now on. Every role reads workflows, changes and the register of models; "
        "what more each may do stands below.",
        submit="Grant it",
        back=(found.name, _page_of(found)),
        rights=[(role.label, rights_of(PERMISSIONS[role] - PERMISSIONS[Role.VIEWER])) for role in Role],
    )

    def act() -> str:
        said = dict(form.cleaned_data)
        made = accounts.grant(user=found, valid_until=_end_of(said.pop("until")), by=user, **said)
        messages.success(request, f"{found.name} is now {made.get_role_display().lower()}.")
        return page.back[1]

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def grant_revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End a role."""
    grants = Grant.objects.with_people()
    found = get_object_or_404(holding(grants, request.user, "accounts.view"), pk=pk)
    user = _administrator(request)
    form = ReasonForm(sent(request))
    page = FormPage(
        title="Revoke",
        headline=f"Is {found.user.name} no longer {found.get_role_display().lower()} of "
        f"{found.team or 'the organisation'}?",
        lede="It ends at once. Votes not yet acted on that rest on it count no more; the record stays.",
        submit="Revoke it",
        back=(found.user.name, _page_of(found.user)),
        danger=True,
    )

    def act() -> str:
        accounts.revoke(grant=found, by=user, **form.cleaned_data)
        messages.success(request, f"{found.user.name} is no longer {found.get_role_display().lower()}.")
        return page.back[1]

    return ask(request, form, page, act)


def _end_of(last: date | None) -> datetime | None:
    """The end of a day in the zone of who says it."""
    if last is None:
        return None
    return datetime.combine(last + timedelta(days=1), time.min, timezone.get_current_timezone())


def _administrator(request: HttpRequest) -> User:
    """Who asks. Raises NotPermitted for all but administrators."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "accounts.edit", ORGANISATION)
    return user


def _person(request: HttpRequest, pk: UUID) -> tuple[User, User]:
    """A person and the administrator who asks. Raises NotPermitted, and Http404 for those who see nobody."""
    found = get_object_or_404(holding(User.objects.all(), request.user, "accounts.view"), pk=pk)
    return found, _administrator(request)


def _page_of(person: User) -> str:
    return reverse("person", args=[person.pk])
