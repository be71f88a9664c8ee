"""Sample sets of the live workflows' steps, and the nights on which the steps are evaluated on them."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import transaction

from demo import texts
from demo.people import of_demo
from demo.texts import Sample
from governance.errors import GovernanceError
from governance.models import Environment, Step
from routing import evaluations, sample_sets
from routing.models import SampleSet
from routing.samples import Row

# Drawn by a hash of their ids, so that every start draws the same.
SIZE = 200


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A set of the demo: what it is measured on, where that comes from, and when, as a cron line."""

    workflow: str
    step: str
    name: str
    description: str
    source: str
    licence: str
    labels: Sequence[str]
    read: Callable[[Path], list[Sample]]
    cron: str


SETS = (
    Labelled(
        workflow="customer-feedback",
        step="sentiment",
        name="Product reviews, held out",
        description="Sentences of customer reviews from documents that no model was fitted to; each was rated by "
        "twenty people or more, and the label is what their mean says.",
        source="C.J. Hutto and E.E. Gilbert, VADER (2014), amazonReviewSnippets",
        licence="MIT",
        labels=texts.LABELS,
        read=texts.unseen_sentences,
        cron="0 2 * * *",
    ),
    Labelled(
        workflow="message-screen",
        step="screen",
        name="Messages, test part",
        description="Short messages to an assistant, half of them attempts to make it break its rules; the set’s own "
        "test part without what also stands in the parts that models learned from.",
        source="S-Labs prompt injection set",
        licence="MIT",
        labels=texts.VERDICTS,
        read=texts.unseen_messages,
        cron="20 2 * * *",
    ),
    Labelled(
        workflow="social-listening",
        step="mention",
        name="Tweets",
        description="Public posts, each rated by twenty people or more. No model was fitted to them, but the word "
        "list was published with them, so what it gets right here flatters it.",
        source="C.J. Hutto and E.E. Gilbert, VADER (2014), tweets",
        licence="MIT",
        labels=texts.LABELS,
        read=texts.tweets,
        cron="40 2 * * *",
    ),
)


def make(*, directory: Path, environment: Environment, now: datetime, say: Callable[[str], object]) -> int:
    """Make the sets that are missing, let them be evaluated each night and once at once; return how many were made.

    A retired workflow gets none; `say` hears which could not be made, and why. `directory` holds the fetched texts.
    Raises FileNotFoundError before they were.
    """
    made = 0
    for each in SETS:
        step = Step.objects.filter(workflow__slug=each.workflow, workflow__retired_at=None, name=each.step).first()
        if step is None or SampleSet.objects.filter(step=step, name=each.name).exists():
            continue
        rows = drawn(each.read(directory))
        try:
            _make(each, step, rows, environment=environment, now=now)
        except GovernanceError as error:
            say(f"no set {each.name} for {each.workflow}: {error}")
        else:
            made += 1
    return made


@transaction.atomic
def _make(each: Labelled, step: Step, rows: list[Row], *, environment: Environment, now: datetime) -> None:
    """One set, its nights and its first evaluation, all or none. Raises GovernanceError."""
    lead = of_demo("lead")
    stored = sample_sets.create(
        step=step,
        name=each.name,
        description=each.description,
        source=each.source,
        licence=each.licence,
        labels=each.labels,
        rows=rows,
        by=lead,
    )
    evaluations.schedule(sample_set=stored, environment=environment, cron=each.cron, by=lead, now=now)
    evaluations.start(sample_set=stored, environment=environment, by=lead, now=now)


def drawn(found: Sequence[Sample]) -> list[Row]:
    """SIZE of the samples, in an order that says nothing; each text once."""
    once = {sample.text: sample for sample in found}
    ordered = sorted(once.values(), key=lambda sample: hashlib.sha256(sample.id.encode()).digest())
    return [Row([{"role": "user", "content": sample.text}], sample.label) for sample in ordered[:SIZE]]
