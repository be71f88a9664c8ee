"""Sample sets: the list, one set with what may be done with it, uploading, scheduling, and its texts one by one."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from governance import accounts
from governance.accounts import NotPermitted
from governance.errors import GovernanceError, InvalidInput
from governance.export import csv_of, csv_response
from governance.models import Environment, PolicyHead, Step, Workflow
from governance.models.accounts import in_scope
from governance.views.forms import sent
from governance.views.listing import in_order, page_of
from routing import evaluations, samples, schedules
from routing import sample_sets as verbs
from routing.models import Evaluation, EvaluationSchedule, Sample, SampleSet
from routing.models.samples import SampleSetQuerySet
from routing.views.sample_set_forms import SampleSetFilter, SampleSetForm, SamplesOfSetFilter, ScheduleForm

SORTED_BY = {
    "name": "name",
    "workflow": "step__workflow__name",
    "samples": "size",
    "version": "version",
    "when": "created_at",
}
COLUMNS = (
    *("id", "step__workflow__slug", "step__name", "name", "version", "size", "labels", "source", "licence"),
    *("digest", "created_by__name", "created_at", "erased_at"),
)


@require_GET
def sample_sets(request: HttpRequest) -> HttpResponse:
    """The sets, newest versions alone unless asked."""
    accounts.require(request.user, "evaluations.view")
    form = SampleSetFilter(request)
    page = page_of(_listed(request, form), request)
    context = {
        "page": page,
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "schedules": EvaluationSchedule.objects.visible_to(request.user).in_force().for_list().order_by("next_due_at"),
        "may_edit": accounts.can(request.user, "evaluations.edit"),
    }
    return render(request, "routing/sample_sets.html", context, status=form.http_status)


@require_GET
def sample_sets_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same sets as a file, without any text."""
    accounts.require(request.user, "evaluations.view")
    form = SampleSetFilter(request).for_file()
    return csv_of(_listed(request, form), name="sample-sets.csv", lookups=COLUMNS)


