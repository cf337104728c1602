"""Nobody brings a deployment about alone: all pairs of requester, pusher, author, granter and approver.

What each person does is tried for real, through the dispatcher. Who took part is counted by the test, in humans: a
puppet is whoever made it, and so is an account that an admin gave to somebody else's name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from deploybot.domain import Author, Changes, CommitAuthor, Identity, Push, Role
from deploybot.ports import Tables
from deploybot.settings import Settings
from tests.approvals.conftest import open_approval_bot
from tests.autodeploy.conftest import GITHUB, PRODUCTION, AutodeployBot, open_autodeploy_bot
from tests.kit.bot import BotUnderTest

REQUESTERS = ("dia", "gus", "ben", "eve")
GRANTERS = ("dia", "gus")
APPROVERS = ("dia", "gus", "ben", "cem", "puppet", "ben's name")


@dataclass(frozen=True)
class Attempt:
    """One way to get a deployment approved; `human` is who is behind the approval."""

    requester: str
    granter: str
    approver: str
    before: bool

    @property
    def human(self) -> str:
        return self.granter if self.approver in {"puppet", "ben's name"} else self.approver


def _more(tables: Tables) -> None:
    """Gus is an admin of the shop, and at the console alone."""
    gus = tables.people.add("gus", Identity("console", "2000"))
    tables.people.grant(gus.id, Role.ADMIN, "shop")


def _grants_of(settings: Settings, grants: str) -> None:
    settings.bot.__dict__["grants"] = grants


async def _say(bot: BotUnderTest, text: str, who: str, platform: str = "console") -> bool:
    return (await bot.say(text, "2000" if who == "gus" else who, platform=platform)).ok


async def _grant(bot: BotUnderTest, one: Attempt, number: int) -> bool:
    """The granter makes a puppet, or an account of their own under ben's name, and confirms it if that takes two."""
    if one.approver == "puppet":
        text = f"allow telegram:{number}:puppet{number} approver on shop"
    elif one.approver == "ben's name":
        text = f"allow telegram:{number}:ben approver on shop"
    else:
        return True
    given = await _say(bot, text, one.granter)
    waits = await bot.store.read(lambda tables: [tables.grant_changes.get(n, 0.0) for n in range(1, 200)])
    change = next((found for found in reversed(waits) if found is not None), None)
    if change is not None:
        await _say(bot, f"confirm {change.name}", one.granter)
    return given


async def _attempt(bot: BotUnderTest, one: Attempt, number: int) -> bool:
    """Whether it got all approvals."""
    if one.before:
        await _grant(bot, one, number)
    card = await bot.say("deploy shop@v2 to production", "2000" if one.requester == "gus" else one.requester)
    deployment = int(card.key.partition(":")[2])
    if not one.before:
        await _grant(bot, one, number)
    if one.approver in {"puppet", "ben's name"}:
        await bot.say(f"approve #{deployment}", str(number), platform="telegram")
    else:
        await _say(bot, f"approve #{deployment}", one.approver)
    approved = not (await bot.deployment(deployment)).awaits_approval
    assert (await bot.say(f"reject #{deployment} because that was a test", "dia")).ok
    return approved


@pytest.mark.parametrize("grants", ["one", "two"])
async def test_nobody_requests_grants_and_approves_alone(
    tmp_path: Path, figure: Callable[[str], None], grants: str
) -> None:
    async with open_approval_bot(tmp_path) as bot:
        await bot.store.write(_more)
        _grants_of(bot.settings, grants)
        bot.start()
        alone = told = approved = tried = 0
        async with bot.busy():
            every = itertools.product(REQUESTERS, GRANTERS, APPROVERS, (True, False))
            for number, parts in enumerate(every, 70_000):
                one = Attempt(*parts)
                tried += 1
                if not await _attempt(bot, one, number):
                    continue
                approved += 1
                if one.human == one.requester:
                    known_before = one.before and grants == "one"
                    told += known_before
                    alone += not known_before
        figure(f"grants = {grants}: {alone} of {approved} approved by one person alone, {tried} tried")
        assert alone == 0
        assert approved > 0
        assert bool(told) is (grants == "one"), "what was granted before is what `two` is for; see docs/approvals.md"


PUSHERS = ("ben", "cem", "dia", "eve")
AUTO_APPROVERS = ("ben", "cem", "dia")


@pytest.fixture(autouse=True)
def _look_often() -> None:
    """Nothing is moved here but by people: no need to look at the clock as often as other tests do."""


@pytest.mark.parametrize("exclude", [None, "authors"])
@pytest.mark.parametrize("way", ["webhook", "lost", "unlinked", "elsewhere"])
async def test_nobody_pushes_writes_and_approves_alone(
    tmp_path: Path, figure: Callable[[str], None], way: str, exclude: str | None
) -> None:
    """With the webhook, without it, from an account that is not linked, and on top of a push of somebody else's."""
    production = PRODUCTION | ({"approvals_exclude": exclude} if exclude else {})
    async with open_autodeploy_bot(tmp_path, None, production) as bot:
        await bot.store.write(lambda tables: _addresses(tables, bot))
        await _lay(bot)
        alone = approved = tried = 0
        async with bot.busy():
            for pusher, author, approver in itertools.product(PUSHERS, PUSHERS, AUTO_APPROVERS):
                tried += 1
                number = await _push(bot, way, pusher, author)
                await bot.approve(number, approver)
                one = await bot.deployment(number)
                if not one.awaits_approval:
                    approved += 1
                    alone += pusher == approver or (exclude is not None and author == approver)
        figure(f"{way}: {alone} of {approved} approved by who pushed{' or wrote' if exclude else ''} it, {tried} tried")
        assert alone == 0
        assert bool(approved) is (way == "webhook"), "where the pusher is not known, one approval is never enough"


