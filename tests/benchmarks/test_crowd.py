"""What a load came to is read off the chats and the gauge; a wrong reading would call a lost end told."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.crowd import CHANNEL, GROUP, Crowd, Load, blocked
from tests.doubles.timeline import Post, Timeline
from tests.lab import LabError


def show(timeline: Timeline, channel: str, number: int, word: str, ident: str) -> None:
    timeline.put(Post(id=ident, channel=channel, author="deploybot", text=f"✅ #{number} shop/live: v1 again · {word}"))


async def test_an_end_is_reported_if_the_last_state_of_its_card_is_one() -> None:
    crowd, load = Crowd(), Load()
    show(crowd.slack.timeline, CHANNEL, 1, "running", "a")
    show(crowd.slack.timeline, CHANNEL, 1, "succeeded", "a")
    show(crowd.telegram.timeline, GROUP, 1, "succeeded", "1")
    crowd.slack.timeline.put(Post(id="b", channel="D1", author="deploybot", text="history\n#7 deploy v1"))
    await crowd.count(load, within=0.1)
    assert (load.ends, load.lost) == (2, 0)


async def test_a_card_that_never_came_or_never_ended_is_a_lost_end() -> None:
    crowd, load = Crowd(), Load()
    show(crowd.slack.timeline, CHANNEL, 1, "succeeded", "a")
    show(crowd.slack.timeline, "D1", 2, "running", "b")
    await crowd.count(load, within=0.1)
    assert load.ends == 5, "both in both public rooms, and one in a private one"
    assert load.lost == 4


def test_the_gauge_counts_only_while_the_load_lasts(tmp_path: Path) -> None:
    file = tmp_path / "lag"
    file.write_text("1.000 0.9000\n5.000 0.0200\n6.000 0.0300\n9.000 0.8000\n")
    assert blocked(file, Load(began=4.0, ended=8.0)) == pytest.approx(0.03)
    assert blocked(file, Load(began=6.5, ended=8.0)) == 0.0
    file.write_text("")
    with pytest.raises(LabError):
        blocked(file, Load())
