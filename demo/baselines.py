"""What the workflows' tasks are compared with: models with a price that stand in the register for it."""

from datetime import datetime, timedelta
from decimal import Decimal

from demo.people import of_demo
from demo.recorded import world
from governance.models import Model, Workflow
from ledger import savings
from ledger.models.savings import LEAST_RATIO, MOST_RATIO

MEASURED = {
    "refund-sums": (
        "gpt-4-1106-preview",
        # Beside the small model's answers that are kept its own are 1.39 times as long.
        Decimal("1.0"),
        Decimal("1.4"),
        "Put to every one of these sums too: right for 0.863 of them (RouteLLM).",
    ),
}
ASSUMED = "The usual start, one large model for everything. Priced but never called: nobody measured it on our tasks."


def make(workflow: Workflow, *, now: datetime) -> None:
    """Say with what a workflow is compared, where nothing was said: from its first recorded day, else from yesterday.

    A day's baseline is the one of its noon, and the first day's noon may be past.
    """
    if workflow.baselines.exists():
        return
    model, least, most, reason = MEASURED.get(workflow.slug, (world.FRONTIER, LEAST_RATIO, MOST_RATIO, ASSUMED))
    recorded = world.key_of(workflow) is not None
    savings.set_baseline(
        workflow=workflow,
        model=Model.objects.get(name=model),
        assumed=workflow.slug not in MEASURED,
        reason=reason,
        valid_from=now - timedelta(days=world.DAYS + 1 if recorded else 1),
        by=of_demo("finance"),
        tokens_least=least,
        tokens_most=most,
    )
