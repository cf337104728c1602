"""Who brought an automatic deployment about: known, unknown, told late; and who wrote what is in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import (
    Author,
    Changes,
    CommitAuthor,
    Deployment,
    Identity,
    Published,
    Push,
    State,
    Tagged,
)
from deploybot.webhooks.senders import sender
from tests.autodeploy.conftest import GITHUB, PRODUCTION, AutodeployBot, open_autodeploy_bot
from tests.webhooks.recorded import RECORDED

NOBODY_TOLD = "no webhook reported who triggered it"
BEN = Author("Ben", GITHUB["ben"])
ANA = Author("Ana", GITHUB["ana"])
RELEASE = [
    event
    for one in RECORDED
    if str(one).startswith("gitlab/")
    for event in sender("gitlab").events(one.received())
    if isinstance(event, Published) and not event.gone
][:1]
"""A published release, as GitLab reports it."""


async def asked(bot: AutodeployBot) -> Deployment:
    """The one that waits for approvals in production."""
    (one,) = [one for one in await bot.deployments_of("production") if one.awaits_approval]
    return one


async def line(bot: AutodeployBot, number: int, name: str) -> str:
    """What a warning of this name says on the card of a request, whole."""
    card = await bot.card(number)
    found = [
        *(one.text for one in card.details if one.name == "warning"),
        *(row.removeprefix("! ") for row in card.text.split("\n")),
    ]
    return next((text.removeprefix(f"{name}: ") for text in found if text.startswith(f"{name}: ")), "")


async def test_who_pushed_is_known_where_the_webhook_came(bot: AutodeployBot) -> None:
    await bot.push("main", by="ana")
    one = await asked(bot)
    assert await line(bot, one.number, "one more") == ""
    assert (await bot.approve(one.number, "ben")).title == f"#{one.number} is approved."


async def test_found_by_looking_it_takes_one_approval_more_and_says_so(bot: AutodeployBot) -> None:
    """E6: the webhook of ben's push is lost, and ben approves it alone."""
    bot.commit("main")
    await bot.look()
    one = await asked(bot)
    card = await bot.card(one.number)
    assert card.title.endswith("· waiting for 2 approvals")
    assert await line(bot, one.number, "one more") == f"{NOBODY_TOLD}, so it needs 2 approvals"
    assert "approved 0 of 2 · " in card.footer
    assert (await bot.approve(one.number, "ben")).title == f"#{one.number} has 1 of 2 approvals now."
    assert (await bot.deployment(one.number)).awaits_approval
    assert (await bot.approve(one.number, "cem")).title == f"#{one.number} is approved."
    assert await bot.end(one.number) is State.SUCCEEDED


async def test_a_webhook_that_comes_late_is_believed(bot: AutodeployBot) -> None:
    commit = bot.commit("main")
    await bot.look()
    one = await asked(bot)
    assert (await bot.approve(one.number, "ben")).title == f"#{one.number} has 1 of 2 approvals now."
    await bot.hear(Push(sender="github", branch="main", after=commit, by=ANA))
    assert await bot.end(one.number) is State.SUCCEEDED, "ana is known now, so ben's approval is enough"


async def test_a_late_webhook_of_an_approvers_takes_their_approval_back(bot: AutodeployBot) -> None:
    commit = bot.commit("main")
    await bot.look()
    one = await asked(bot)
    await bot.approve(one.number, "ben")
    await bot.hear(Push(sender="github", branch="main", after=commit, by=BEN))
    assert (await bot.approve(one.number, "ben")).title.startswith("You triggered it")
    assert (await bot.approve(one.number, "cem")).title == f"#{one.number} is approved."


@pytest.mark.parametrize("author", [Author("Ghost", Identity("github", "99999")), Author("ghost")])
async def test_an_account_that_is_not_linked_is_unknown(bot: AutodeployBot, author: Author) -> None:
    commit = bot.commit("main")
    await bot.hear(Push(sender="github", branch="main", after=commit, by=author))
    await bot.look()
    one = await asked(bot)
    assert await line(bot, one.number, "one more") == (
        f"{author.name} triggered it from an unknown account, so it needs 2 approvals"
    )
    assert not (await bot.approve(one.number, "ben")).title.endswith("is approved.")


