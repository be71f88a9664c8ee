"""The tables of governance, one module per noun."""

from governance.models.access_tokens import AccessToken
from governance.models.accounts import ApiKey, Grant, Team, User
from governance.models.appointments import Appointment
from governance.models.audit import AuditBody, AuditEvent
from governance.models.audit_samples import AuditSample
from governance.models.brakes import Brake
from governance.models.changes import Change, Contributor, Revision, Vote
from governance.models.checks import Check
from governance.models.comments import Comment
from governance.models.contents import Content, ContentHead, ContentKind
from governance.models.delegations import Delegation
from governance.models.emergencies import Emergency, Hindsight
from governance.models.gateways import Gateway
from governance.models.ids import new_id
from governance.models.notifications import Delivery, Notification, NotificationKind, Preference
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
from governance.models.rollbacks import Rollback
from governance.models.seals import Anchor, AuditCheckpoint, AuditEpoch, AuditLeaf, AuditNode
from governance.models.stops import Stop
from governance.models.suspensions import Suspension
from governance.models.webhooks import Webhook
from governance.models.workflows import Risk, Step, Workflow
from governance.permissions import Role

__all__ = [
    "AccessToken",
    "Anchor",
    "ApiKey",
    "Appointment",
    "AuditBody",
    "AuditCheckpoint",
    "AuditEpoch",
    "AuditEvent",
    "AuditLeaf",
    "AuditNode",
    "AuditSample",
    "Brake",
    "Change",
    "Check",
    "Comment",
    "Content",
    "ContentHead",
    "ContentKind",
    "Contributor",
    "DataClass",
    "Delegation",
    "Delivery",
    "Emergency",
    "Endpoint",
    "Environment",
    "Gateway",
    "Grant",
    "Hindsight",
    "Hosting",
    "Mode",
    "Model",
    "ModelVersion",
    "Notification",
    "NotificationKind",
    "PolicyHead",
    "PolicyVersion",
    "Preference",
    "Probe",
    "Provider",
    "Ratification",
    "Review",
    "ReviewBody",
    "Revision",
    "Risk",
    "Role",
    "Rollback",
    "Step",
    "Stop",
    "Suspension",
    "Team",
    "Tier",
    "User",
    "Vote",
    "Webhook",
    "Workflow",
    "new_id",
]
