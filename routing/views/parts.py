"""Parts of other pages that evaluations know: a workflow's steps beside real requests, a change on the samples."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from governance import accounts
from governance.models import Change, Mode, PolicyHead, Workflow
from governance.views.workflows import main_head
from ledger import recent
from ledger.recent import Recent
from ledger.spend import Selection
from ledger.views import selection as chosen
from ledger.views.selection import address
from routing import evaluations, observing, replays
from routing.evaluations import Measured
from routing.models import Evaluation, EvaluationScore, SampleSet
from routing.observing import Compared, Share, Watched
from routing.replays import Replay
from routing.requests import Kind, Watching
from routing.views import wording
from routing.views.evaluations import DAYS


@dataclass(frozen=True)
class Stood:
    """What a step's newest evaluation found, and the same figures of its real requests."""

    found: Measured
    headline: str
    live: Recent | None
    rows: list[wording.Beside]
    query: str
    outdated: bool


@dataclass(frozen=True)
class Foretold:
    """What a step's evaluated samples say of a change: figures under the base and under the proposed policy.

    `moved` is a sentence on what goes from people to models and back; empty without a base.
    """

    evaluation: Evaluation
    after: Replay
    rows: list[wording.Foretold]
    moved: str
    same: bool


@dataclass(frozen=True)
class Asked:
    """The requests of one step that asked one model: what the policy would have cost, and how right each is.

    `alone` is the model's score on all samples, `there` how many it has right of those that the policy answers itself;
    `query` narrows the list of observed requests to these, `samples` leads to those that the policy answers.
    """

    compared: Compared
    alone: EvaluationScore | None
    there: Share | None
    policy: Replay
    query: str
    samples: str


@require_GET
def evaluation_part(request: HttpRequest, slug: str) -> HttpResponse:
    """What the newest evaluation of each step of a workflow found, beside its real requests of the last thirty days."""
    workflow = get_object_or_404(Workflow.objects.visible_to(request.user).with_heads(), slug=slug)
    accounts.require(request.user, "evaluations.view", workflow)
    head = main_head(workflow)
    measured = evaluations.latest_of(workflow, head.environment) if head else []
    live: dict[str, Recent] = {}
    if head and measured and accounts.can(request.user, "spend.view", workflow):
        steps = [each.evaluation.step.name for each in measured]
        since = timezone.now() - timedelta(days=DAYS)
        live = recent.of_steps(workflow.pk, steps, head.environment_id, since=since)
    last = chosen.today()
    stood = []
    for each in measured:
        step = each.evaluation.step.name
        lately = live.get(step)
        query = address(Selection(last - timedelta(days=DAYS - 1), last, workflow.slug, step))
        outdated = head is not None and each.evaluation.policy_version_id != head.version_id
        rows = wording.beside(each, lately) if lately else []
        stood.append(Stood(each, wording.headline(each), lately, rows, query, outdated))
    context = {
        "workflow": workflow,
        "head": head,
        "stood": stood,
        "days": DAYS,
        "set": SampleSet.objects.filter(step__workflow=workflow, erased_at=None).order_by("-created_at").first(),
        "recorded": head is not None and head.environment.recorded,
        "may_edit": accounts.can(request.user, "evaluations.edit", workflow),
    }
    return render(request, "routing/_evaluation_part.html", context)


@require_GET
def observed_part(request: HttpRequest, slug: str) -> HttpResponse:
    """What the observed policy of a workflow would have cost and got right, beside the models that were asked."""
    workflow = get_object_or_404(Workflow.objects.visible_to(request.user).with_heads(), slug=slug)
    accounts.require(request.user, "spend.view", workflow)
    accounts.require(request.user, "evaluations.view", workflow)
    head = main_head(workflow)
    context: dict[str, Any] = {"workflow": workflow, "head": head, "days": DAYS}
    if head and head.mode == Mode.OBSERVE:
        last, zone = chosen.today(), chosen.reporting_zone()
        first = last - timedelta(days=DAYS - 1)
        since = datetime.combine(first, datetime.min.time(), tzinfo=zone)
        watched = observing.watched(head, since=since, now=timezone.now())
        context |= {
            "watched": watched,
            "totals": [(total, _of_total(total, watched)) for total in watched.totals],
            "rows": [_watched(each, watched, head) for each in watched.compared],
            "query": address(Selection(first, last, workflow.slug)),
            "beyond": [
                (each, _told({"step": each.step}, each.currency, each.ladders)) for each in watched.beyond.values()
            ],
            "asked": _asked(head, first),
            "may_run": accounts.can(request.user, "evaluations.run", workflow, environment=head.environment),
        }
    return render(request, "routing/_observed_part.html", context)


@require_GET
def change_evaluated(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What the newest evaluated samples of each step say of a change, by replay of their recorded answers."""
    change = get_object_or_404(Change.objects.visible_to(request.user).for_page(), pk=pk)
    accounts.require(request.user, "evaluations.view", change)
    if change.workflow is None or change.environment is None:
        raise Http404("No policy is evaluated here.")
    candidate, base = change.revision.policy, change.revision.base_version
    told = []
    for each in evaluations.latest_of(change.workflow, change.environment):
        after = evaluations.replayed(each.evaluation, candidate.document)
        before = evaluations.replayed(each.evaluation, base.document) if base else None
        rows = wording.foretold(each.evaluation.ladder, before, after)
        moved = wording.moved(before, after) if before else ""
        same = before is not None and replays.alike(before, after)
        told.append(Foretold(each.evaluation, after, rows, moved, same))
    context = {"change": change, "told": told, "base": base, "candidate": candidate}
    return render(request, "routing/_change_evaluated.html", context)


def _asked(head: PolicyHead, first: date) -> str:
    """The query of the list of requests that were only watched since a day."""
    place = {"workflow": head.workflow.slug, "environment": head.environment.name, "mode": Mode.OBSERVE.value}
    return urlencode(place | {"kind": Kind.WORK.value, "since": first.isoformat()})


def _watched(compared: Compared, watched: Watched, head: PolicyHead) -> Asked:
    measured, replay = watched.basis[compared.step]
    alone = measured.models.get(compared.model)
    there = observing.right_beside(measured.evaluation, replay, compared.model) if alone else None
    query = _told({"step": compared.step, "asked": compared.model}, compared.currency, compared.ladders)
    of_version = urlencode({"show": "judged", "version": str(head.version.number)})
    samples = f"{reverse('evaluation', args=[measured.evaluation.pk])}?{of_version}#samples"
    return Asked(compared, alone, there, replay, query, samples)


def _of_total(total: Compared, watched: Watched) -> str:
    """The query of the observed requests that a sum in one currency is of."""
    parts = [each for each in watched.compared if each.currency == total.currency]
    begun = sorted({f"{'>'.join(ladder)}@{each.step}" for each in parts for ladder in each.ladders})
    return urlencode({"watched": Watching.WHOLE.value, "paid": total.currency, "ladders": ",".join(begun)})


def _told(named: dict[str, str], currency: str, ladders: Iterable[tuple[str, ...]]) -> str:
    """The query of observed requests of which all is known, begun on one of these ladders and paid in a currency."""
    begun = ",".join(">".join(ladder) for ladder in sorted(ladders))
    return urlencode(named | {"watched": Watching.WHOLE.value, "paid": currency, "ladders": begun})
