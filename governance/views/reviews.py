"""Reviews: the queue, one case, and the acts on it."""

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from governance import accounts, reviews
from governance.export import csv_of
from governance.models import Review, Workflow
from governance.models.accounts import in_scope
from governance.models.reviews import ReviewQuerySet
from governance.views import case
from governance.views.filters import Among, ListFilter
from governance.views.listing import in_order, page_of

SORTED_BY = {
    "opened": "opened_at",
    "workflow": "workflow__name",
    "why": "reason_code",
    "respond": "respond_by",
    "state": "status",
}
# Nothing here that an application wrote about the case: its title stays with the case.
COLUMNS = (
    *("id", "decision", "workflow__slug", "environment__name", "step", "reason_code", "role", "status", "outcome"),
    *("opened_at", "respond_by", "expires_at", "ended_at", "delivered_at", "claimed_by__name", "ended_by__name"),
)
# In the session: the cases that this person put back last, which come to him again only after all others.
PUT_BACK = "reviews_put_back"
MOST_PUT_BACK = 50


class ReviewFilter(ListFilter):
    """Which reviews are listed."""

    status = forms.ChoiceField(
        label="State",
        required=False,
        choices=[("", "Waiting"), ("ended", "Ended"), ("mine", "Decided by me today"), ("all", "All")],
    )
    workflow = forms.CharField(label="Workflow", required=False, max_length=60)

    def among(self) -> dict[str, Among]:
        """The workflows whose cases this person may see."""
        seen = in_scope(Workflow.objects.all(), self.request.user, "reviews.view", "team")
        return {"workflow": Among(seen, "workflow", by=("slug",))}


@require_GET
def review_list(request: HttpRequest) -> HttpResponse:
    """The queue, the most urgent first."""
    accounts.require(request.user, "reviews.view")
    form = ReviewFilter(request)
    page = page_of(_listed(request, form), request)
    may_take = accounts.can(request.user, "reviews.take")
    waiting = Review.objects.visible_to(request.user).waiting().count()
    context = {
        "page": page,
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "may_take": may_take,
        "headline": f"{waiting} {'case waits' if waiting == 1 else 'cases wait'} for a person"
        if waiting
        else "No case waits for a person",
        "done_today": Review.objects.ended_today_by(request.user).count() if may_take else None,
    }
    return render(request, "governance/reviews.html", context, status=form.http_status)


@require_GET
def reviews_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same reviews as a file, all of them, with nothing of what a case says."""
    accounts.require(request.user, "reviews.view")
    return csv_of(_listed(request, ReviewFilter(request).for_file()), name="reviews.csv", lookups=COLUMNS)


@require_GET
def review(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One case: why it is here, what was tried, and, for its holder, what it says."""
    found = get_object_or_404(Review.objects.visible_to(request.user).for_list(), pk=pk)
    return _page(request, found)


@require_POST
def review_next(request: HttpRequest) -> HttpResponse:
    """Take the most urgent case that nobody holds."""
    accounts.require(request.user, "reviews.take")
    return _next(request)


