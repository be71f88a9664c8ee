"""Who may do what: one table from role to acts, read by the verbs, the pages and the role-matrix test."""

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
        "evaluations.edit",
        "evaluations.run",
        "evaluations.view",
        "requests.try",
        "requests.view",
        "reviews.view",
        "spend.view",
        "workflows.edit",
    },
    Role.LEAD: (VIEWS - {"accounts.view"})
    | {
        "accounts.create_key",
        "accounts.revoke_key",
        "changes.activate",
        "changes.propose",
        "changes.vote",
        "evaluations.edit",
        "evaluations.run",
        "prices.edit",
        "registry.edit",
        "requests.try",
        "reviews.cancel",
        "reviews.erase",
        "savings.edit",
        "workflows.create",
        "workflows.edit",
    },
    Role.FINANCE: _READS | {"evaluations.view", "prices.edit", "requests.view", "savings.edit", "spend.view"},
    Role.INTEGRATOR: _READS
    | {
        "accounts.create_key",
        "accounts.revoke_key",
        "changes.propose",
        "evaluations.view",
        "requests.try",
        "requests.view",
        "reviews.cancel",
        "reviews.view",
        "spend.view",
    },
    Role.AUDITOR: VIEWS,
    Role.ADMIN: _READS | {"accounts.edit", "accounts.view"},
}


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
}
