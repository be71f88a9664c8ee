"""What else befalls a case: its holder keeps it, a lead cancels it, or what it said is erased."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from governance import accounts, reviews
from governance.models import Review
from governance.views.forms import FormPage, ReasonForm, ask, sent
from governance.views.reviews import token_of

# What htmx takes as "ask no more".
STOP_POLLING = 286


@require_POST
def review_renew(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Hold the case for longer while its page is open; the answer says until when, or why no more."""
    found = get_object_or_404(Review.objects.visible_to(request.user).for_list(), pk=pk)
    accounts.require(request.user, "reviews.take", found)
    user, token = accounts.signed_in(request.user), token_of(request)
    try:
        held = reviews.renew(review=found, token=token, by=user, now=timezone.now())
    except reviews.ReviewError as error:
        return render(request, "governance/_claim.html", {"lost": str(error)}, status=STOP_POLLING)
    return render(request, "governance/_claim.html", {"review": held})


@require_http_methods(["GET", "POST"])
def review_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End a case without an answer."""
    found = get_object_or_404(Review.objects.visible_to(request.user).for_list(), pk=pk)
    accounts.require(request.user, "reviews.cancel", found)
    return _with_reason(
        request,
        found,
        FormPage(
            title="Cancel the case",
            headline=f"Cancel “{found.title}”?",
            lede="Nobody is asked any more. The application is told that its case was cancelled, and gets no answer.",
            submit="Cancel the case",
            back=(found.title, reverse("review", args=[pk])),
            danger=True,
        ),
        reviews.cancel,
        "The case is cancelled.",
    )


@require_http_methods(["GET", "POST"])
def review_erase(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Erase what an ended case said."""
    found = get_object_or_404(Review.objects.visible_to(request.user).for_list(), pk=pk)
    accounts.require(request.user, "reviews.erase", found)
    return _with_reason(
        request,
        found,
        FormPage(
            title="Erase the text",
            headline=f"Erase what “{found.title}” said?",
            lede="What was shown and what was answered is gone for good; the record, its cost and its digests stay. "
            "An application that has not fetched the answer yet is told that the case was cancelled.",
            submit="Erase the text",
            back=(found.title, reverse("review", args=[pk])),
            danger=True,
        ),
        reviews.erase,
        "What the case said is erased.",
    )


def _with_reason(
    request: HttpRequest, found: Review, page: FormPage, verb: Callable[..., Review], done: str
) -> HttpResponse:
    form = ReasonForm(sent(request))
    user = accounts.signed_in(request.user)

    def act() -> str:
        verb(review=found, by=user, now=timezone.now(), **form.cleaned_data)
        messages.success(request, done)
        return page.back[1]

    return ask(request, form, page, act)
