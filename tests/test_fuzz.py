"""A short run of the fuzzer; `make fuzz N=5000` is the long one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.run import fuzz
from tests.lab import Lab

ANSWERS = 60


@pytest.mark.timeout(400)
async def test_whatever_one_server_answers_the_bot_and_the_others_do_not_notice(
    lab: Lab, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    lines: list[str] = []
    figures = await fuzz(lab, tmp_path, answers=ANSWERS, seed="test", say=lines.append)
    figure(lines[-1])
    assert figures.answers >= ANSWERS
    assert figures.harmless, "\n".join(lines)
