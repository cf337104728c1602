"""Who brought an automatic deployment about: known, unknown, told late; and who wrote what is in it."""

from __future__ import annotations

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
from tests.autodeploy.conftest import GITHUB, PRODUCTION, Yard, make_yard

NOBODY_TOLD = "no webhook reported who triggered it"
BEN = Author("Ben", GITHUB["ben"])
ANA = Author("Ana", GITHUB["ana"])


async def asked(yard: Yard) -> Deployment:
    """The one that waits for approvals in production."""
    (one,) = [one for one in await yard.deployments("production") if one.awaits_approval]
    return one


async def line(yard: Yard, number: int, name: str) -> str:
    """What a warning of this name says on the card of a request, whole."""
    card = await yard.town.card(number)
    found = [
        *(one.text for one in card.details if one.name == "warning"),
        *(row.removeprefix("! ") for row in card.text.split("\n")),
    ]
    return next((text.removeprefix(f"{name}: ") for text in found if text.startswith(f"{name}: ")), "")


async def test_who_pushed_is_known_where_the_webhook_came(yard: Yard) -> None:
    await yard.push("main", by="ana")
    one = await asked(yard)
    assert await line(yard, one.number, "one more") == ""
    assert (await yard.approve(one.number, "ben")).title == f"#{one.number} is approved."


async def test_found_by_looking_it_takes_one_approval_more_and_says_so(yard: Yard) -> None:
    """E6: the webhook of ben's push is lost, and ben approves it alone."""
    yard.commit("main")
    await yard.look()
    one = await asked(yard)
    card = await yard.town.card(one.number)
    assert card.title.endswith("· waiting for 2 approvals")
    assert await line(yard, one.number, "one more") == f"{NOBODY_TOLD}, so it needs 2 approvals"
    assert "approved 0 of 2 · " in card.footer
    assert (await yard.approve(one.number, "ben")).title == f"#{one.number} has 1 of 2 approvals now."
    assert (await yard.town.deployment(one.number)).awaits_approval
    assert (await yard.approve(one.number, "cem")).title == f"#{one.number} is approved."
    assert await yard.end(one.number) is State.SUCCEEDED


async def test_a_webhook_that_comes_late_is_believed(yard: Yard) -> None:
    commit = yard.commit("main")
    await yard.look()
    one = await asked(yard)
    assert (await yard.approve(one.number, "ben")).title == f"#{one.number} has 1 of 2 approvals now."
    await yard.hear(Push(sender="github", branch="main", after=commit, by=ANA))
    assert await yard.end(one.number) is State.SUCCEEDED, "ana is known now, so ben's approval is enough"


async def test_a_late_webhook_of_an_approvers_takes_their_approval_back(yard: Yard) -> None:
    commit = yard.commit("main")
    await yard.look()
    one = await asked(yard)
    await yard.approve(one.number, "ben")
    await yard.hear(Push(sender="github", branch="main", after=commit, by=BEN))
    assert (await yard.approve(one.number, "ben")).title.startswith("You triggered it")
    assert (await yard.approve(one.number, "cem")).title == f"#{one.number} is approved."


@pytest.mark.parametrize("author", [Author("Ghost", Identity("github", "99999")), Author("ghost")])
async def test_an_account_that_is_not_linked_is_unknown(yard: Yard, author: Author) -> None:
    commit = yard.commit("main")
    await yard.hear(Push(sender="github", branch="main", after=commit, by=author))
    await yard.look()
    one = await asked(yard)
    assert await line(yard, one.number, "one more") == (
        f"{author.name} triggered it from an unknown account, so it needs 2 approvals"
    )
    assert not (await yard.approve(one.number, "ben")).title.endswith("is approved.")


