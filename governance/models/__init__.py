"""The tables of governance, one module per noun."""

from governance.models.accounts import ApiKey, Grant, Team, User
from governance.models.audit import AuditBody, AuditEvent
from governance.models.brakes import Brake
from governance.models.changes import Change, Contributor, Revision, Vote
from governance.models.contents import Content, ContentHead, ContentKind
from governance.models.gateways import Gateway
from governance.models.ids import new_id
from governance.models.policies import Mode, PolicyHead, PolicyVersion
from governance.models.probes import Probe
from governance.models.ratifications import Ratification
from governance.models.registry import (
    DataClass,
    Endpoint,
    Environment,
    Hosting,
    Model,
    ModelVersion,
    Provider,
    Tier,
)
from governance.models.reviews import Review, ReviewBody
from governance.models.seals import Anchor, AuditCheckpoint, AuditEpoch, AuditLeaf, AuditNode
from governance.models.workflows import Risk, Step, Workflow
from governance.permissions import Role

__all__ = [
    "Anchor",
    "ApiKey",
    "AuditBody",
    "AuditCheckpoint",
    "AuditEpoch",
    "AuditEvent",
    "AuditLeaf",
    "AuditNode",
    "Brake",
    "Change",
    "Content",
    "ContentHead",
    "ContentKind",
    "Contributor",
    "DataClass",
    "Endpoint",
    "Environment",
    "Gateway",
    "Grant",
    "Hosting",
    "Mode",
    "Model",
    "ModelVersion",
    "PolicyHead",
    "PolicyVersion",
    "Probe",
    "Provider",
    "Ratification",
    "Review",
    "ReviewBody",
    "Revision",
    "Risk",
    "Role",
    "Step",
    "Team",
    "Tier",
    "User",
    "Vote",
    "Workflow",
    "new_id",
]
