"""The audit log: who did what, when and why."""

import json
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryFile
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from governance import accounts, anchors, audit_bodies, audit_exports, proofs, seals, verifications, waiting
from governance.accounts import ORGANISATION
from governance.audit_lines import NoLogError
from governance.export import csv_of
from governance.models import AuditBody, AuditEvent, AuditLeaf, AuditSample
from governance.models.accounts import reach
from governance.models.audit import AuditEventQuerySet
from governance.views import evidence
from governance.views.filters import ListFilter
from governance.views.forms import FormPage, ReasonForm, ask, sent
from governance.views.listing import in_order, page_of

# An entry that waits for its seal longer than this is worth a word: something does not run.
LATE = timedelta(seconds=30)
SORTED_BY = {"when": "at", "who": "actor_name", "what": "action"}
COLUMNS = (
    *("at", "actor_kind", "actor_id", "actor_name", "action", "object_type", "object_id", "object_name"),
    *("outcome", "summary", "reason", "request_id", "entry_hash"),
)


class AuditFilter(ListFilter):
    """What of the log is shown; the URL holds it."""

    q = forms.CharField(label="Text", required=False, max_length=200)
    action = forms.CharField(label="Act", required=False, max_length=60, help_text="for example changes.vote")
    object = forms.CharField(label="Object id", required=False, max_length=80)
    sample = forms.UUIDField(required=False, widget=forms.HiddenInput)
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def clean_sample(self) -> AuditSample | None:
        """The sample, where this person may read it."""
        wanted = self.cleaned_data["sample"]
        found = AuditSample.objects.visible_to(self.request.user).filter(pk=wanted).first() if wanted else None
        if wanted and found is None:
            raise forms.ValidationError("No sample that you may see has this id.")
        return found


@require_GET
def audit(request: HttpRequest) -> HttpResponse:
    """The log, newest first, as far as this person may read it."""
    teams = reach(request.user, "audit.view")
    if teams is not None and not teams:
        accounts.require(request.user, "audit.view")
    form = AuditFilter(request)
    page = page_of(_listed(request, form), request)
    count = page.paginator.count
    context = {
        "page": page,
        "filter_form": form,
        "may_sample": teams is None,
        "sampled": form.cleaned_data["sample"] if form.is_valid() else None,
        "headline": f"{count:,} {'entry' if count == 1 else 'entries'}, each act with its actor",
        "log": seals.standing(),
        "held": anchors.standing(),
        "verified": verifications.latest(),
        "late": timezone.now() - LATE,
    }
    return render(request, "governance/audit.html", context, status=form.http_status)


@require_GET
def audit_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same entries as a file, all of them."""
    accounts.require(request.user, "audit.view")
    return csv_of(_listed(request, AuditFilter(request).for_file()), name="audit.csv", lookups=COLUMNS)


@require_GET
def audit_entry(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One entry with all that it says, its place in the log, and what leads from it to a signed root."""
    event = get_object_or_404(AuditEvent.objects.visible_to(request.user), pk=pk)
    reader = accounts.signed_in(request.user)
    context = {
        "event": event,
        "evidence": evidence.of([event], acts=waiting.acts_of(reader)).get(event.pk),
        "proof": proofs.of(event),
        "body": AuditBody.objects.filter(pk=pk).defer("content", "salt").first(),
        "may_erase": accounts.can(reader, "audit_bodies.erase", ORGANISATION),
        "facts": [
            (title, json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True))
            for title, value in (("Before", event.before), ("After", event.after))
            if value is not None
        ],
    }
    return render(request, "governance/audit_entry.html", context)


@require_http_methods(["GET", "POST"])
def audit_body_erase(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Erase the personal part of an entry."""
    event = get_object_or_404(AuditEvent.objects.visible_to(request.user), pk=pk)
    accounts.require(request.user, "audit_bodies.erase", ORGANISATION)
    user, form = accounts.signed_in(request.user), ReasonForm(sent(request))
    page = FormPage(
        title="Erase the personal part",
        headline="Erase the personal part of this entry?",
        lede=f"“{event.summary}” stays, and so do all proofs. What was kept apart of it is gone for good, also for us.",
        submit="Erase it",
        back=("Entry", reverse("audit_entry", args=[pk])),
        danger=True,
    )

    def act() -> str:
        audit_bodies.erase(event=event, by=user, now=timezone.now(), **form.cleaned_data)
        messages.success(request, "The personal part is erased; the entry and its proofs stay.")
        return page.back[1]

    return ask(request, form, page, act)


@require_POST
def audit_export(request: HttpRequest) -> HttpResponseBase:
    """The whole log as a zip, without the personal parts of entries. That it was taken is an entry, so it is a POST."""
    accounts.require(request.user, "audit.view", ORGANISATION)
    file, now = TemporaryFile(), timezone.now()  # noqa: SIM115 (the answer closes it)
    by = accounts.signed_in(request.user)
    try:
        audit_exports.make(file=file, keys=Path(settings.KEYS), now=now, bodies=False, by=by)
    except NoLogError as error:
        file.close()
        messages.warning(request, str(error))
        return redirect("audit")
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=f"audit-{now:%Y-%m-%d}.zip")


def _listed(request: HttpRequest, form: AuditFilter) -> AuditEventQuerySet:
    """The entries that the filter leaves, newest first unless the address asks for another order."""
    events = AuditEvent.objects.visible_to(request.user).newest_first()
    if not form.is_valid():
        return events.none()
    said = form.cleaned_data
    if said["q"]:
        events = events.filter(summary__icontains=said["q"])
    if said["action"]:
        events = events.filter(action__startswith=said["action"])
    if said["object"]:
        events = events.filter(object_id=said["object"])
    if said["sample"]:
        events = events.filter(pk__in=AuditLeaf.objects.filter(index__in=said["sample"].draws).values("event_id"))
    if said["since"]:
        events = events.filter(at__date__gte=said["since"])
    if said["until"]:
        events = events.filter(at__date__lte=said["until"])
    return in_order(events, request, SORTED_BY)
