from __future__ import annotations

import asyncio

import pytest

from deploybot.status.early_answers import MOMENT, some_are_late

FAR = 5.0


@pytest.mark.parametrize(
    ("seconds", "late"),
    [
        ([], False),
        ([0.0, 0.0], False),
        ([FAR], False),
        ([0.0, FAR, FAR], False),
        ([0.0, FAR], True),
        ([0.1] * 19 + [FAR], True),
        ([0.3, 0.3, 0.3, 0.6], False),
    ],
)
async def test_the_last_few_are_given_as_long_again_as_the_others_took(seconds: list[float], late: bool) -> None:
    asked = [asyncio.create_task(asyncio.sleep(each)) for each in seconds]
    try:
        async with asyncio.timeout(MOMENT + 0.6):
            assert await some_are_late(asked) is late
    except TimeoutError:
        # While half of them are missing nobody is called late.
        assert not late
        assert FAR in seconds
    finally:
        for task in asked:
            task.cancel()
