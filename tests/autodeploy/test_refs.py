"""What is deployed by itself keeps to `refs`, as everybody does."""

from __future__ import annotations

from pathlib import Path

from deploybot.domain import State
from tests.autodeploy.conftest import open_autodeploy_bot


async def test_what_auto_finds_on_a_branch_that_refs_do_not_allow_is_reported_and_not_deployed(tmp_path: Path) -> None:
    staging = {"auto": {"branch": "*"}, "refs": [{"branch": "main"}]}
    async with open_autodeploy_bot(tmp_path, staging=staging) as bot:
        await bot.push("develop")
        assert await bot.deployed() == []
        (card,) = await bot.cards()
        shown = " ".join((card.title, card.text, *(line.text for line in card.lines)))
        assert "Only commits on branch main may be deployed to shop/staging; this one is on branch develop." in shown


async def test_an_automatic_deployment_looks_at_the_branch_again_when_its_turn_comes(tmp_path: Path) -> None:
    staging = {"auto": {"branch": "main"}, "refs": ["main"]}
    async with open_autodeploy_bot(tmp_path, staging=staging) as bot:
        before = bot.refs.branches["main"]
        made = await bot.push("main")
        (first,) = await bot.deployments_of()
        assert await bot.end(first.number) is State.SUCCEEDED
        async with bot.deployments.queue._turns["shop", "staging"]:
            await bot.push("main")
            bot.refs.branches["main"] = before
        (_, second) = await bot.deployments_of()
        assert await bot.end(second.number) is State.FAILED
        assert await bot.runs() == made
