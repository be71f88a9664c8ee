"""Try a request: type one, see what becomes of it, and, where a person is asked, get the answer."""

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods
from django_htmx.http import reselect, reswap, retarget

from governance import accounts
from governance.figures import Rung
from governance.models import DataClass, Risk, User
from governance.views import drawing
from governance.views.choices import MOST_CHOICES
from governance.views.forms import sent
from routing import examples, trials
from routing.trials import Place, Request, State, Trial
from routing.views.requests import in_place

MOST_CHARACTERS = 20_000


class TrialForm(forms.Form):
    """Where, and what. The fields of `later` fold away until they are used."""

    LATER = ("data_class", "risk", "model")

    place = forms.ChoiceField(label="Where")
    text = forms.CharField(
        label="What the application would send", max_length=MOST_CHARACTERS, widget=forms.Textarea(attrs={"rows": 3})
    )
    data_class = forms.ChoiceField(
        label="Data class",
        required=False,
        choices=[("", "as the workflow declares"), *DataClass.choices],
        help_text="A request can raise it, never lower it.",
    )
    risk = forms.ChoiceField(
        label="Risk",
        required=False,
        choices=[("", "as the workflow declares"), *Risk.choices],
        help_text="A request can raise it, never lower it.",
    )
    model = forms.CharField(
        label="Model", required=False, max_length=200, help_text="Empty leaves the choice to the policy."
    )
    tries = forms.IntegerField(required=False, min_value=0, max_value=trials.TRIES, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, places: list[Place], chosen: str = "") -> None:
        super().__init__(data, initial={"place": chosen or (places[0].value if places else "")})
        self.places = {place.value: place for place in places}
        several = len({place.environment.pk for place in places}) > 1
        choices = [
            (place.value, f"{place.label}, {place.environment.name}" if several else place.label) for place in places
        ]
        self.fields["place"] = forms.ChoiceField(label="Where", choices=choices)

    @property
    def first(self) -> list[forms.BoundField]:
        """What everybody fills in."""
        return [bound for bound in self.visible_fields() if bound.name not in self.LATER]

    @property
    def later(self) -> list[forms.BoundField]:
        """The rest."""
        return [bound for bound in self.visible_fields() if bound.name in self.LATER]

    @property
    def chosen(self) -> Place | None:
        """The place that is chosen."""
        return self.places.get(str(self["place"].value() or ""))

    @property
    def examples(self) -> tuple[str, ...]:
        """What is offered to try there."""
        place = self.chosen
        return examples.of(workflow=place.workflow.slug, step=place.step.name) if place else ()

    @property
    def ladder(self) -> list[Rung]:
        """The ladder there, before anything is sent."""
        place = self.chosen
        return drawing.ladder(place.step, drawing.tiers()) if place else []

    def request(self) -> Request:
        """What is sent. For a valid form."""
        said = self.cleaned_data
        return Request(said["text"], said["data_class"], said["risk"], said["model"])


@require_http_methods(["GET", "HEAD", "POST"])
def trial(request: HttpRequest) -> HttpResponse:
    """The form, and what came of what was sent."""
    accounts.require(request.user, "trials.send")
    user = accounts.signed_in(request.user)
    form = form_for(user, request)
    if request.method != "POST":
        return render(request, "routing/trial.html", {"form": form})
    if not form.is_valid():
        answer = render(request, "routing/trial.html", {"form": form}, status=422)
        return reswap(reselect(retarget(answer, "#main"), "#main"), "outerHTML")
    made = trials.send(place=form.places[form.cleaned_data["place"]], request=form.request(), by=user)
    context = {"form": form, **shown(made, user, tries=form.cleaned_data["tries"] or 0)}
    return render(request, "routing/_trial.html" if in_place(request) else "routing/trial.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def trial_answer(request: HttpRequest, ticket: str) -> HttpResponse:
    """That a request waits for a person, for who typed it. POST fetches what came of it, and gets 204 until then.

    Fetching is the application's act, and is recorded as one: looking at the page is none.
    """
    user = accounts.signed_in(request.user)
    held = trials.redeem(ticket)
    if held is None or held.user != user.pk:
        raise Http404("No such trial.")
    came = trials.outcome(held, by=user) if request.method == "POST" else None
    if in_place(request):
        return render(request, "routing/_answer.html", {"came": came}) if came else HttpResponse(status=204)
    waits = Trial(State.PERSON, "A person is asked", "", held.decision, held.review)
    context = {"form": form_for(user, request, empty=True), **shown(waits, user), "came": came}
    return render(request, "routing/trial.html", context)


def form_for(user: User, request: HttpRequest, *, empty: bool = False) -> TrialForm:
    """The form with the places of this person; where they are too many, of the workflow that the address names.

    One with examples is chosen where the address names none. It holds what it was sent with, unless it is `empty`.
    """
    said = request.POST if request.method == "POST" else request.GET
    wanted = said.get("place", "")
    slug = wanted.partition("/")[0] or request.GET.get("workflow", "")
    places = trials.places(user) if trials.live(user).count() <= MOST_CHOICES else trials.places(user, workflow=slug)
    there = [place for place in places if place.workflow.slug == slug] or places
    offered = (place for place in there if examples.of(workflow=place.workflow.slug, step=place.step.name))
    first = next(offered, there[0] if there else None)
    chosen = wanted or (first.value if first else "")
    return TrialForm(None if empty else sent(request), places=places, chosen=chosen)


def shown(trial: Trial, user: User, *, tries: int = 0) -> dict[str, Any]:
    """What a page needs to show a trial."""
    if trial.state is State.NOT_YET and tries >= trials.TRIES:
        text = f"It refused the key for trials for {trials.TRIES} seconds. Is it connected to this control plane?"
        trial = Trial(State.BROKEN, "The gateway does not take the key", f"{trial.text} {text}")
    waits = trial.state is State.PERSON and trial.review is not None
    may_review = waits and accounts.can(user, "reviews.view")
    return {
        "trial": trial,
        "tries": tries + 1,
        "ticket_url": reverse("trial_answer", args=[trials.ticket(trial, user)]) if waits else None,
        "review_url": reverse("review", args=[trial.review]) if may_review else None,
    }
