"""Unknown and forbidden look alike: a bot with things that somebody may not see answers them as one without.

Two bots are asked the same: one has everything, the other only what the person may see. Every command is tried with
every name, each mistyped, too, and each line is completed wherever one may press Tab.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from deploybot.card import Card
from deploybot.command_parameters import Follow
from deploybot.domain import Identity, Role
from deploybot.ports import Tables
from deploybot.settings import Settings
from tests.kit.command_bot import NUMBERS, SETTINGS, TEAM, V1, CommandBot, open_command_bot
from tests.kit.everything import EVERYTHING, part_of

PEOPLE = ("ben", "cem", "eve", "gus", "hal")
"""A deployer of one app; a viewer of an environment and of an app; nobody; those who see only what is no default."""
MORE = {"gus": ("1006", Role.VIEWER, "shop", "production"), "hal": ("1007", Role.DEPLOYER, "shop", "production")}
APPS = ("shop", "blog", "wiki", "blgo", "wikki", "none")
PLACES = ("staging", "production", "live", "test", "prodction", "none")
SERVERS = ("web1", "web2", "web3", "web4")
_RANDOM = frozenset({"link", "totp", "claim"})
"""Commands whose answers hold something random."""


def _hire_more(tables: Tables) -> None:
    for name, (user, role, app, environment) in MORE.items():
        person = tables.people.add(name, Identity("console", user))
        tables.people.grant(person.id, role, app, environment)


def _sees(who: str, app: str, environment: str) -> bool:
    grants = [*TEAM.get(who, ()), *((MORE[who][1:],) if who in MORE else ())]
    return any(place in {app, "*"} and part in {environment, "*"} for _, place, part in grants)


def _settings(who: str) -> Settings:
    """bot.toml without what somebody may not see."""
    apps = {}
    for name, app in SETTINGS.apps.items():
        places = {key: place for key, place in app.environments.items() if _sees(who, name, key)}
        if places:
            apps[name] = app.model_copy(update={"environments": places})
    used = {server for app in apps.values() for place in app.environments.values() for server in place.servers}
    servers = {name: server for name, server in SETTINGS.servers.items() if name in used}
    return SETTINGS.model_copy(update={"apps": apps, "servers": servers})


@asynccontextmanager
async def _bots(who: str) -> AsyncIterator[tuple[CommandBot, CommandBot]]:
    """The bot with everything, and the other one. What can be seen has deployments 1 and on, what cannot 40 and on."""
    async with AsyncExitStack() as stack:
        everything = await stack.enter_async_context(open_command_bot())
        less = await stack.enter_async_context(open_command_bot(settings=_settings(who)))
        for bot in (everything, less):
            await bot.store.write(_hire_more)
            numbers, hidden = itertools.count(1), itertools.count(42)
            for app in SETTINGS.apps.values():
                for environment in app.environments:
                    seen = _sees(who, app.name, environment)
                    number = next(numbers if seen else hidden)
                    if seen or bot is everything:
                        bot.deployments.put(number, app.name, environment, V1)
                        bot.logs.open[f"log-{number}"] = Follow(f"log-{number}", app.name, environment)
        yield everything, less


def _lines(bot: CommandBot) -> Iterator[str]:
    """What people type, with every name in the place of every other."""
    yield from ("help", "whoami", "status", "apps", "servers", "who", "history", "shop", "blog", "status live")
    for name, command in bot.services.commands.items():
        for example in command.examples if name not in _RANDOM else ():
            parts = re.split(r"\b(shop|production|staging|web1|web2)\b|(#\d+)|(log-\d+)", example)
            choices = [_choices(part) for part in parts if part is not None]
            yield from map("".join, itertools.product(*choices))
        for app in APPS:
            yield f"{name} {app}"
            yield from (f"{name} {app} {place}" for place in PLACES)


def _choices(part: str) -> tuple[str, ...]:
    if part in {"production", "staging"}:
        return PLACES
    if part in {"web1", "web2"}:
        return SERVERS
    if part.startswith("#"):
        return ("#1", "#42", "#43", "#99")
    if part.startswith("log-"):
        return ("log-1", "log-42", "log-99")
    return APPS if part == "shop" else (part,)


def _changes_by_default(bot: CommandBot, line: str) -> bool:
    """Whether it changes something in an environment that it does not name: then nothing is guessed from rights."""
    words = line.split()
    command = bot.services.commands.get(words[0])
    return command is not None and command.needs != "view" and not {*PLACES} & {*re.split(r"[\s/,]", line)}


@pytest.mark.parametrize("who", PEOPLE)
async def test_what_one_may_not_see_is_answered_as_if_it_were_not_there(who: str) -> None:
    count, user = 0, NUMBERS[who] if who in TEAM else MORE[who][0]
    async with _bots(who) as (everything, less):
        everything.answer_at_once()
        less.answer_at_once()
        for line in part_of(dict.fromkeys(_lines(everything)), PEOPLE.index(who), of=3):
            if who in MORE and _changes_by_default(everything, line):
                continue
            there, nowhere = await everything.maybe(line, user), await less.maybe(line, user)
            assert _plain(there) == _plain(nowhere), line
            count += 1
    assert count > (1_000 if EVERYTHING else 300)


@pytest.mark.parametrize("who", PEOPLE)
async def test_what_one_may_not_see_is_never_proposed(who: str) -> None:
    identity = Identity("console", NUMBERS[who] if who in TEAM else MORE[who][0])
    async with _bots(who) as (everything, less):
        lines = dict.fromkeys(_lines(everything))
        begun = dict.fromkeys(line[:end] for line in lines for end in range(len(line) + 1) if line[:end].count(" ") > 0)
        for line in list(begun)[:: max(1, len(begun) // (4_000 if EVERYTHING else 1_200))]:
            there = await everything.dispatcher.complete(identity, line)
            assert there == await less.dispatcher.complete(identity, line), line


def _plain(card: Card | None) -> str:
    """A card; numbers of deployments that were just made differ."""
    return re.sub(r"#\d+ is", "#N is", repr(card))


async def test_the_time_of_an_answer_does_not_report_either() -> None:
    """What is forbidden is kept in the audit before it is answered; what is unknown is not, and takes as long."""
    loop = asyncio.get_running_loop()
    async with open_command_bot() as bot:
        for line in ("status blog", "status none", "approve #42", "approve #99"):
            bot.deployments.put(42, "blog", "live", V1)
            began = loop.time()
            assert not (await bot.say(line, "eve" if line.startswith("status") else "ben")).ok
            assert loop.time() - began >= 0.05, line