async def test_once_the_account_is_linked_it_is_known(yard: Yard) -> None:
    commit = yard.commit("main")
    await yard.hear(Push(sender="github", branch="main", after=commit, by=Author("Ghost", Identity("github", "99"))))
    await yard.look()
    one = await asked(yard)
    await yard.town.say("allow github:99:eve", "dia")
    assert (await yard.approve(one.number, "ben")).title == f"#{one.number} is approved."


async def test_who_pushed_the_commit_elsewhere_did_not_bring_it_here(yard: Yard) -> None:
    """Ana pushed it to a branch of hers; ben moved main to it, of which no webhook tells."""
    commit = yard.commit("feature", on=yard.refs.branches["main"])
    await yard.hear(Push(sender="github", branch="feature", after=commit, by=ANA))
    yard.refs.branches["main"] = commit
    await yard.look()
    one = await asked(yard)
    assert await line(yard, one.number, "one more") == f"{NOBODY_TOLD}, so it needs 2 approvals"


async def test_a_tag_that_was_moved_unseen_is_unknown(tmp_path: Path) -> None:
    async with make_yard(tmp_path, None, PRODUCTION | {"auto": {"tag": "v*"}}) as yard:
        first, second = yard.commit("main"), yard.commit("main")
        await yard.hear(Tagged(sender="github", tag="v1", commit=first, by=ANA))
        yard.refs.tags["v1"] = second
        await yard.look()
        one = await asked(yard)
        assert await line(yard, one.number, "one more") == f"{NOBODY_TOLD}, so it needs 2 approvals"
        await yard.hear(Tagged(sender="github", tag="v1", commit=second, by=BEN))
        assert (await yard.approve(one.number, "ben")).title.startswith("You triggered it")
        assert (await yard.approve(one.number, "cem")).title == f"#{one.number} is approved."


async def test_who_published_a_release_has_to_be_known_too(tmp_path: Path) -> None:
    async with make_yard(tmp_path, None, PRODUCTION | {"auto": {"release": True}}) as yard:
        commit = yard.commit("main")
        yard.refs.tags["v1"] = commit
        await yard.hear(Tagged(sender="github", tag="v1", commit=commit, by=ANA))
        await yard.hear(Published(sender="github", tag="v1", by=Author("Ghost", Identity("github", "99"))))
        await yard.look()
        one = await asked(yard)
        assert (await line(yard, one.number, "one more")).startswith("Ghost triggered it from an unknown account")


async def test_authors_may_not_be_the_only_ones(tmp_path: Path) -> None:
    async with make_yard(tmp_path, None, PRODUCTION | {"approvals_exclude": "authors"}) as yard:
        await yard.town.store.write(
            lambda tables: tables.people.link(yard.town.people["ben"].id, Identity("git", "ben@example.com"))
        )
        first = await yard.push("main", by="eve")
        one = await asked(yard)
        assert await line(yard, one.number, "one more") == (
            "the authors of the change are unknown, so it needs 2 approvals"
        ), "of a first deployment everything is new"
        for who in ("ben", "cem"):
            await yard.approve(one.number, who)
        assert await yard.end(one.number) is State.SUCCEEDED
        second = f"{next(yard.commits):040x}"
        yard.refs.between[first, second] = Changes(total=2, authors=(CommitAuthor("Ben", "Ben@Example.com"),))
        yard.refs.parents[second], yard.refs.branches["main"] = first, second
        yard.refs.messages[second], yard.refs.paths[second] = "x", ()
        await yard.hear(Push(sender="github", branch="main", after=second, by=ANA))
        await yard.look()
        one = await asked(yard)
        card = await yard.approve(one.number, "ben")
        assert card.title == f"#{one.number} has 1 of 1 approvals now."
        assert card.text == "Everyone who approved it also wrote part of it: someone else has to approve it, too."
        assert (await yard.town.card(one.number)).title.endswith("· waiting for 1 approval")
        assert await line(yard, one.number, "still needed") == card.text
        assert (await yard.approve(one.number, "cem")).title == f"#{one.number} is approved."
        assert await yard.end(one.number) is State.SUCCEEDED