@require_GET
def sample_set(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One set: what it is made of, what it may be used for, what was found on it."""
    return _page(request, _found(request, pk))


@require_GET
def sample_set_clusters(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The clusters that a set's samples come from, those of the most samples first."""
    found = _found(request, pk)
    clusters = found.samples.exclude(cluster=None).order_by().values("cluster").annotate(n=Count("pk"))
    page = page_of(clusters.order_by("-n", "cluster"), request)
    return render(request, "routing/sample_set_clusters.html", {"sample_set": found, "page": page})


@require_http_methods(["GET", "POST"])
def sample_set_new(request: HttpRequest) -> HttpResponse:
    """Upload a sample set, or the next version of one."""
    accounts.require(request.user, "evaluations.edit")
    offered = verbs.steps_that_can_be_evaluated(Step.objects.filter(workflow__in=_editable(request)))
    steps = offered.select_related("workflow")
    initial = {name: request.GET[name] for name in ("step", "name", "source", "licence") if name in request.GET}
    form = SampleSetForm(
        request.POST or None,
        request.FILES or None,
        steps=steps.order_by("workflow__name", "position"),
        initial=initial,
    )
    problems: tuple[str, ...] = ()
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            made = verbs.create(
                **{field: said[field] for field in ("step", "name", "source", "licence", "description")},
                labels=said["labels"].splitlines(),
                rows=form.rows(),
                by=accounts.signed_in(request.user),
            )
        except InvalidInput as error:
            problems = error.problems if isinstance(error, samples.InvalidSamples) else ()
            form.add_error(error.field if error.field in form.fields else None, _told(error))
        else:
            messages.success(request, f"Uploaded {made.size:,} samples as {made}.")
            return redirect("sample_set", pk=made.pk)
    context = {"form": form, "problems": problems, "offered": form.is_bound or offered.exists()}
    return render(request, "routing/sample_set_new.html", context, status=422 if request.method == "POST" else 200)


@require_POST
def sample_set_evaluate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Evaluate the set's step on it now."""
    found = _found(request, pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "evaluations.run", found)
    environment = _places(found).filter(name=request.POST.get("environment", "")).first()
    if environment is None:
        messages.error(request, "Nothing was started: choose an environment where the step is live and has a gateway.")
        return redirect("sample_set", pk=pk)
    try:
        made = evaluations.start(sample_set=found, environment=environment, by=user, now=timezone.now())
    except NotPermitted:
        raise
    except GovernanceError as error:
        messages.error(request, str(error))
        return redirect("sample_set", pk=pk)
    return redirect("evaluation", pk=made.pk)


@require_http_methods(["GET", "POST"])
def sample_set_schedule(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Say when the set's step is evaluated by itself."""
    found = _found(request, pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "evaluations.edit", found)
    places = _places(found)
    held = _schedules(found).first()
    initial = {"environment": held.environment, "cron": held.cron} if held else {"environment": places.first()}
    form = ScheduleForm(sent(request), places=places, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            made = evaluations.schedule(sample_set=found, by=user, now=timezone.now(), **form.cleaned_data)
        except InvalidInput as error:
            form.add_error(error.field if error.field in form.fields else None, _told(error))
        else:
            messages.success(request, f"From now on {schedules.words(made.cron)}.")
            return redirect("sample_set", pk=pk)
    context = {"sample_set": found, "form": form, "held": held, "zone": evaluations.zone().key, "places": places}
    return render(request, "routing/sample_set_schedule.html", context, status=422 if form.is_bound else 200)


@require_POST
def schedule_end(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End a schedule."""
    held = get_object_or_404(EvaluationSchedule.objects.visible_to(request.user).for_list(), pk=pk)
    user = accounts.signed_in(request.user)
    try:
        evaluations.unschedule(schedule=held, by=user, now=timezone.now())
    except evaluations.EvaluationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{held.step.name} is no longer evaluated by itself in {held.environment}.")
    return redirect("sample_set", pk=held.sample_set_id)


@require_POST
def sample_set_erase(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Erase the texts of a set, for good."""
    found = _found(request, pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "evaluations.edit", found)
    try:
        verbs.erase(sample_set=found, reason=request.POST.get("reason", ""), by=user, now=timezone.now())
    except (verbs.SampleSetError, InvalidInput) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The texts of {found} are erased.")
    return redirect("sample_set", pk=pk)


@require_POST
def sample_set_texts(request: HttpRequest, pk: UUID) -> HttpResponse | StreamingHttpResponse:
    """All samples with their texts as a file; the audit says who took it."""
    found = _found(request, pk)
    user = accounts.signed_in(request.user)
    try:
        opened = verbs.read(sample_set=found, by=user)
    except verbs.SampleSetError as error:
        messages.error(request, str(error))
        return redirect("sample_set", pk=pk)
    lines = ([each.position, samples.words(said), each.label, each.cluster] for each, said in opened)
    name = f"samples-{found.step.name}-{found.version}.csv"
    return csv_response(name=name, columns=("sample", "text", "label", "cluster"), rows=lines)


@require_POST
def sample_reveal(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The text of one sample, in its place on a page; the audit says who read it."""
    visible = SampleSet.objects.visible_to(request.user)
    found = get_object_or_404(
        Sample.objects.select_related("sample_set__step__workflow"), pk=pk, sample_set__in=visible
    )
    try:
        said = samples.words(verbs.read_sample(sample=found, by=accounts.signed_in(request.user)))
        unreadable = ""
    except verbs.SampleSetError as error:
        said, unreadable = "", str(error)
    return render(request, "routing/_evaluation_text.html", {"text": said, "unreadable": unreadable})


def _page(request: HttpRequest, found: SampleSet) -> HttpResponse:
    step = found.step
    form = SamplesOfSetFilter(request, sample_set=found)
    listed = found.samples.defer("sealed", "signals").order_by("position")
    if form.is_valid():
        said = {name: value for name, value in form.cleaned_data.items() if value}
        listed = listed.filter(**said)
    else:
        listed = listed.none()
    places = [
        each
        for each in _places(found)
        if accounts.can(request.user, "evaluations.run", step.workflow, environment=each)
    ]
    context = {
        "sample_set": found,
        "page": page_of(listed, request),
        "filter_form": form,
        "counts": found.label_counts(),
        "clusters": found.cluster_count(),
        "versions": SampleSet.objects.filter(step=step, name=found.name).order_by("-version"),
        "evaluations": Evaluation.objects.visible_to(request.user).filter(sample_set=found).for_list()[:6],
        "schedules": _schedules(found),
        "places": places,
        "active": Evaluation.objects.active().filter(step=step).first(),
        "may_edit": accounts.can(request.user, "evaluations.edit", found),
        "can_be": verbs.steps_that_can_be_evaluated(Step.objects.filter(pk=step.pk)).exists(),
        "may_audit": accounts.can(request.user, "audit.view", found),
    }
    return render(request, "routing/sample_set.html", context, status=form.http_status)


def _found(request: HttpRequest, pk: UUID) -> SampleSet:
    return get_object_or_404(SampleSet.objects.visible_to(request.user).for_list(), pk=pk)


def _listed(request: HttpRequest, form: SampleSetFilter) -> SampleSetQuerySet:
    """The sets that the filter leaves, the newest first unless the address asks for another order."""
    found = SampleSet.objects.visible_to(request.user).for_list()
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said["versions"] != "all":
        found = found.newest_versions()
    if said["q"]:
        found = found.filter(name__icontains=said["q"])
    if said["workflow"]:
        found = found.filter(step__workflow__slug=said["workflow"])
    return in_order(found, request, SORTED_BY, usual="-when")


def _schedules(found: SampleSet) -> Any:
    """The schedules of the set's step that hold."""
    return EvaluationSchedule.objects.in_force().filter(step=found.step).for_list().order_by("environment__position")


def _places(found: SampleSet) -> Any:
    """Where the set's step has a live policy and a gateway, the last on the way to production first."""
    live = PolicyHead.objects.filter(workflow=found.step.workflow).values("environment")
    return Environment.objects.filter(pk__in=live).exclude(gateway_url="").order_by("-position")


def _editable(request: HttpRequest) -> Any:
    return in_scope(Workflow.objects.in_use(), request.user, "evaluations.edit", "team")


def _told(error: InvalidInput) -> str:
    """What is wrong, without the name of the field, which stands above it."""
    if isinstance(error, samples.InvalidSamples):
        return f"{error.faults} row{'s' if error.faults > 1 else ''} cannot be taken; nothing was uploaded."
    return str(error).removeprefix(f"{error.field}: ")
