"""Samples of the audit log: those drawn, the form that draws one, and each with its draws and their evidence."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from governance import accounts, audit_exports, audit_samples, seals, waiting
from governance.accounts import ORGANISATION
from governance.export import csv_of
from governance.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditSample
from governance.models.audit_samples import KINDS, LARGEST, AuditSampleQuerySet
from governance.views import evidence
from governance.views.forms import FormPage, ask, sent
from governance.views.listing import ROWS, in_order, page_of

SORTED_BY = {"drawn": "created_at", "who": "actor_name", "population": "population", "n": "n"}
COLUMNS = (
    *("created_at", "actor_id", "actor_name", "purpose", "acts", "since", "until", "seed", "n", "population"),
    *("draws", "checkpoint", "size", "root", "id"),
)
EVERYTHING = "all"
# A quarter, unless said.
USUAL = timedelta(days=90)
MOMENT = "%Y-%m-%dT%H:%M:%S"


class UtcField(forms.DateTimeField):
    """A moment that is read and shown in UTC, whatever the zone of who reads: the log's own clock."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format=MOMENT)

    def to_python(self, value: Any) -> datetime | None:
        """Read it in UTC."""
        with timezone.override(UTC):
            return super().to_python(value)

    def prepare_value(self, value: Any) -> Any:
        """Show it in UTC."""
        with timezone.override(UTC):
            return super().prepare_value(value)


class SampleForm(forms.Form):
    """What is drawn from, over which period, how many, and with which seed."""

    kinds = forms.MultipleChoiceField(
        label="Draw from",
        required=False,
        choices=[(name, kind.label) for name, kind in KINDS.items()] + [(EVERYTHING, "Every entry")],
        widget=forms.CheckboxSelectMultiple,
    )
    acts = forms.CharField(
        label="Acts by their names",
        required=False,
        max_length=2000,
        help_text="As entries name them, such as changes.vote; several with a comma between them.",
    )
    since = UtcField(label="From, in UTC")
    until = UtcField(
        label="Until, in UTC",
        help_text="Entries before this moment. It lies before the last checkpoint, so that nothing is added later.",
    )
    n = forms.IntegerField(label="How many", min_value=1, max_value=LARGEST)
    seed = forms.CharField(
        max_length=200,
        help_text="Decides which ones. Bring your own, as from dice, if nobody here should have chosen it.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    purpose = forms.CharField(
        label="What for", required=False, max_length=200, help_text="Such as a control’s number. Stands in the log."
    )

    def clean(self) -> dict[str, Any]:
        """Ask for a population, and make acts of what was chosen."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        kinds = said.get("kinds", [])
        named = [act for part in said.get("acts", "").split(",") if (act := part.strip())]
        if not kinds and not named and "kinds" not in self.errors and "acts" not in self.errors:
            self.add_error("kinds", "Choose what to draw from, or name acts below.")
        chosen = [act for kind in kinds if kind != EVERYTHING for act in KINDS[kind].acts]
        return said | {"acts": [] if EVERYTHING in kinds else chosen + named}


@require_GET
def audit_sample_list(request: HttpRequest) -> HttpResponse:
    """All samples, newest first."""
    accounts.require(request.user, "audit.view", ORGANISATION)
    page = page_of(_listed(request), request)
    context = {
        "page": page,
        "count": page.paginator.count,
        "may_draw": accounts.can(request.user, "audit_samples.draw", ORGANISATION),
    }
    return render(request, "governance/audit_samples.html", context)


@require_GET
def audit_samples_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same samples as a file, all of them."""
    accounts.require(request.user, "audit.view", ORGANISATION)
    return csv_of(_listed(request), name="audit-samples.csv", lookups=COLUMNS)


@require_http_methods(["GET", "POST"])
def audit_sample_new(request: HttpRequest) -> HttpResponse:
    """Draw a sample: from what, over which period, how many."""
    accounts.require(request.user, "audit_samples.draw", ORGANISATION)
    user = accounts.signed_in(request.user)
    signed = AuditCheckpoint.objects.order_by("-number").values_list("at", flat=True).first()
    end = (signed or timezone.now()).replace(microsecond=0)
    initial = {"since": end - USUAL, "until": end, "n": 25, "seed": secrets.token_hex(16)}
    form = SampleForm(sent(request), initial=initial)
    page = FormPage(
        title="Draw a sample",
        headline="Draw entries of the log at random",
        lede="What is drawn follows from the seed and the sealed log alone: anybody can draw the same again.",
        submit="Draw",
        back=("Samples", reverse("audit_samples")),
        groups=(("From what", ("kinds", "acts")), ("Over which period", ("since", "until"))),
    )

    def act() -> str:
        said = {name: value for name, value in form.cleaned_data.items() if name != "kinds"}
        made = audit_samples.draw(by=user, now=timezone.now(), **said)
        messages.success(request, f"{len(made.draws):,} of {made.population:,} entries are drawn.")
        return reverse("audit_sample", args=[made.pk])

    return ask(request, form, page, act)


@require_GET
def audit_sample(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One sample: its population, its proof, and each draw with its entry and the thing itself."""
    found = get_object_or_404(AuditSample.objects.visible_to(request.user), pk=pk)
    page = Paginator(list(enumerate(found.draws, 1)), ROWS).get_page(request.GET.get("page"))
    leaves = AuditLeaf.objects.in_bulk([index for _place, index in page])
    events = AuditEvent.objects.in_bulk([leaf.event_id for leaf in leaves.values()])
    addresses = evidence.of(list(events.values()), acts=waiting.acts_of(accounts.signed_in(request.user)))
    rows = []
    for place, index in page:
        leaf = leaves.get(index)
        event = events.get(leaf.event_id) if leaf else None
        rows.append(
            {
                "place": place,
                "index": index,
                "event": event,
                "evidence": addresses.get(event.pk) if event else None,
                "unchanged": bool(event and leaf and seals.is_sealed_as(event, leaf)),
            }
        )
    return render(request, "governance/audit_sample.html", {"sample": found, "page": page, "rows": rows})


@require_POST
def audit_sample_export(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """A sample with its population and what proves it, as a zip. That it was taken is an entry, so it is a POST."""
    found = get_object_or_404(AuditSample.objects.visible_to(request.user), pk=pk)
    by, now, file = accounts.signed_in(request.user), timezone.now(), TemporaryFile()  # noqa: SIM115 (the answer closes it)
    audit_exports.make_of_sample(file=file, sample=found, keys=Path(settings.KEYS), now=now, by=by)
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=f"audit-sample-{found.created_at:%Y-%m-%d}.zip")


def _listed(request: HttpRequest) -> AuditSampleQuerySet:
    return in_order(AuditSample.objects.visible_to(request.user).newest_first(), request, SORTED_BY)
