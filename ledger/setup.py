"""Setting up: what an installation needs before its first request is answered, and what of it is done."""

from dataclasses import dataclass

from governance.models import ApiKey, Endpoint, Grant, Model, PolicyHead, Provider, Team, Workflow
from governance.permissions import roles_with
from ledger.models import Decision, Price


@dataclass(frozen=True)
class Step:
    """One thing to set up: what it is, why, where (the name of a page), and whether it is done.

    `noun` is whose `.view` act opens the page.
    """

    title: str
    text: str
    page: str
    noun: str
    done: bool


# Title, why, page and noun of each, in the order in which one thing needs the other.
TOLD = (
    ("A team", "Workflows and models belong to one.", "teams", "accounts"),
    ("A provider", "Whose machines, or whose account, run the models.", "providers", "registry"),
    ("A model and where it is served", "Its endpoint is tried at once, with a clear result.", "models", "registry"),
    (
        "What it costs",
        "List prices come by themselves for known providers; own ones stand on the model's page.",
        "models",
        "registry",
    ),
    ("A workflow", "A business process with an owner, a risk and a data class.", "workflow_new", "workflows"),
    (
        "A live policy",
        "Which models, in which order, and when an answer is good enough. Development needs nobody's vote.",
        "workflows",
        "workflows",
    ),
    ("A key", "What the application shows; it belongs to one workflow and one environment.", "keys", "workflows"),
    (
        "The first request",
        "Change the application's base_url; the page of the key shows the line to send.",
        "keys",
        "workflows",
    ),
    (
        "A second person who may vote",
        "Until then your production changes pass marked single-handed, and are ratified later.",
        "people",
        "accounts",
    ),
)


def steps() -> list[Step]:
    """Return what there is to set up, in order; one query each."""
    voters = Grant.objects.in_force().filter(role__in=roles_with("changes.vote"), user__is_active=True)
    done = (
        Team.objects.exists(),
        Provider.objects.exists(),
        Model.objects.in_use().exists() and Endpoint.objects.filter(active=True).exists(),
        Price.objects.exists(),
        Workflow.objects.in_use().exists(),
        PolicyHead.objects.exists(),
        ApiKey.objects.usable().filter(purpose=ApiKey.Purpose.APPLICATION).exists(),
        Decision.objects.exists(),
        voters.values("user").distinct().count() > 1,
    )
    return [Step(*told, done=is_done) for told, is_done in zip(TOLD, done, strict=True)]