async def test_once_the_account_is_linked_it_is_known(bot: AutodeployBot) -> None:
    commit = bot.commit("main")
    await bot.hear(Push(sender="github", branch="main", after=commit, by=Author("Ghost", Identity("github", "99"))))
    await bot.look()
    one = await asked(bot)
    await bot.say("allow github:99:eve", "dia")
    assert (await bot.approve(one.number, "ben")).title == f"#{one.number} is approved."


async def test_who_linked_the_account_afterwards_may_not_approve(bot: AutodeployBot) -> None:
    """Dia could have pushed from it herself, whomever she gives it to. An approval of hers before counts no more."""
    commit = bot.commit("main")
    await bot.hear(Push(sender="github", branch="main", after=commit, by=Author("Ghost", Identity("github", "99"))))
    await bot.look()
    one = await asked(bot)
    assert (await bot.approve(one.number, "dia")).title == f"#{one.number} has 1 of 2 approvals now."
    await bot.say("allow github:99:puppet viewer on shop", "dia")
    await bot.until(one.number, lambda deployment: deployment.awaits_approval)
    assert (await bot.approve(one.number, "dia")).title == (
        "You linked the account only after it triggered this deployment, so someone else must approve it."
    )
    assert (await bot.approve(one.number, "ben")).title == f"#{one.number} is approved."


async def test_who_links_it_while_it_waits_for_a_build_may_not_approve_either(tmp_path: Path) -> None:
    """There is no deployment yet, but what triggers it is known."""
    production = {"auto": {"branch": "main", "after": "ci"}, "approvals": 1}
    async with open_autodeploy_bot(tmp_path, None, production) as bot:
        commit = bot.commit("main")
        await bot.hear(Push(sender="github", branch="main", after=commit, by=Author("Ghost", Identity("github", "99"))))
        await bot.look()
        bot.clock.advance(60.0)
        await bot.say("allow github:99:puppet viewer on shop", "dia")
        await bot.built(commit)
        one = await asked(bot)
        assert (await bot.approve(one.number, "dia")).title.startswith("You linked the account")
        assert (await bot.approve(one.number, "ben")).title == f"#{one.number} is approved."


async def test_who_linked_the_account_before_may_approve(bot: AutodeployBot) -> None:
    await bot.say("allow github:99:eve", "dia")
    bot.clock.advance(60.0)
    commit = bot.commit("main")
    await bot.hear(Push(sender="github", branch="main", after=commit, by=Author("Eve", Identity("github", "99"))))
    await bot.look()
    one = await asked(bot)
    assert (await bot.approve(one.number, "dia")).title == f"#{one.number} is approved."


async def test_who_pushed_the_commit_elsewhere_did_not_bring_it_here(bot: AutodeployBot) -> None:
    """Ana pushed it to a branch of hers; ben moved main to it, of which no webhook tells."""
    commit = bot.commit("feature", on=bot.refs.branches["main"])
    await bot.hear(Push(sender="github", branch="feature", after=commit, by=ANA))
    bot.refs.branches["main"] = commit
    await bot.look()
    one = await asked(bot)
    assert await line(bot, one.number, "one more") == f"{NOBODY_TOLD}, so it needs 2 approvals"


async def test_a_tag_that_was_moved_unseen_is_unknown(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, None, PRODUCTION | {"auto": {"tag": "v*"}}) as bot:
        first, second = bot.commit("main"), bot.commit("main")
        await bot.hear(Tagged(sender="github", tag="v1", commit=first, by=ANA))
        bot.refs.tags["v1"] = second
        await bot.look()
        one = await asked(bot)
        assert await line(bot, one.number, "one more") == f"{NOBODY_TOLD}, so it needs 2 approvals"
        await bot.hear(Tagged(sender="github", tag="v1", commit=second, by=BEN))
        assert (await bot.approve(one.number, "ben")).title.startswith("You triggered it")
        assert (await bot.approve(one.number, "cem")).title == f"#{one.number} is approved."