@pytest.mark.parametrize("grants", ["one", "two"])
async def test_nobody_pushes_links_and_approves_alone(
    tmp_path: Path, figure: Callable[[str], None], grants: str
) -> None:
    """An admin pushes from an account that is not linked, or that they unlink, and gives it to a name of their choice.

    It is given before the deployment is found, after that, or after an approval of theirs.
    """
    async with open_autodeploy_bot(tmp_path, None, PRODUCTION) as bot:
        await bot.store.write(_more)
        _grants_of(bot.settings, grants)
        bot.start()
        await _lay(bot)
        alone = tried = others = 0
        async with bot.busy():
            every = itertools.product(GRANTERS, (False, True), ("puppet", "eve"), ("found", "approved"))
            for account, (pusher, own, name, when) in enumerate(every, 90_000):
                tried += 1
                if own:
                    await bot.store.write(partial(_account, name=pusher, account=account))
                number = await _push(bot, "webhook", Identity("github", str(account)), pusher)
                if when == "approved":
                    await _say(bot, f"approve #{number}", pusher)
                await _say(bot, f"unlink github:{account}", pusher)
                new = f"puppet{account}" if name == "puppet" else name
                given = await _say(bot, f"allow github:{account}:{new} viewer on shop", pusher)
                waits = await bot.store.read(lambda tables: [tables.grant_changes.get(n, 0.0) for n in range(1, 50)])
                change = next((found for found in reversed(waits) if found is not None), None)
                if given and change is not None:
                    await _say(bot, f"confirm {change.name}", "gus" if pusher == "dia" else "dia")
                await _say(bot, f"approve #{number}", pusher)
                alone += not (await bot.deployment(number)).awaits_approval
                for other in ("ben", "cem"):
                    await bot.approve(number, other)
                others += not (await bot.deployment(number)).awaits_approval
        figure(f"grants = {grants}: {alone} of {tried} approved by who pushed and linked, {others} by others")
        assert (alone, others) == (0, tried)


@pytest.mark.parametrize("way", ["puppet", "ben's name"])
async def test_nobody_grants_and_approves_alone_what_waits_for_its_builds(tmp_path: Path, way: str) -> None:
    """An admin pushes and, while the builds run and no request is made yet, gives a role or an account of their own."""
    production = PRODUCTION | {"auto": {"branch": "main", "after": "ci"}}
    async with open_autodeploy_bot(tmp_path, None, production) as bot:
        commit = await bot.push("main", by="dia")
        assert not await bot.deployments_of("production")
        name = "puppet" if way == "puppet" else "ben"
        assert (await bot.say(f"allow telegram:4242:{name} approver on shop", "dia")).ok
        bot.clock.advance(1.0)
        await bot.built(commit)
        (one,) = await bot.deployments_of("production")
        card = await bot.say(f"approve #{one.number}", "4242", platform="telegram")
        assert card.title.endswith(
            "after #1 was triggered, so it does not count for #1."
            if way == "puppet"
            else "after #1 was triggered: approve it from an older one."
        )
        assert (await bot.deployment(one.number)).awaits_approval
        await bot.approve(one.number, "ben")
        assert not (await bot.deployment(one.number)).awaits_approval


def _account(tables: Tables, *, name: str, account: int) -> None:
    person = tables.people.named(name)
    assert person
    tables.people.link(person.id, Identity("github", str(account)))


async def _lay(bot: AutodeployBot) -> None:
    """Have something run, so that what is new can be told."""
    await bot.push("main", by="eve")
    (first,) = await bot.deployments_of("production")
    for who in ("ben", "cem"):
        await bot.approve(first.number, who)
    await bot.end(first.number)


def _addresses(tables: Tables, bot: AutodeployBot) -> None:
    for name in PUSHERS:
        tables.people.link(bot.people[name].id, Identity("git", f"{name}@example.com"))


async def _push(bot: AutodeployBot, way: str, pusher: str | Identity, author: str) -> int:
    """A push; the number of what it asks for."""
    before = bot.refs.branches["main"]
    branch = "feature" if way == "elsewhere" else "main"
    commit = bot.commit(branch, on=before)
    written = Changes(total=1, authors=(CommitAuthor(author.title(), f"{author}@example.com"),))
    running = {one.release.id for one in await bot.store.read(lambda t: t.running.get("shop", "production"))}
    for base in (before, *running):
        bot.refs.between[base, commit] = written
    other = next(name for name in PUSHERS if name != pusher)
    said = {
        "webhook": Author("somebody", pusher if isinstance(pusher, Identity) else GITHUB[pusher]),
        "unlinked": Author("somebody", Identity("github", "31337")),
        "elsewhere": Author(other, GITHUB[other]),
    }
    if way in said:
        await bot.hear(Push(sender="github", branch=branch, after=commit, by=said[way]))
    bot.refs.branches["main"] = commit
    await bot.look()
    waiting = [one for one in await bot.deployments_of("production") if not one.state.ended]
    return waiting[-1].number
