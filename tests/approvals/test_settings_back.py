"""A rollback that would start settings that no one approved needs as many approvals as a deployment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.deployments.way_back import terms_of_plan
from deploybot.domain import Deployment, Kind, Plan
from deploybot.ports import Tables
from tests.approvals.conftest import open_approval_bot
from tests.approvals.test_rollback_approvals import lay
from tests.kit.bot import BotUnderTest


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[BotUnderTest]:
    """A bot that has deployed v1 and v2; a rollback there needs no other person."""
    async with open_approval_bot(tmp_path, approvals=1, rollback_approvals=0) as made:
        await lay(made, "v1", "v2")
        yield made


def with_settings(deployment: Deployment, *settings: str) -> Plan:
    """The plan of a deployment whose servers have files of their own."""
    parts = zip(deployment.plan.servers, settings, strict=True)
    return replace(
        deployment.plan, servers=tuple(replace(part, configuration=one) for part, one in parts), kind=Kind.ROLLBACK
    )


@pytest.mark.parametrize(
    ("now", "forward"),
    [
        (("a", "b"), ""),
        (("c", "b"), "it has not run well with these settings there"),
        (("a", "c"), "it has not run well with these settings there"),
    ],
)
async def test_other_settings_than_those_that_ran_count_as_a_deployment(
    bot: BotUnderTest, now: tuple[str, str], forward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await bot.deployment(number) for number in (1, 2)]
    rows = tuple(replace(one, plan=replace(with_settings(one, "a", "b"), kind=Kind.DEPLOY)) for one in (second, first))
    back = with_settings(first, *now)
    back = replace(back, servers=tuple(replace(one, replaces=second.plan.release) for one in back.servers))

    def look(tables: Tables) -> str:
        monkeypatch.setattr(type(tables.deployments), "succeeded", lambda *_: rows)
        terms = terms_of_plan(tables, bot.production, back)
        assert terms is not None
        return terms.forward

    assert await bot.store.read(look) == forward
