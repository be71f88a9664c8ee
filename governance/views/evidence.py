"""Where the thing itself is that an audit entry is about: the page that opens as its evidence."""

from collections.abc import Collection, Iterable
from uuid import UUID

from django.apps import apps
from django.db.models import CharField, F, Value
from django.db.models.functions import Cast
from django.urls import reverse

from governance.models import AuditEvent

# By what an entry calls its object: the page about it, and what that page asks of its reader. Its id leads there.
_BY_ID = {
    "change": ("change", "changes.view"),
    "review": ("review", "reviews.view"),
    "user": ("person", "accounts.view"),
    "webhook": ("webhook", "webhooks.view"),
    "evaluation": ("evaluation", "evaluations.view"),
    "sampleset": ("sample_set", "evaluations.view"),
    "simulation": ("simulation", "spend.view"),
    "auditevent": ("audit_entry", "audit.view"),
    "auditsample": ("audit_sample", "audit.view"),
}
# What has a line in a list and no page of its own.
_LISTED = {
    "stop": ("stops", "workflows.view"),
    "apikey": ("keys", "workflows.view"),
    "gateway": ("gateways", "registry.view"),
    "bundle": ("instances", "registry.view"),
    "environment": ("environments", "registry.view"),
    "auditcheckpoint": ("audit", "audit.view"),
    "auditepoch": ("audit", "audit.view"),
}
# What is found by a name, or on the page of something else: that page, what it asks, whose rows, by their label since
# some lie above this package, and the column that leads to it.
_BY_NAME = {
    "workflow": ("workflow", "workflows.view", "governance.Workflow", "slug"),
    "step": ("workflow", "workflows.view", "governance.Step", "workflow__slug"),
    "baseline": ("workflow", "workflows.view", "ledger.Baseline", "workflow__slug"),
    "team": ("team", "accounts.view", "governance.Team", "slug"),
    "grant": ("person", "accounts.view", "governance.Grant", "user_id"),
    "accesstoken": ("person", "accounts.view", "governance.AccessToken", "person_id"),
    "delegation": ("person", "accounts.view", "governance.Delegation", "by_id"),
    "model": ("model", "registry.view", "governance.Model", "name"),
    "endpoint": ("model", "registry.view", "governance.Endpoint", "version__model__name"),
    "suspension": ("model", "registry.view", "governance.Suspension", "content__model_version__model__name"),
    "price": ("model", "registry.view", "ledger.Price", "endpoint__version__model__name"),
    "provider": ("provider", "registry.view", "governance.Provider", "slug"),
    "probe": ("provider", "registry.view", "governance.Probe", "endpoint__provider__slug"),
    "sample": ("sample_set", "evaluations.view", "routing.Sample", "sample_set_id"),
    "evaluationschedule": ("sample_set", "evaluations.view", "routing.EvaluationSchedule", "sample_set_id"),
}
# A price of a provider's list is of no endpoint: all that the provider serves has it.
_LIST_PRICE = ("provider", "registry.view", "ledger.Price", "provider")


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
            page, name = named[event.object_id]
            found[event.pk] = reverse(page, args=[name])
    return found


def _names(events: Iterable[AuditEvent]) -> dict[str, tuple[str, str]]:
    """The page of each object that its id does not lead to, and what leads there."""
    wanted: dict[str, set[str]] = {}
    for event in events:
        if event.object_type in _BY_NAME:
            wanted.setdefault(event.object_type, set()).add(event.object_id)
    asked = []
    for kind, ids in wanted.items():
        for page, _act, label, column in (_BY_NAME[kind], *([_LIST_PRICE] if kind == "price" else [])):
            rows = apps.get_model(label)._default_manager.filter(pk__in=ids).exclude(**{column: None}).order_by()
            leads_to = {"page": Value(page, CharField()), "leads_to": Cast(F(column), CharField())}
            asked.append(rows.annotate(row=Cast("pk", CharField()), **leads_to).values_list("row", "page", "leads_to"))
    if not asked:
        return {}
    first, *rest = asked
    return {pk: (page, name) for pk, page, name in first.union(*rest, all=True)}
