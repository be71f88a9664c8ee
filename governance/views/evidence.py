"""Where the thing itself is that an audit entry is about: the page that opens as its evidence."""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.db.models import CharField, F, QuerySet
from django.db.models.functions import Cast
from django.urls import reverse

from governance.models import AuditEvent, Comment, Endpoint, Grant, Model, Provider, Team, Workflow

# By what an entry calls its object: the page about it, what that page asks of its reader, and how it is found.
_BY_ID = {
    "change": ("change", "changes.view"),
    "review": ("review", "reviews.view"),
    "user": ("person", "accounts.view"),
    "webhook": ("webhook", "webhooks.view"),
    "evaluation": ("evaluation", "evaluations.view"),
    "sampleset": ("sample_set", "evaluations.view"),
    "simulation": ("simulation", "spend.view"),
    "auditsample": ("audit_sample", "audit.view"),
}
# What has a line in a list and no page of its own.
_LISTED = {
    "stop": ("stops", "workflows.view"),
    "apikey": ("keys", "workflows.view"),
    "gateway": ("gateways", "registry.view"),
    "environment": ("environments", "registry.view"),
    "auditcheckpoint": ("audit", "audit.view"),
    "auditepoch": ("audit", "audit.view"),
}
# What is found by a name, or on the page of something else: that page, and the column that leads to it.
_BY_NAME: dict[str, tuple[str, str, "QuerySet[Any]", str]] = {
    "workflow": ("workflow", "workflows.view", Workflow.objects.all(), "slug"),
    "team": ("team", "accounts.view", Team.objects.all(), "slug"),
    "model": ("model", "registry.view", Model.objects.all(), "name"),
    "endpoint": ("model", "registry.view", Endpoint.objects.all(), "version__model__name"),
    "provider": ("provider", "registry.view", Provider.objects.all(), "slug"),
    "grant": ("person", "accounts.view", Grant.objects.all(), "user_id"),
    "comment": ("change", "changes.view", Comment.objects.all(), "change_id"),
}


def of(events: Collection[AuditEvent], *, acts: Collection[str]) -> dict[UUID, str]:
    """Return the address of what each event is about, for a reader who has these acts everywhere; one query at most.

    Events about what has no page, or none that the reader may open, are left out.
    """
    named = _names(events)
    found = {}
    for event in events:
        kind = event.object_type
        page, act, *_ = _BY_ID.get(kind) or _LISTED.get(kind) or _BY_NAME.get(kind) or ("", "")
        if act not in acts:
            continue
        if kind in _LISTED:
            found[event.pk] = reverse(page)
        elif kind in _BY_ID:
            found[event.pk] = reverse(page, args=[event.object_id])
        elif event.object_id in named:
            found[event.pk] = reverse(page, args=[named[event.object_id]])
    return found


def _names(events: Iterable[AuditEvent]) -> dict[str, str]:
    """What leads to the page of each object that its id does not lead to."""
    wanted: dict[str, set[str]] = {}
    for event in events:
        if event.object_type in _BY_NAME:
            wanted.setdefault(event.object_type, set()).add(event.object_id)
    asked = []
    for kind, ids in wanted.items():
        *_, rows, column = _BY_NAME[kind]
        name = Cast(F(column), CharField())
        asked.append(rows.filter(pk__in=ids).order_by().annotate(leads_to=name).values_list("pk", "leads_to"))
    if not asked:
        return {}
    first, *rest = asked
    return {str(pk): name for pk, name in first.union(*rest, all=True)}
