"""docs/events.md says what is."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from deploybot.access.account_syntax import FORGES
from deploybot.events.watched_refs import USUAL
from deploybot.notifications.failure_folding import LOOK_BACK
from deploybot.notifications.late_changes import LONG_PAST
from deploybot.notifications.notifier import KEPT
from deploybot.notifications.quiet_hours import FOLDED_FROM
from deploybot.settings.event_values import EventKindName
from tests.events.page import transcript

PAGE = Path(__file__).parents[2] / "docs" / "events.md"


async def test_the_transcript_is_what_is_said() -> None:
    assert f"```\n{await transcript()}```\n" in PAGE.read_text(), "python -m tests.events.page prints it anew"


def test_the_figures_are_those_of_the_code() -> None:
    text = PAGE.read_text()
    kinds = get_args(EventKindName)
    assert all(f"| `{kind}` |" in text for kind in kinds)
    assert all(f"`{branch}`" in text for branch in USUAL)
    assert all(forge in text for forge in FORGES)
    assert f"{LONG_PAST / 60:.0f} minutes" in text
    assert f"{KEPT / 86400:.0f} days" in text
    assert f"{FOLDED_FROM} or more notifications" in text
    assert f"{LOOK_BACK} times" in text
