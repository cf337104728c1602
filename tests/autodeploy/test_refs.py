"""What is deployed by itself keeps to `refs`, as everybody does."""

from __future__ import annotations

from pathlib import Path

from deploybot.domain import State
from tests.autodeploy.conftest import make_yard


async def test_what_auto_finds_on_a_branch_that_refs_do_not_allow_is_told_and_not_deployed(tmp_path: Path) -> None:
    staging = {"auto": {"branch": "*"}, "refs": [{"branch": "main"}]}
    async with make_yard(tmp_path, staging=staging) as yard:
        await yard.push("develop")
        assert await yard.deployed() == []
        (card,) = await yard.cards()
        shown = " ".join((card.title, card.text, *(line.text for line in card.lines)))
        assert "Only commits on branch main may be deployed to shop/staging; this one is on branch develop." in shown


async def test_an_automatic_deployment_looks_at_the_branch_again_when_its_turn_comes(tmp_path: Path) -> None:
    staging = {"auto": {"branch": "main"}, "refs": ["main"]}
    async with make_yard(tmp_path, staging=staging) as yard:
        before = yard.refs.branches["main"]
        made = await yard.push("main")
        (first,) = await yard.deployments()
        assert await yard.end(first.number) is State.SUCCEEDED
        async with yard.town.shop.deployments.queue._turns["shop", "staging"]:
            await yard.push("main")
            yard.refs.branches["main"] = before
        (_, second) = await yard.deployments()
        assert await yard.end(second.number) is State.FAILED
        assert await yard.runs() == made
