"""Admissions of the demo's models, where a policy is live already: proposed by one person, approved by another."""

from typing import Any

from demo.people import of_demo
from governance import admissions, changes
from governance.models import Endpoint, Environment, ModelVersion


def admit(version: ModelVersion, environment: Environment) -> None:
    """Let a version be asked where it is served, if it may not be yet. While nothing was live there it may already."""
    if not any(each.approved for each in admissions.standings([version], environment)):
        _agree(version, environment, admissions.draft(version, environment), "Admit it beside the others")


def move(endpoint: Endpoint, url: str) -> None:
    """Ask a version at another address of one of its endpoints."""
    document = admissions.moved(endpoint, url)
    _agree(endpoint.version, endpoint.environment, document, "Its server has another port since the last start")


def _agree(version: ModelVersion, environment: Environment, document: dict[str, Any], note: str) -> None:
    title = f"Ask {version.model.title} in {environment.name}"
    change = changes.propose_admission(
        version=version, environment=environment, document=document, title=title, note=note, by=of_demo("lead")
    )
    digest = change.revision.payload_digest
    approval: dict[str, Any] = {"digest": digest, "choice": "approve", "reason": "", "by": of_demo("owner")}
    changes.vote(change=change, then_activate=True, **approval)
