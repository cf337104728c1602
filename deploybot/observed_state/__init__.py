"""What really runs: `observe` asks a server and its Engine, `judge` compares that with the records.

Plans, verification, status, rollback and cards begin with these two. No other module decides this independently.
"""

from __future__ import annotations

from deploybot.observed_state.comparison import (
    IMAGE_LABEL,
    RELEASE_LABEL,
    SETTINGS_LABEL,
    Judgement,
    Serving,
    judge,
    runs,
)
from deploybot.observed_state.container_health import (
    Difference,
    DifferenceKind,
    ailment,
    has_ended,
    has_stopped,
    is_hopeless,
    is_unwell,
    name_of,
    not_up,
)
from deploybot.observed_state.observation import OBSERVE_WITHIN, observe, runs_containers, within

__all__ = [
    "IMAGE_LABEL",
    "OBSERVE_WITHIN",
    "RELEASE_LABEL",
    "SETTINGS_LABEL",
    "Difference",
    "DifferenceKind",
    "Judgement",
    "Serving",
    "ailment",
    "has_ended",
    "has_stopped",
    "is_hopeless",
    "is_unwell",
    "judge",
    "name_of",
    "not_up",
    "observe",
    "runs",
    "runs_containers",
    "within",
]
