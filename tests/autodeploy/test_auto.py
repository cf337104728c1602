"""What deploys itself, what does not, and what the channel is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.domain import Author, BuildState, ImagePushed, Note, Push, State, TriggerState
from deploybot.errors import UserError
from deploybot.settings import App
from deploybot.testing import FakeRefs, Outcome
from tests.autodeploy.conftest import GITHUB, PRODUCTION, STAGING, AutodeployBot, open_autodeploy_bot


async def test_a_push_to_its_branch_is_deployed_with_no_hand_on_it(bot: AutodeployBot) -> None:
    made = await bot.push("develop", by="ben")
    (deployment,) = await bot.deployments_of()
    assert await bot.end(deployment.number) is State.SUCCEEDED
    assert (await bot.runs(), deployment.requester_name, deployment.channel) == (made, "deploybot", None)
    card = await bot.card(deployment.number)
    assert card.footer.startswith("by deploybot: push to develop by ben")
    assert "because" not in card.text
    assert await bot.cards() == []
    request = next(row for row in await bot.audit() if row.action == "request")
    assert (request.actor, request.detail) == (
        "deploybot",
        f"deploy shop@{made} to staging because push to develop by ben",
    )


async def test_who_is_not_known_is_called_as_the_sender_does(bot: AutodeployBot) -> None:
    await bot.push("develop", by="Zoë\u202e  ")
    (deployment,) = await bot.deployments_of()
    assert deployment.reason == "push to develop by Zoë"


async def test_the_first_look_takes_what_is_there_for_seen(bot: AutodeployBot) -> None:
    await bot.look()
    await bot.restart()
    await bot.look()
    assert await bot.deployed() == await bot.deployed("production") == []


async def test_a_branch_that_is_not_there_is_reported_once_and_closed_when_it_is_there(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, staging={**STAGING, "auto": {"branch": "devlop"}}) as bot:
        await bot.look()
        await bot.restart()
        await bot.look()
        (card,) = await bot.cards("event:notice")
        told = "shop/staging is not deployed automatically: the repository has no branch devlop."
        assert card.title == told
        assert card.text == "Branches found: develop, main."
        assert card.hint == "Fix `branch` in [apps.shop.environments.staging.auto], or push that branch."
        bot.commit("devlop")
        await bot.look()
        (card,) = await bot.cards("event:notice")
        assert card.title == f"Fixed: {told}"


async def test_a_branch_that_was_renamed_is_reported_with_its_new_name(bot: AutodeployBot) -> None:
    made = bot.refs.branches.pop("develop")
    bot.refs.branches["trunk"] = made
    for _ in range(2):
        await bot.look()
    (card,) = await bot.cards("event:notice")
    assert card.title == "shop/staging is not deployed automatically: the repository has no branch develop."
    assert card.text == f"Its last commit {made[:10]} is the head of trunk now: it may have been renamed."


async def test_what_no_event_reported_is_found_by_polling_and_deployed_once(bot: AutodeployBot) -> None:
    made = bot.commit("develop")
    for _ in range(3):
        await bot.restart()
        await bot.look()
        await bot.settle()
    assert (await bot.deployed(), await bot.runs()) == ([made], made)
    assert (await bot.deployments_of())[0].reason == "push to develop"


async def test_an_event_alone_deploys_nothing(bot: AutodeployBot) -> None:
    """What it says is not there: it is late, or made up."""
    said = await bot.hear(Push(sender="github", branch="develop", after="f" * 40, by=Author("Eve")))
    assert said == "checking whether to deploy staging"
    await bot.look()
    assert await bot.deployed() == []


async def test_events_that_mean_nothing_here_ring_nothing(bot: AutodeployBot) -> None:
    for event in (Note(sender="event", title="Hello"), Push(sender="github", branch="feature/x", after="f" * 40)):
        assert await bot.hear(event) == ""
    assert bot.rung == set()


async def test_main_waits_for_its_approval_and_a_newer_push_takes_its_place(bot: AutodeployBot) -> None:
    first = await bot.push("main", by="eve")
    (one,) = await bot.deployments_of("production")
    assert one.awaits_approval
    second = await bot.push("main", by="eve")
    third = await bot.push("main", by="eve")
    one, two, three = await bot.deployments_of("production")
    assert [row.plan.release.code for row in (one, two, three)] == [first, second, third]
    assert [one.state, two.state, three.awaits_approval] == [State.CANCELLED, State.CANCELLED, True]
    card = await bot.card(one.number)
    assert card.title.endswith(f"replaced by #{two.number}")
    assert card.buttons == ()
    assert f"replaces #{one.number} and #{two.number}, which were not deployed" in (await bot.card(three.number)).text
    refused = await bot.approve(one.number)
    assert not refused.ok
    assert [one.name for one in (await bot.posted(two.number)).wakes] == []
    assert [one.name for one in (await bot.posted(three.number)).wakes] == ["ben", "cem", "dia", "eve"]
    assert (await bot.approve(three.number)).ok
    assert await bot.end(three.number) is State.SUCCEEDED
    assert await bot.runs("production") == third
    assert "deploy replaced" in [row.action for row in await bot.audit()]


async def test_of_several_that_wait_for_their_turn_the_newest_wins(bot: AutodeployBot) -> None:
    """What has begun goes on; what waits behind it is replaced."""
    async with bot.deployments.queue._turns["shop", "staging"]:
        first = await bot.push("develop")
        second = await bot.push("develop")
        third = await bot.push("develop")
    await bot.settle()
    rows = await bot.deployments_of()
    assert [row.plan.release.code for row in rows] == [first, second, third]
    assert [row.state for row in rows] == [State.CANCELLED, State.CANCELLED, State.SUCCEEDED]
    assert (rows[2].skipped, rows[0].replaced_by, rows[1].replaced_by) == ((1, 2), 2, 3)
    assert await bot.runs() == third


async def test_what_people_asked_for_is_never_replaced(bot: AutodeployBot) -> None:
    old = bot.refs.branches["main"]
    mine = await bot.ask(f"deploy shop@{old} to production", "dia")
    await bot.push("main")
    assert (await bot.deployment(mine)).awaits_approval
    assert len(await bot.deployments_of("production")) == 2


async def test_who_brought_it_about_may_not_approve_it(bot: AutodeployBot) -> None:
    await bot.push("main", by="cem")
    (one,) = await bot.deployments_of("production")
    assert "You triggered it" in (await bot.approve(one.number, "cem")).title
    assert (await bot.approve(one.number, "ben")).ok
    assert await bot.end(one.number) is State.SUCCEEDED


async def test_an_approval_of_an_originator_is_void_even_if_that_is_reported_late(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, None, PRODUCTION | {"approvals": 2}) as bot:
        made = bot.commit("main")
        await bot.look()
        (one,) = await bot.deployments_of("production")
        assert (await bot.approve(one.number, "cem")).ok
        await bot.hear(Push(sender="github", branch="main", after=made, by=Author("Cem", GITHUB["cem"])))
        assert (await bot.approve(one.number, "ben")).title == f"#{one.number} has 1 of 2 approvals now."
        assert (await bot.approve(one.number, "dia")).ok
        assert await bot.end(one.number) is State.SUCCEEDED


async def test_skip_deploy_is_honoured_and_reported_once(bot: AutodeployBot) -> None:
    made = await bot.push("develop", "Mend a comment\n\nNothing else. [Skip Deploy]")
    await bot.look()
    assert await bot.deployed() == []
    (card,) = await bot.cards()
    assert (card.title, card.text) == (
        "shop/staging: push to develop by ana is not deployed automatically",
        "The commit message contains [skip deploy].",
    )
    assert [button.command for button in card.buttons] == [f"deploy shop@{made} to staging"]
    after = await bot.push("develop")
    assert await bot.deployed() == [after]


async def test_a_branch_that_was_moved_back_is_reported_and_not_deployed(bot: AutodeployBot) -> None:
    first = await bot.push("develop")
    second = await bot.push("develop")
    await bot.settle()
    bot.refs.branches["develop"] = first
    await bot.look()
    await bot.look()
    assert (await bot.deployed(), await bot.runs()) == ([first, second], second)
    (card,) = await bot.cards()
    assert card.text == f"The branch develop was moved back from {second[:10]}."
    rewritten = await bot.push("develop", on=first)
    await bot.settle()
    assert await bot.runs() == rewritten


async def test_what_waits_for_a_branch_that_is_deleted_is_let_go(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "release/*", "after": "ci"}}) as bot:
        made = await bot.push("release/1")
        await bot.built(made, BuildState.FAILED)
        del bot.refs.branches["release/1"]
        await bot.look()
        await bot.built(made, attempt=2)
        assert await bot.deployed() == []
        (card,) = await bot.cards()
        assert card.text == "The branch release/1 was deleted."


async def test_paths_of_another_part_are_passed_over(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "paths": ["shop/*"]}}) as bot:
        first = await bot.push("develop", paths=("docs/a.md",))
        await bot.settle()
        await bot.push("develop", paths=("blog/x.py",))
        assert await bot.deployed() == []
        third = await bot.push("develop", paths=("shop/x.py",))
        await bot.settle()
        await bot.push("develop", paths=("docs/b.md",))
        assert await bot.deployed() == [third]
        assert first != third


async def test_a_lock_is_reported_once_and_its_release_lets_it_go_on(bot: AutodeployBot) -> None:
    await bot.say("lock shop staging because I look at it", "eve")
    first = await bot.push("develop")
    second = await bot.push("develop")
    await bot.look()
    assert await bot.deployed() == []
    old, new = await bot.cards()
    assert (old.title[-27:], old.text) == ("was replaced by a newer one", "Newer: push to develop by ana.")
    assert new.text == "shop/staging is locked by eve. “I look at it” `unlock shop staging` removes it."
    assert [button.label for button in new.buttons] == ["Deploy to staging"]
    assert [row.action for row in await bot.audit()].count("denied") == 0
    await bot.say("unlock shop staging", "eve")
    await bot.look()
    assert await bot.deployed() == [second]
    assert first != second
    assert (await bot.cards())[1].text == "It is #1; its card shows the progress."


async def test_a_lock_with_an_end_is_looked_at_again_when_it_ends(bot: AutodeployBot) -> None:
    await bot.say("lock shop staging for 2h because I look at it", "eve")
    made = await bot.push("develop")
    assert 7000 < await bot.look() <= 7200
    bot.clock.advance(7200)
    await bot.look()
    assert await bot.deployed() == [made]


async def test_in_a_freeze_it_waits_and_the_newest_goes_when_it_ends(bot: AutodeployBot) -> None:
    await bot.say("freeze shop staging for 2h because I look at it", "eve")
    first = await bot.push("develop")
    second = await bot.push("develop")
    await bot.look()
    assert await bot.deployed() == [first, second]
    old, new = await bot.deployments_of("staging")
    assert (old.state, new.state, new.frozen_until > 0) == (State.CANCELLED, State.WAITING, True)
    bot.clock.advance(7200)
    bot.deployments.queue.look_again()
    assert await bot.end(new.number) is State.SUCCEEDED
    assert await bot.runs() == second


async def test_a_request_that_waits_for_a_freeze_can_be_approved_until_long_after_it(tmp_path: Path) -> None:
    keys = {"auto": {"branch": "develop"}, "approvals": 1, "approval_within": "4h"}
    async with open_autodeploy_bot(tmp_path, keys) as bot:
        bot.wait(clock_check=0.001)
        await bot.say("freeze shop staging for 2d because I look at it", "eve")
        pushed = await bot.push("develop")
        await bot.look()
        (one,) = await bot.deployments_of("staging")
        bot.clock.advance(2 * 86400 + 3 * 3600)
        assert (await bot.deployment(one.number)).awaits_approval
        assert (await bot.approve(one.number)).ok
        assert await bot.end(one.number) is State.SUCCEEDED
        assert await bot.runs() == pushed


async def test_production_waits_until_staging_is_healthy(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, STAGING, {"auto": {"branch": "main"}, "after": "staging"}) as bot:
        made = bot.commit("develop")
        bot.refs.branches["main"] = made
        await bot.look()
        (card,) = await bot.cards()
        assert f"{made[:10]} must be healthy in staging first" in card.text
        await bot.settle()
        assert await bot.runs("production") == made
        (card,) = await bot.cards()
        assert card.title.endswith("is being deployed")


class Thorny(FakeRefs):
    """A repository in which one commit cannot be read."""

    thorn = ""

    async def message(self, app: App, commit: str) -> str:
        if commit == self.thorn:
            raise UserError("it is a tree, not a commit")
        return await super().message(app, commit)


async def test_what_cannot_be_read_for_one_environment_stops_no_other(tmp_path: Path) -> None:
    refs = Thorny(tmp_path)
    async with open_autodeploy_bot(tmp_path, STAGING, {"auto": {"branch": "main"}}, refs=refs) as bot:
        refs.thorn = bot.commit("develop")
        made = bot.commit("main")
        with pytest.raises(UserError, match="a tree, not a commit"):
            await bot.look()
        assert (await bot.deployed(), await bot.deployed("production")) == ([], [made])


async def test_a_failure_is_not_tried_again_by_itself(bot: AutodeployBot) -> None:
    bot.hosts["web1"].script("switch", Outcome(code=1, log=b"no\n"))
    made = await bot.push("develop")
    await bot.settle()
    await bot.look()
    assert await bot.deployed() == [made]


@pytest.mark.parametrize("seconds", [60, -86400])
async def test_a_server_that_does_not_answer_is_reported_and_tried_again_later(
    bot: AutodeployBot, seconds: float
) -> None:
    """Also where the clock was a day ahead, and is right again."""
    bot.hosts["web1"].down = "no route to host"
    made = await bot.push("develop")
    (card,) = await bot.cards()
    assert "no route to host" in card.text
    bot.hosts["web1"].down = ""
    due = await bot.look()
    assert 0 < due <= 30
    bot.clock.advance(seconds)
    await bot.look()
    assert await bot.deployed() == [made]


async def test_who_deploys_it_by_hand_ends_the_wish(bot: AutodeployBot) -> None:
    await bot.say("lock shop staging because I look at it", "eve")
    made = await bot.push("develop")
    number = await bot.ask(f"deploy shop@{made} to staging", "eve")
    await bot.end_of(number)
    await bot.say("unlock shop staging", "eve")
    await bot.look()
    assert await bot.deployed() == [made]
    assert [trigger.state for trigger in await bot.triggers()] == [TriggerState.DONE]
    (card,) = await bot.cards()
    assert (card.title, card.buttons) == ("shop/staging: push to develop by ana is deployed", ())


async def test_why_says_what_is_deployed_by_itself(bot: AutodeployBot) -> None:
    card = await bot.say("why deploy shop staging", "ana")
    said = {line.name: line.text for line in card.lines}
    assert said["automatic"] == "A push to develop is deployed there automatically."


async def test_an_automation_taken_out_of_bot_toml_deploys_nothing_more(bot: AutodeployBot) -> None:
    await bot.push("main")
    (one,) = await bot.deployments_of("production")
    settings = bot.settings
    app = settings.apps["shop"]
    production = app.environments["production"].model_copy(update={"auto": None})
    without = app.model_copy(update={"environments": {**app.environments, "production": production}})
    await bot.restart(settings.model_copy(update={"apps": {"shop": without}}))
    await bot.approve(one.number)
    ended = await bot.end_of(one.number)
    assert ended.state is State.FAILED
    assert "`auto` in bot.toml does not allow `deploy` on shop/production" in ended.outcome


async def test_an_event_that_comes_twice_is_kept_once(bot: AutodeployBot) -> None:
    event = ImagePushed(sender="dockerhub", image="acme/shop", tag="1", digest="sha256:" + "a" * 64, by=Author("Ana"))
    for _ in range(2):
        await bot.hear(event)
    who = await bot.store.read(lambda tables: tables.triggers.authors("shop", ["sha256:" + "a" * 64] * 2))
    assert who == (Author("Ana"),)
