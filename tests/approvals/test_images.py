"""Images as part of a release, from the command to what runs: pinned, shown, approved, gone back to."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploybot.card import Card
from deploybot.chat.console.terminal_cards import plain
from deploybot.domain import Pin, Release, State, short_id
from deploybot.settings import ImageOf
from deploybot.testing import Outcome
from tests.approvals.conftest import open_approval_bot
from tests.kit.bot import GOOD_SWITCH, V1, V2, V3, BotUnderTest
from tests.kit.seeds import new_seed

N = int(os.environ.get("N", "60"))
SHOP, SIDE = "registry.example.com/acme/shop", "acme/side"
OLD, NEW, NEWER = (f"sha256:{digit * 64}" for digit in "123")


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[BotUnderTest]:
    """A shop whose service `web` runs an image, the newest of ^1.4."""
    async with open_approval_bot(tmp_path) as made:
        made.settings.apps["shop"].images["web"] = ImageOf(image=SHOP, tag="^1.4")
        made.images.known[SHOP] = {"1.4.2": OLD}
        yield made


def push(bot: BotUnderTest, tag: str, digest: str, image: str = SHOP) -> None:
    bot.images.known.setdefault(image, {})[tag] = digest


async def deployed(bot: BotUnderTest, text: str) -> Release:
    """What a command deployed, well, on every server of staging."""
    ended = await bot.end_of(await bot.ask(text))
    assert ended.state is State.SUCCEEDED, ended.outcome
    release = ended.plan.release
    assert bot.hosts["web1"].server_facts.current == release.id
    return release


def digests(release: Release) -> dict[str, str]:
    return {pin.service: pin.digest for pin in release.images}


async def read(bot: BotUnderTest, text: str) -> str:
    return plain(await bot.say(text), 160)


async def test_one_commit_with_two_images_is_two_releases(bot: BotUnderTest) -> None:
    first = await deployed(bot, "deploy shop to staging")
    assert first.images == (Pin("web", SHOP, "1.4.2", OLD),)
    push(bot, "1.4.3", NEW)
    push(bot, "2.0.0", NEWER)
    second = await deployed(bot, "deploy shop to staging")
    assert (second.code, digests(second)) == (first.code, {"web": NEW})
    shown = await bot.card(2)
    details = [(line.name, line.text) for line in shown.details]
    assert ("change of web", "1.4.2 sha256:1111111111 → 1.4.3 sha256:2222222222") in details
    assert shown.title == "#2 shop/staging: web 1.4.2 → 1.4.3 · succeeded"
    assert "web 1.4.2 sha256:1111111111 → 1.4.3 sha256:2222222222" in await read(bot, "history shop staging")
    asked = [row.detail for row in await bot.audit() if row.action == "deploy asked"]
    assert f"web: 1.4.3 {SHOP}@{NEW}" in asked[-1]
    # Back to the image before, though nothing else has changed; and again to the very same by number.
    assert await deployed(bot, "rollback shop from staging") == first
    bot.images.down = "it is being moved"
    assert digests(await deployed(bot, "deploy shop@#2 to staging")) == {"web": NEW}
    assert digests(await deployed(bot, "deploy shop@:current to staging")) == {"web": NEW}
    assert digests(await deployed(bot, "deploy shop@:previous to staging")) == {"web": OLD}
    assert "The registry cannot be reached: it is being moved" in await read(bot, "deploy shop to staging")


async def test_what_fails_is_put_back_with_its_image_and_tried_again_as_it_was(bot: BotUnderTest) -> None:
    first = await deployed(bot, "deploy shop to staging")
    push(bot, "1.4.3", NEW)
    bot.hosts["web1"].script("switch", Outcome(code=1), GOOD_SWITCH)
    ended = await bot.end_of(await bot.ask("deploy shop to staging"))
    assert ended.state is State.RESTORED
    assert bot.hosts["web1"].server_facts.current == first.id
    push(bot, "1.4.4", NEWER)
    (again,) = [button.command for button in (await bot.card(2)).buttons if button.label == "Try again"]
    assert again == "deploy shop@#2 to staging"
    bot.hosts["web1"].script("switch", GOOD_SWITCH)
    assert digests(await deployed(bot, again)) == {"web": NEW}


async def test_what_is_there_though_it_should_not_be_is_known_by_its_images(bot: BotUnderTest) -> None:
    first = await deployed(bot, "deploy shop to staging")
    push(bot, "1.4.3", NEW)
    second = await deployed(bot, "deploy shop to staging")
    host = bot.hosts["web1"]
    for there, told in ((first.id, "1.4.2 sha256:1111111111"), (f"{V1.code}-{'f' * 12}", "unknown")):
        host.server_facts = dataclasses.replace(host.server_facts, current=there)
        tried = await read(bot, "deploy shop@#2 to staging --dry-run")
        assert f"change of web  {told} → 1.4.3 sha256:2222222222" in tried
        assert f"web1 runs {short_id(there)}, but #2 deployed {second}" in tried


async def test_an_image_by_its_digest_or_tag_changes_nothing_else(bot: BotUnderTest) -> None:
    bot.settings.apps["shop"].images["side"] = ImageOf(image=SIDE)
    push(bot, "latest", OLD, SIDE)
    assert digests(await deployed(bot, f"deploy shop@{OLD} to staging")) == {"web": OLD, "side": OLD}
    await deployed(bot, "deploy shop@v2 to staging")
    push(bot, "latest", NEWER, SIDE)
    push(bot, "1.4.3", NEW)
    push(bot, "1.9.0", NEWER)
    found = await deployed(bot, f"deploy shop@{NEW} to staging")
    assert (found.code, digests(found), found.typed) == (V2.code, {"web": NEW, "side": OLD}, None)
    found = await deployed(bot, "deploy shop@1.9.0 to staging")
    assert (found.code, digests(found)) == (V2.code, {"web": NEWER, "side": OLD})
    assert digests(await deployed(bot, "deploy shop@v2 to staging")) == {"web": NEWER, "side": NEWER}


async def test_what_no_image_has_is_reported(bot: BotUnderTest) -> None:
    nothing = f"sha256:{'9' * 64}"
    assert "No image of shop has the digest sha256:9999999999…. " in (
        await read(bot, f"deploy shop@{nothing} to staging")
    ).replace("\n", " ")
    assert "shop has no ref `9.9.9`" in await read(bot, "deploy shop@9.9.9 to staging")
    assert "is not an image digest" in await read(bot, "deploy shop@sha256:123 to staging")
    bot.images.down = "it is being moved"
    told = await read(bot, "deploy shop@1.4.2 to staging")
    assert "shop has no ref `1.4.2`" in told
    assert "It may be an image tag; that could not be checked: the registry cannot be reached" in told
    bot.settings.apps["shop"].images.clear()
    assert "shop has no images, so a digest cannot be found" in await read(bot, f"deploy shop@{OLD} to staging")


async def test_going_back_to_a_ref_takes_the_image_it_ran_with(bot: BotUnderTest) -> None:
    await deployed(bot, "deploy shop@v1 to staging")
    push(bot, "1.4.3", NEW)
    await deployed(bot, "deploy shop@v2 to staging")
    bot.images.down = "it is being moved"
    back = await deployed(bot, "rollback shop from staging to v1")
    assert (back.code, digests(back)) == (V1.code, {"web": OLD})
    bot.images.down = ""
    assert digests(await deployed(bot, "rollback shop from staging to v3")) == {"web": NEW}


async def test_a_release_of_before_is_gone_back_to_without_images(bot: BotUnderTest) -> None:
    web = bot.settings.apps["shop"].images.pop("web")
    first = await deployed(bot, "deploy shop@v1 to staging")
    assert first.id == V1.code
    bot.settings.apps["shop"].images["web"] = web
    await deployed(bot, "deploy shop@v1 to staging")
    assert (await deployed(bot, "rollback shop from staging")).id == V1.code
    assert "web 1.4.2 sha256:1111111111 → not pinned" in await read(bot, "history shop staging")


async def test_a_tag_that_moved_makes_an_approval_void(bot: BotUnderTest) -> None:
    bot.settings.apps["shop"].images["web"] = ImageOf(image=SHOP, tag="latest")
    push(bot, "latest", OLD)
    number = await bot.ask("deploy shop@main to production because new cart")
    lines = {line.name: line.text for line in (await bot.card(number)).details}
    assert lines["image web"] == f"latest, {SHOP}@{OLD}"
    push(bot, "latest", NEW)
    card = await bot.say(f"approve #{number}", "ben")
    assert card.title == f"#{number} is void, and was not deployed."
    assert card.text == "image: web was latest sha256:1111111111, now latest sha256:2222222222"
    assert [one.command for one in card.buttons] == ["deploy shop@main to production/web1,web2 because new cart"]
    assert bot.current() == {""}
    again = await bot.ask(card.buttons[0].command)
    assert (await bot.say(f"approve #{again}", "ben")).ok
    assert digests((await bot.end_of(again)).plan.release) == {"web": NEW}


async def test_an_image_that_is_named_cannot_move(bot: BotUnderTest) -> None:
    await deployed(bot, "deploy shop to staging")
    for text in ("deploy shop@#1 to production", f"deploy shop@{OLD} to production"):
        number = await bot.ask(text)
        push(bot, "1.4.3", NEW)
        assert (await bot.say(f"approve #{number}", "ben")).ok
        assert digests((await bot.end_of(number)).plan.release) == {"web": OLD}


async def test_what_is_void_without_a_ref_is_asked_for_anew_by_its_number(bot: BotUnderTest) -> None:
    await deployed(bot, "deploy shop to staging")
    number = await bot.ask("deploy shop@#1 to production")
    host = bot.hosts["web2"]
    host.server_facts = dataclasses.replace(host.server_facts, current=V3.id)
    card = await bot.say(f"approve #{number}", "ben")
    assert [one.command for one in card.buttons] == [f"deploy shop@#{number} to production/web1,web2"]


async def test_an_image_that_is_gone_is_not_approved(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@main to production")
    bot.images.known.clear()
    card = await bot.say(f"approve #{number}", "ben")
    assert (card.ok, "has no tag `^1.4`" in card.title) == (False, True), card
    assert bot.current() == {""}


async def test_the_same_images_have_to_be_healthy_before(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=0, after="staging") as bot:
        bot.settings.apps["shop"].images["web"] = ImageOf(image=SHOP, tag="^1.4")
        push(bot, "1.4.2", OLD)
        await deployed(bot, "deploy shop@v1 to staging")
        push(bot, "1.4.3", NEW)
        told = await read(bot, "deploy shop@v1 to production")
        assert "with web 1.4.3 sha256:2222222222 must be healthy in staging first" in told
        assert "There now: web1: v1 (1111111111) with web 1.4.2 sha256:1111111111" in told
        assert digests(await deployed(bot, "deploy shop@#1 to production")) == {"web": OLD}


async def test_what_would_change_is_shown(bot: BotUnderTest) -> None:
    await deployed(bot, "deploy shop@v1 to staging")
    assert "no commit or image would change" in await read(bot, "diff shop@v1 staging")
    push(bot, "1.4.3", NEW)
    told = await read(bot, "diff shop@v1 staging")
    assert "web 1.4.2 sha256:1111111111 → 1.4.3 sha256:2222222222" in told
    assert "The commit stays the same." in told
    tried = await read(bot, "deploy shop@v1 to staging --dry-run")
    assert "change of web  1.4.2 sha256:1111111111 → 1.4.3 sha256:2222222222" in tried


async def test_what_runs_is_what_was_approved(bot: BotUnderTest, figure: Callable[[str], None]) -> None:
    """Branches and tags that move at any time between asking and approving."""
    seed = new_seed()
    dice = random.Random(seed)
    bot.settings.apps["shop"].images["web"] = ImageOf(image=SHOP, tag="latest")

    def move() -> None:
        if dice.random() < 0.4:
            push(bot, "latest", f"sha256:{dice.choice('123456') * 64}")
        if dice.random() < 0.2:
            bot.refs.known["main"] = dice.choice([V1, V2, V3]).id

    push(bot, "latest", OLD)
    void = wrong = 0
    for _ in range(N):
        number = await bot.ask("deploy shop@main to production")
        shown = await bot.card(number)
        move()
        answer = await bot.say(f"approve #{number}", "ben")
        moved_on = (bot.refs.known["main"], bot.images.known[SHOP]["latest"])
        ended = await bot.end_of(number)
        release = ended.plan.release
        void += not answer.ok
        wrong += answer.ok is not ((release.code, release.images[0].digest) == moved_on)
        wrong += answer.ok and not (_shows(shown, release) and bot.current() == {release.id})
    figure(f"0 of {N} ran another image than the one that was approved ({void} void), seed={seed}")
    assert (wrong, 0 < void < N) == (0, True)


def _shows(card: Card, release: Release) -> bool:
    lines = {line.name: line.text for line in card.details}
    return str(release.code) in lines["release"] and release.images[0].reference in lines["image web"]
