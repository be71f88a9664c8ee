"""Names without a space, as long as they may be: no page grows wider than the screen for them."""

import dataclasses
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Browser

from governance import changes, registry, workflows
from governance.models import Workflow
from routing import evaluations
from tests import cast as casting
from tests.ledger.reports import site_of
from tests.look.test_pages_browser import NARROW, UNFOLDED, WIDE, narrow, open_page, show_on, sign_in
from tests.routing.asked import Shop
from tests.routing.lab import NOW, lab_of, row

pytestmark = pytest.mark.browser

LONG = "x" * 80
# Which box sticks out farthest, for who reads a failure.
OVER = """() => {
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth <= clientWidth) return null;
  const range = document.createRange();
  const right = (box) => { range.selectNodeContents(box); return range.getBoundingClientRect().right; };
  const wide = [...document.querySelectorAll("main *")].filter((box) => right(box) > clientWidth
    && !box.closest(".scroll") && ![...box.children].some((inner) => right(inner) > clientWidth));
  return [scrollWidth - clientWidth, wide.slice(0, 3).map((box) => box.outerHTML.slice(0, 120))];
}"""


def make_long() -> tuple[casting.Cast, list[str]]:
    """A workflow, a step, a model, a sample set, a key, a change and a request, all with long names; their pages."""
    cast = casting.make_cast()
    provider = casting.make_provider("y" * 60)
    model = casting.make_model("m" * 80, "mid", cast.owner, cast.team, provider, cast.production)
    about: dict[str, Any] = {"purpose": LONG, "risk": "limited", "data_class": "internal", "by": casting.BOOTSTRAP}
    workflow: Workflow = workflows.create(slug="w" * 60, name=LONG, team=cast.team, owner=cast.owner, **about)
    for step in ("language", "sentiment", "s" * 60):
        workflows.add_step(workflow=workflow, name=step, purpose=LONG, by=casting.BOOTSTRAP)
    lab = lab_of(dataclasses.replace(cast, workflow=workflow))
    sample_set = lab.set([row(LONG, "l" * 60), row("Fine", LONG)], LONG, source=LONG)
    evaluation = evaluations.start(sample_set=sample_set, environment=cast.production, by=cast.owner, now=NOW)
    site = site_of(lab.cast)
    asked = Shop(site).ask(0.3, 0.9, run="r" * 60)
    change = changes.propose(
        mode="enforce",
        workflow=workflow,
        environment=cast.production,
        document=casting.make_document(0.7, "lexicon", model.name),
        title=LONG,
        note=LONG,
        by=cast.integrator,
    )
    with_arguments: dict[str, list[Any]] = {
        "workflow": [workflow.slug],
        "model": [model.name],
        "provider": [provider.slug],
        "sample_set": [sample_set.pk],
        "sample_set_schedule": [sample_set.pk],
        "evaluation": [evaluation.pk],
        "change": [change.pk],
        "change_new": [workflow.slug],
        "change_revise": [change.pk],
        "request": [asked.pk],
        "run": [workflow.slug, "r" * 60],
    }
    lists = (
        *("home", "workflows", "models", "providers", "sample_sets", "sample_set_new", "evaluations", "simulations"),
        *("changes", "keys", "requests", "runs", "trial", "follow", "spend", "savings", "coordination", "audit"),
    )
    return cast, [*map(reverse, lists), *(reverse(name, args=args) for name, args in with_arguments.items())]


@pytest.mark.usefixtures("installation_keys")
def test_a_long_word_breaks_no_page(live_site: str, browser: Browser) -> None:
    cast, addresses = make_long()
    registry.add_environment(name="e" * 40, votes_needed=1, position=5, recorded=False, by=casting.BOOTSTRAP)
    page = narrow(browser)
    sign_in(page, live_site, cast.lead)
    found = {}
    for address in addresses:
        for screen in (NARROW, WIDE):
            show_on(page, screen)
            if screen is NARROW:
                assert open_page(page, live_site + address) is not None, address
                page.evaluate(UNFOLDED)
            if over := page.evaluate(OVER):
                found[address, screen] = over
    assert found == {}
    page.context.close()
