"""The words of deploybot as frozen types; no I/O, and nothing above this module but errors.

Times are seconds since the epoch (UTC) as floats, durations are seconds, sizes are bytes.
"""

from __future__ import annotations

from deploybot.domain.deployments import Deployment, Phase, Running, State, StepRow, StepState
from deploybot.domain.people import (
    EVERY,
    Action,
    AuditRow,
    Grant,
    Identity,
    Link,
    Lock,
    Person,
    Place,
    Role,
    place_name,
)
from deploybot.domain.plans import Gate, Kind, Plan, ServerPlan, Step
from deploybot.domain.releases import Changes, Commit, Release
from deploybot.domain.requests import Approval, Binding, Request, Verdict
from deploybot.domain.servers import (
    Container,
    EngineEvent,
    Image,
    JobChunk,
    JobState,
    JobStatus,
    LogLine,
    ServerFacts,
    Upload,
    Usage,
)

__all__ = [
    "EVERY",
    "Action",
    "Approval",
    "AuditRow",
    "Binding",
    "Changes",
    "Commit",
    "Container",
    "Deployment",
    "EngineEvent",
    "Gate",
    "Grant",
    "Identity",
    "Image",
    "JobChunk",
    "JobState",
    "JobStatus",
    "Kind",
    "Link",
    "Lock",
    "LogLine",
    "Person",
    "Phase",
    "Place",
    "Plan",
    "Release",
    "Request",
    "Role",
    "Running",
    "ServerFacts",
    "ServerPlan",
    "State",
    "Step",
    "StepRow",
    "StepState",
    "Upload",
    "Usage",
    "Verdict",
    "place_name",
]
