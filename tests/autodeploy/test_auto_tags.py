"""Tags and releases of the forge that are deployed automatically."""

from __future__ import annotations

from pathlib import Path

from deploybot.domain import Author, Published, State, Tagged
from tests.autodeploy.conftest import GITHUB, PRODUCTION, open_autodeploy_bot


async def test_the_newest_tag_is_deployed_and_an_older_or_early_one_is_not(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"tag": "v*"}}) as bot:
        for name in ("v1.9.0", "v1.10.0", "v1.9.1", "v2.0.0-rc.1"):
            bot.refs.tags[name] = bot.commit("main")
            await bot.hear(Tagged(sender="github", tag=name, by=Author("Ana", GITHUB["ana"])))
            await bot.look()
            await bot.settle()
        rows = await bot.deployments_of()
        assert [row.plan.release.code for row in rows] == [bot.refs.tags["v1.9.0"], bot.refs.tags["v1.10.0"]]
        assert rows[1].reason == "tag v1.10.0 by ana"


async def test_a_wrong_tag_that_was_deleted_does_not_stop_later_ones(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"tag": "v*"}}) as bot:

        async def tag(name: str) -> None:
            bot.refs.tags[name] = bot.commit("main")
            await bot.look()
            await bot.settle()

        await tag("v1.0")
        await tag("v9.0")
        del bot.refs.tags["v9.0"]
        await tag("v1.1")
        (card,) = await bot.cards()
        assert card.title == "shop/staging: tag v1.1 is not deployed automatically"
        assert card.text == "The tag v9.0, which is newer, was deleted."
        assert [button.command for button in card.buttons] == [f"deploy shop@{bot.refs.tags['v1.1']} to staging"]
        await tag("v1.2")
        assert (await bot.deployed())[-1] == bot.refs.tags["v1.2"]
        assert len(await bot.cards()) == 1


async def test_a_deleted_tag_that_was_never_deployed_changes_nothing(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"tag": "v*"}}) as bot:
        bot.refs.tags["v1.0"] = bot.commit("main")
        await bot.look()
        await bot.settle()
        await bot.say("lock shop staging because I look at it", "eve")
        bot.refs.tags["v9.0"] = bot.commit("main")
        await bot.look()
        del bot.refs.tags["v9.0"]
        await bot.look()
        await bot.say("unlock shop staging", "eve")
        await bot.look()
        (card,) = await bot.cards()
        assert card.text == "The tag v9.0 was deleted."
        bot.refs.tags["v1.1"] = made = bot.commit("main")
        await bot.look()
        assert (await bot.deployed())[-1] == made


async def test_a_published_release_is_deployed_and_an_early_one_is_not(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"release": True}}) as bot:
        bot.refs.tags["v1.0"] = first = bot.commit("main")
        bot.refs.tags["v2.0"] = bot.commit("main")
        await bot.hear(Published(sender="github", tag="v2.0", early=True))
        await bot.hear(Published(sender="github", tag="v1.0", by=Author("Ana")))
        await bot.look()
        assert await bot.deployed() == [first]
        assert (await bot.deployments_of())[0].reason == "release v1.0 by Ana"


async def test_a_release_that_was_deleted_does_not_stop_later_ones(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"release": True}}) as bot:

        async def publish(name: str, *, gone: bool = False) -> str:
            made = bot.refs.tags[name] = bot.refs.tags.get(name) or bot.commit("main")
            await bot.hear(Published(sender="github", tag=name, by=Author("Ana"), gone=gone))
            await bot.look()
            await bot.settle()
            return made

        await publish("v1.0")
        await publish("v9.0")
        await publish("v9.0", gone=True)  # its tag stays
        assert [card.text for card in await bot.cards()] == ["The tag v9.0, which is newer, was deleted."]
        made = await publish("v1.1")
        assert (await bot.deployed())[-1] == made


async def test_a_pre_release_that_becomes_a_release_is_deployed(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"release": True}}) as bot:
        bot.refs.tags["v2.0"] = made = bot.commit("main")
        await bot.hear(Published(sender="github", tag="v2.0", early=True, by=Author("Ana")))
        await bot.look()
        assert await bot.deployed() == []
        await bot.hear(Published(sender="github", tag="v2.0", by=Author("Ana")))
        await bot.look()
        assert await bot.deployed() == [made]


async def test_a_release_deleted_while_its_builds_run_is_not_deployed(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"release": True, "after": "ci"}}) as bot:
        bot.refs.tags["v9.0"] = wrong = bot.commit("main")
        await bot.hear(Published(sender="github", tag="v9.0", by=Author("Ana")))
        await bot.look()
        await bot.hear(Published(sender="github", tag="v9.0", gone=True))  # its tag stays
        await bot.look()
        await bot.built(wrong)
        await bot.settle()
        assert await bot.deployed() == []
        assert [one.problem for one in await bot.triggers()] == ["The release v9.0 was deleted"]


async def test_a_request_for_a_deleted_release_ends(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, None, PRODUCTION | {"auto": {"release": True}}) as bot:
        for name in ("v1.0", "v9.0"):
            bot.refs.tags[name] = bot.commit("main")
            await bot.hear(Published(sender="github", tag=name, by=Author("Eve", GITHUB["eve"])))
            await bot.look()
        await bot.hear(Published(sender="github", tag="v9.0", gone=True))
        await bot.look()
        two = (await bot.deployments_of("production"))[-1]
        assert (two.state, two.outcome) == (State.CANCELLED, "The release v9.0 was deleted. Nothing was deployed.")


async def test_a_deleted_release_whose_tag_is_wanted_too_stays(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"tag": "v*", "release": True, "after": "ci"}}) as bot:
        await bot.hear(Published(sender="github", tag="v1.0", by=Author("Ana")))
        bot.refs.tags["v1.0"] = made = bot.commit("main")
        await bot.look()
        await bot.hear(Published(sender="github", tag="v1.0", gone=True))
        await bot.look()
        await bot.built(made)
        assert await bot.deployed() == [made]