async def test_who_published_a_release_has_to_be_known_too(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, None, PRODUCTION | {"auto": {"release": True}}) as bot:
        commit = bot.commit("main")
        bot.refs.tags["v1"] = commit
        await bot.hear(Tagged(sender="github", tag="v1", commit=commit, by=ANA))
        await bot.hear(Published(sender="github", tag="v1", by=Author("Ghost", Identity("github", "99"))))
        await bot.look()
        one = await asked(bot)
        assert (await line(bot, one.number, "one more")).startswith("Ghost triggered it from an unknown account")


async def test_a_publisher_whom_no_webhook_names_is_not_the_tagger(tmp_path: Path) -> None:
    """GitLab does not report who published a release: ben does, and approves the deployment of ana's tag."""
    async with open_autodeploy_bot(tmp_path, None, PRODUCTION | {"auto": {"release": True}}) as bot:
        commit = bot.commit("main")
        bot.refs.tags["v1"] = commit
        await bot.hear(Tagged(sender="gitlab", tag="v1", commit=commit, by=ANA))
        (published,) = RELEASE
        await bot.hear(replace(published, tag="v1"))
        await bot.look()
        one = await asked(bot)
        assert await line(bot, one.number, "one more") == f"{NOBODY_TOLD}, so it needs 2 approvals"
        assert (await bot.approve(one.number, "ben")).title == f"#{one.number} has 1 of 2 approvals now."
        assert (await bot.approve(one.number, "cem")).title == f"#{one.number} is approved."


async def test_who_published_a_release_may_not_approve_it(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, None, PRODUCTION | {"auto": {"release": True}}) as bot:
        commit = bot.commit("main")
        bot.refs.tags["v1"] = commit
        await bot.hear(Tagged(sender="github", tag="v1", commit=commit, by=ANA))
        await bot.hear(Published(sender="github", tag="v1", by=BEN))
        await bot.look()
        one = await asked(bot)
        assert await line(bot, one.number, "one more") == ""
        assert (await bot.approve(one.number, "ben")).title.startswith("You triggered it")
        assert (await bot.approve(one.number, "cem")).title == f"#{one.number} is approved."


async def test_a_tag_needs_no_publisher(tmp_path: Path) -> None:
    """The push of the tag caused it. Who publishes a release of it later does not matter."""
    async with open_autodeploy_bot(tmp_path, None, PRODUCTION | {"auto": {"tag": "v*"}}) as bot:
        commit = bot.commit("main")
        bot.refs.tags["v1"] = commit
        await bot.hear(Tagged(sender="gitlab", tag="v1", commit=commit, by=ANA))
        await bot.look()
        await bot.hear(Published(sender="gitlab", tag="v1"))
        one = await asked(bot)
        assert (await bot.approve(one.number, "ben")).title == f"#{one.number} is approved."


async def test_authors_may_not_be_the_only_ones(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, None, PRODUCTION | {"approvals_exclude": "authors"}) as bot:
        await bot.store.write(
            lambda tables: tables.people.link(bot.people["ben"].id, Identity("git", "ben@example.com"))
        )
        first = await bot.push("main", by="eve")
        one = await asked(bot)
        assert await line(bot, one.number, "one more") == (
            "the authors of the change are unknown, so it needs 2 approvals"
        ), "of a first deployment everything is new"
        for who in ("ben", "cem"):
            await bot.approve(one.number, who)
        assert await bot.end(one.number) is State.SUCCEEDED
        second = f"{next(bot.commits):040x}"
        bot.refs.between[first, second] = Changes(total=2, authors=(CommitAuthor("Ben", "Ben@Example.com"),))
        bot.refs.parents[second], bot.refs.branches["main"] = first, second
        bot.refs.messages[second], bot.refs.paths[second] = "x", ()
        await bot.hear(Push(sender="github", branch="main", after=second, by=ANA))
        await bot.look()
        one = await asked(bot)
        card = await bot.approve(one.number, "ben")
        assert card.title == f"#{one.number} has 1 of 1 approvals now."
        assert card.text == "Everyone who approved it also wrote part of it: someone else must approve it, too."
        assert (await bot.card(one.number)).title.endswith("· waiting for 1 approval")
        wrote, _, other = card.text.partition(": ")
        assert await line(bot, one.number, wrote) == other
        assert (await bot.approve(one.number, "cem")).title == f"#{one.number} is approved."
        assert await bot.end(one.number) is State.SUCCEEDED
