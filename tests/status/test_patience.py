from __future__ import annotations

import asyncio

import pytest

from deploybot.status.early_answers import MOMENT, some_are_late

FAR = 60.0


@pytest.mark.parametrize(
    ("seconds", "late"),
    [
        ([], False),
        ([0.0, 0.0], False),
        ([0.0, FAR], True),
        ([0.1] * 19 + [FAR], True),
        ([0.3, 0.3, 0.3, 0.6], False),
    ],
)
async def test_the_last_few_are_given_as_long_again_as_the_others_took(seconds: list[float], late: bool) -> None:
    asked = [asyncio.create_task(asyncio.sleep(each)) for each in seconds]
    try:
        async with asyncio.timeout(FAR / 2):
            assert await some_are_late(asked) is late
    finally:
        for task in asked:
            task.cancel()


@pytest.mark.parametrize("seconds", [[FAR], [0.0, FAR, FAR]])
async def test_while_half_of_them_are_missing_none_is_called_late(seconds: list[float]) -> None:
    asked = [asyncio.create_task(asyncio.sleep(each)) for each in seconds]
    deciding = asyncio.create_task(some_are_late(asked))
    done, _ = await asyncio.wait({deciding}, timeout=MOMENT + 0.6)
    for task in (*asked, deciding):
        task.cancel()
    assert not done
