"""The audit log: who did what, when and why."""

import csv
from collections.abc import Iterator

from django import forms
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from governance import accounts
from governance.models import AuditEvent
from governance.models.audit import AuditEventQuerySet

COLUMNS = ("at", "actor_kind", "actor_id", "actor_name", "action", "object_type", "object_id", "object_name")
MORE_COLUMNS = ("outcome", "summary", "reason", "request_id", "entry_hash")


class AuditFilter(forms.Form):
    """What of the log is shown; the URL holds it."""

    q = forms.CharField(label="Text", required=False, max_length=200)
    action = forms.CharField(label="Act", required=False, max_length=60, help_text="for example changes.vote")
    object = forms.CharField(label="Object id", required=False, max_length=80)
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))


@require_GET
def audit(request: HttpRequest) -> HttpResponse:
    """The log, newest first, as far as this person may read it."""
    accounts.require(request.user, "audit.view")
    form = AuditFilter(request.GET or None)
    events = _filtered(AuditEvent.objects.visible_to(request.user), form)
    page = Paginator(events, 50).get_page(request.GET.get("page"))
    count = page.paginator.count
    context = {
        "page": page,
        "filter_form": form,
        "headline": f"{count:,} {'entry' if count == 1 else 'entries'}, each act with its actor",
    }
    return render(request, "governance/audit.html", context)


@require_GET
def audit_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same entries as a file, all of them."""
    accounts.require(request.user, "audit.view")
    events = _filtered(AuditEvent.objects.visible_to(request.user), AuditFilter(request.GET or None))
    response = StreamingHttpResponse(_rows(events), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return response


class _Line:
    """What csv writes to: hands each line on."""

    def write(self, line: str) -> str:
        return line


def _rows(events: AuditEventQuerySet) -> Iterator[str]:
    columns = COLUMNS + MORE_COLUMNS
    writer = csv.writer(_Line())
    yield writer.writerow(columns)
    for event in events.values_list(*columns).iterator(chunk_size=2000):
        yield writer.writerow([_safe(value) for value in event])


def _safe(value: object) -> str:
    """A cell that a spreadsheet takes for text, not for a formula."""
    text = "" if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _filtered(events: AuditEventQuerySet, form: AuditFilter) -> AuditEventQuerySet:
    if not form.is_valid():
        return events.newest_first()
    said = form.cleaned_data
    if said["q"]:
        events = events.filter(summary__icontains=said["q"])
    if said["action"]:
        events = events.filter(action__startswith=said["action"])
    if said["object"]:
        events = events.filter(object_id=said["object"])
    if said["since"]:
        events = events.filter(at__date__gte=said["since"])
    if said["until"]:
        events = events.filter(at__date__lte=said["until"])
    return events.newest_first()