@require_POST
def review_claim(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take this case."""
    found = get_object_or_404(Review.objects.visible_to(request.user).for_list(), pk=pk)
    accounts.require(request.user, "reviews.take", found)
    try:
        reviews.claim(review=found, by=accounts.signed_in(request.user), now=timezone.now())
    except reviews.ReviewError as error:
        messages.error(request, str(error))
    return redirect("review", pk=pk)


@require_POST
def review_release(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put a case back for others; who asked for the next one gets it, and this one after all others."""
    found = get_object_or_404(Review.objects.visible_to(request.user).for_list(), pk=pk)
    accounts.require(request.user, "reviews.take", found)
    try:
        reviews.release(review=found, token=token_of(request), by=accounts.signed_in(request.user), now=timezone.now())
    except reviews.ReviewError as error:
        messages.error(request, str(error))
        return redirect("review", pk=pk)
    put_back = [each for each in request.session.get(PUT_BACK, []) if each != str(pk)]
    request.session[PUT_BACK] = [*put_back, str(pk)][-MOST_PUT_BACK:]
    messages.success(request, f"“{found.title}” is back in the queue.")
    return _next(request) if "next" in request.POST else redirect("reviews")


@require_POST
def review_answer(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Decide the case; the application fetches the answer."""
    found = get_object_or_404(Review.objects.visible_to(request.user).for_list(), pk=pk)
    accounts.require(request.user, "reviews.take", found)
    form = case.AnswerForm(request.POST, shape=found.answer)
    if not form.is_valid():
        return _page(request, found, form)
    try:
        reviews.answer(
            review=found,
            token=token_of(request),
            answer=form.answer(),
            by=accounts.signed_in(request.user),
            now=timezone.now(),
        )
    except reviews.InvalidAnswer as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return _page(request, found, form)
    except reviews.ReviewError as error:
        messages.error(request, str(error))
        return redirect("review", pk=pk)
    messages.success(request, f"Answered “{found.title}”. The application gets it at its next poll.")
    return _next(request, otherwise=pk) if "next" in request.POST else redirect("review", pk=pk)


def _listed(request: HttpRequest, form: ReviewFilter) -> ReviewQuerySet:
    """The reviews that the filter leaves, the most urgent first unless the address asks for another order."""
    found = Review.objects.visible_to(request.user).for_list()
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said["workflow"]:
        found = found.filter(workflow__slug=said["workflow"])
    if said["status"] == "ended":
        found = found.filter(status__in=Review.ENDED).order_by("-ended_at", "id")
    elif said["status"] == "mine":
        found = found.ended_today_by(request.user)
    elif said["status"] == "all":
        found = found.order_by("-opened_at", "id")
    else:
        found = found.waiting()
    return in_order(found, request, SORTED_BY)


def _next(request: HttpRequest, otherwise: UUID | None = None) -> HttpResponse:
    """Take the most urgent case, and show it; where none is left, another page."""
    after = [UUID(each) for each in request.session.get(PUT_BACK, [])]
    taken = reviews.claim_next(by=accounts.signed_in(request.user), now=timezone.now(), after=after)
    if taken is None and otherwise is None:
        messages.info(request, "Nothing waits: every case is taken or done.")
    shown = taken.pk if taken else otherwise
    return redirect("review", pk=shown) if shown else redirect("reviews")


def token_of(request: HttpRequest) -> UUID | None:
    """Return the token under which the page's reader holds the case; None for what is none."""
    try:
        return UUID(request.POST.get("token", ""))
    except ValueError:
        return None


def _page(request: HttpRequest, found: Review, form: case.AnswerForm | None = None) -> HttpResponse:
    may_take = accounts.can(request.user, "reviews.take", found)
    ended = found.status == Review.Status.ANSWERED
    mine = found.status == Review.Status.CLAIMED and found.claimed_by_id == request.user.pk
    user, opened, unreadable = accounts.signed_in(request.user), None, ""
    try:
        opened = reviews.read_body(review=found, by=user) if mine else None
        said = reviews.read_answer(review=found, by=user) if ended and may_take else None
    except reviews.Unreadable as error:
        said, unreadable = None, str(error)
    context = {
        "review": found,
        "mine": mine,
        "case": case.shown(opened) if opened else None,
        "body_erased": found.body.erased_at is not None,
        "rungs": case.rungs(found, opened),
        "form_error": next((text for errors in form.errors.values() for text in errors), "") if form else "",
        "form": form or case.AnswerForm(shape=found.answer, draft=case.draft(opened)),
        "options": case.options(found.answer),
        "may_take": may_take and found.status in Review.WAITING and not mine,
        "expiry_words": case.expiry_words(found.on_expiry),
        "done_today": Review.objects.ended_today_by(request.user).count(),
        "answer": case.answer_words(said) if ended and may_take and not unreadable else None,
        "unreadable": unreadable,
        "may_audit": accounts.can(request.user, "audit.view", found),
        "may_cancel": found.status in Review.WAITING and accounts.can(request.user, "reviews.cancel", found),
        "may_erase": found.status in Review.ENDED
        and found.body.erased_at is None
        and accounts.can(request.user, "reviews.erase", found),
        "may_see_request": accounts.can(request.user, "requests.view", found),
    }
    return render(request, "governance/review.html", context, status=422 if form else 200)
