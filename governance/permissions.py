"""Who may do what: one table from role to acts, read by the verbs, the pages and the role-matrix test."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import TextChoices


class Role(TextChoices):
    """What a grant makes of a person."""

    VIEWER = "viewer", "Viewer"
    REVIEWER = "reviewer", "Reviewer"
    OWNER = "owner", "Workflow owner"
    LEAD = "lead", "Governance lead"
    FINANCE = "finance", "Finance"
    INTEGRATOR = "integrator", "Integrator"
    AUDITOR = "auditor", "Auditor"
    ADMIN = "admin", "Administrator"


VIEWS = frozenset(
    {
        "accounts.view",
        "registry.view",
        "workflows.view",
        "changes.view",
        "reviews.view",
        "requests.view",
        "evaluations.view",
        "spend.view",
        "audit.view",
        "webhooks.view",
    }
)
_READS = frozenset({"registry.view", "workflows.view", "changes.view"})

# An act is the verb that checks it, `<noun>.<verb>`; `<noun>.view` is reading. Scope is the grant's: a team or the
# whole organisation, one environment or all. No role can vote on what its holder wrote: that is the change's own rule.
PERMISSIONS: dict[Role, frozenset[str]] = {
    Role.VIEWER: _READS,
    Role.REVIEWER: _READS | {"reviews.view", "reviews.take"},
    Role.OWNER: _READS
    | {
        "accounts.create_key",
        "accounts.revoke_key",
        "changes.activate",
        "changes.propose",
        "changes.vote",
        "comments.add",
        "emergencies.begin",
        "emergencies.end",
        "evaluations.edit",
        "evaluations.run",
        "evaluations.view",
        "requests.view",
        "reviews.view",
        "rollbacks.go_back",
        "simulations.run",
        "spend.view",
        "stops.begin",
        "stops.lift",
        "trials.send",
        "workflows.edit",
    },
    Role.LEAD: (VIEWS - {"accounts.view"})
    | {
        "accounts.create_key",
        "accounts.revoke_key",
        "audit_bodies.erase",
        "audit_samples.draw",
        "changes.activate",
        "changes.propose",
        "changes.vote",
        "comments.add",
        "emergencies.begin",
        "emergencies.end",
        "evaluations.edit",
        "evaluations.run",
        "prices.edit",
        "registry.edit",
        "reviews.cancel",
        "reviews.erase",
        "rollbacks.go_back",
        "savings.edit",
        "simulations.run",
        "stops.begin",
        "stops.lift",
        "trials.send",
        "webhooks.edit",
        "workflows.create",
        "workflows.edit",
    },
    Role.FINANCE: _READS | {"evaluations.view", "prices.edit", "requests.view", "savings.edit", "spend.view"},
    Role.INTEGRATOR: _READS
    | {
        "accounts.create_key",
        "accounts.revoke_key",
        "changes.propose",
        "comments.add",
        "evaluations.view",
        "requests.view",
        "reviews.cancel",
        "reviews.view",
        "simulations.run",
        "spend.view",
        "trials.send",
    },
    Role.AUDITOR: VIEWS | {"audit_samples.draw"},
    Role.ADMIN: _READS | {"accounts.edit", "accounts.view", "webhooks.edit", "webhooks.view"},
}


# Each act as it stands after "may", by the kind of thing it is about, in the order in which pages tell them.
KINDS: dict[str, dict[str, str]] = {
    "Workflows": {
        "workflows.view": "read workflows and their policies",
        "workflows.create": "add workflows",
        "workflows.edit": "edit and retire them",
    },
    "Changes": {
        "changes.view": "read changes",
        "changes.propose": "propose them",
        "comments.add": "comment on them",
        "changes.vote": "vote on what others propose",
        "changes.activate": "make live what is approved",
        "rollbacks.go_back": "go back at once to what was live before",
    },
    "In need": {
        "stops.begin": "stop workflows and models at once",
        "stops.lift": "lift stops",
        "emergencies.begin": "break the glass in an emergency",
        "emergencies.end": "end emergencies",
    },
    "Cases for people": {
        "reviews.view": "see which wait",
        "reviews.take": "take and answer them",
        "reviews.cancel": "cancel them",
        "reviews.erase": "erase what they hold",
    },
    "Requests": {
        "requests.view": "read what came of them",
        "trials.send": "try one",
    },
    "Quality": {
        "evaluations.view": "read evaluations",
        "evaluations.run": "run them",
        "evaluations.edit": "upload samples and plan evaluations",
        "simulations.run": "simulate changes",
    },
    "Models": {
        "registry.view": "read the register of models",
        "registry.edit": "register models, endpoints, providers and environments",
    },
    "Money": {
        "spend.view": "see what was spent and saved",
        "prices.edit": "set prices",
        "savings.edit": "set what savings are compared with",
    },
    "Keys": {
        "accounts.create_key": "make API keys",
        "accounts.revoke_key": "revoke them",
    },
    "People": {
        "accounts.view": "see people, teams and what each may do",
        "accounts.edit": "add people, teams and gateways, grant and revoke roles",
    },
    "Record": {
        "audit.view": "read the audit log",
        "audit_samples.draw": "draw samples of it",
        "audit_bodies.erase": "erase the personal part of an entry",
    },
    "Webhooks": {
        "webhooks.view": "see them and what they were told",
        "webhooks.edit": "add, edit and close them",
    },
}


@dataclass(frozen=True)
class Right:
    """What somebody may do with one kind of thing: each act as it stands after "may"."""

    kind: str
    acts: tuple[str, ...]


def rights_of(acts: Iterable[str]) -> list[Right]:
    """Return acts in words, by kind of thing; a kind with none of them is left out."""
    held = set(acts)
    found = (Right(kind, tuple(said for act, said in told.items() if act in held)) for kind, told in KINDS.items())
    return [right for right in found if right.acts]


def roles_with(act: str) -> list[Role]:
    """Return the roles that carry an act. Raises KeyError for an act that no role carries: a typo must not pass."""
    roles = [role for role, acts in PERMISSIONS.items() if act in acts]
    if not roles:
        raise KeyError(f"no role may {act}; name an act of governance.permissions.PERMISSIONS")
    return roles


# What Smallfirst itself may do while it sets up. It proposes, votes on and activates nothing: that is for people.
SERVICES: dict[str, frozenset[str]] = {
    "bootstrap": frozenset(
        {
            "accounts.edit",
            "accounts.create_key",
            "accounts.revoke_key",
            "evaluations.edit",
            "prices.edit",
            "registry.edit",
            "savings.edit",
            "workflows.create",
            "workflows.edit",
        }
    ),
    "evaluations": frozenset({"evaluations.run"}),
    "list prices": frozenset({"prices.edit"}),
    "simulations": frozenset({"checks.record", "simulations.run"}),
}
