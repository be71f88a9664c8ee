"""Sentences to try a step of a workflow with, offered by whoever brings such a workflow along; the product has none."""

from collections.abc import Sequence

_offered: dict[tuple[str, str], tuple[str, ...]] = {}


def offer(*, workflow: str, step: str, texts: Sequence[str]) -> None:
    """Offer texts for a step of the workflow of this slug, in the order in which a page shows them."""
    _offered[workflow, step] = tuple(texts)


def of(*, workflow: str, step: str) -> tuple[str, ...]:
    """Return what is offered for a step of a workflow."""
    return _offered.get((workflow, step), ())
