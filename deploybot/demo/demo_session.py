"""The demo's session: three people use a bot, it is killed, and its answers are compared with the shop's own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploybot.chat.console.child_bot import OwnBot
from deploybot.demo import demo_repository
from deploybot.demo.demo_images import image_app, promoted
from deploybot.demo.demo_rollouts import first_on_three, third_fails, watched_canary
from deploybot.demo.demo_transcript import ANA, BEN, CEM, DemoAnswer, DemoTranscript

_BEGUN_WITHIN = 90.0
_DEAD_WITHIN = 30.0
_PAGE_WITHIN = 30.0
_ASKED_WITHIN = 90.0
_POSTED_WITHIN = 90.0


async def play(stage: DemoTranscript) -> None:
    """Play all scenes, from the start of a bot to the check that its audit is complete."""
    await _people(stage)
    async with _bot(stage):
        await _first_release(stage)
        await _next_release(stage)
        await _broken_release(stage)
        await _back_and_forth(stage)
        await _by_hand(stage)
        await _pruned(stage)
        await _typing_errors(stage)
        await _no_right(stage)
        answer, typing = await _killed(stage)
    async with stage.town.three_servers() as servers:
        try:
            async with _bot(stage):
                await _taken_up(stage, answer, typing)
                await first_on_three(stage, servers)
        finally:
            typing.cancel()
        stage.town.want_more()
        async with image_app(stage.town) as images, _bot(stage):
            async with watched_canary(stage, servers):
                await _second_person(stage)
                await _automatic(stage)
                await third_fails(stage, servers)
                await promoted(stage, images)
            await _record(stage)


@asynccontextmanager
async def _bot(stage: DemoTranscript) -> AsyncIterator[OwnBot]:
    """Run a bot, as `deploybot run` does on its machine."""
    bot = stage.town.bot()
    stage.bots.append(bot)
    try:
        await bot.start()
        yield bot
    finally:
        await bot.stop()


async def _people(stage: DemoTranscript) -> None:
    stage.title("Two people")
    stage.explain(
        "At first, no account may use the bot. Ana, whose account runs this demo, becomes an administrator.",
        "Ben may only view.",
    )
    await stage.shell("allow", "ana", "admin")
    await stage.shell("allow", "ben", "viewer", "--identity", f"console:{os.getuid()}/ben")
    stage.explain("`deploybot run` starts. From here on, `deploybot chat` sends all commands to it.")


async def _first_release(stage: DemoTranscript) -> None:
    stage.title("The first release")
    await stage.ask(ANA, "apps", "shop", "staging", "production")
    await stage.ask(ANA, "help deploy", "deploy <app>[@<ref>]")
    await stage.ask(ANA, "deploy shop@v1", "first deployment", "· succeeded")
    await stage.serves("staging", "v1")
    await stage.ask(ANA, "deploy shop@v1 to production because we open today", "because we open today", "· succeeded")
    await stage.serves("production", "v1")
    await stage.ask(ANA, "status", "2 targets: all OK", "shop/staging", "shop/production")


async def _next_release(stage: DemoTranscript) -> None:
    stage.title("The next release, with what it changes")
    await stage.ask(ANA, "diff shop@v2 production", "Sell a lantern, too", "migrations/0001-prices.sql")
    await stage.ask(ANA, "deploy shop@v2 to production --dry-run", "nothing was done")
    await stage.serves("production", "v1")
    await stage.ask(
        ANA, "deploy shop@v2 to production", "v1 → v2", "Keep prices in the database — Emil Ek", "· succeeded"
    )
    await stage.serves("production", "v2")
    await stage.ask(ANA, "logs shop tail 6 from production", "migrated: 0001-prices.sql")
    stage.explain("The payment key is a secret of bot.toml: the shop wrote it into its log, the bot masks it.")


async def _broken_release(stage: DemoTranscript) -> None:
    stage.title("A broken release is rolled back")
    stage.explain("v3 starts, but its migration has a typing error, and its health check answers 500.")
    await stage.ask(ANA, "deploy shop@v3 to production", "answers 500", "failed, rolled back to v2", code=1)
    await stage.serves("production", "v2")
    await stage.serves("staging", "v1")


async def _back_and_forth(stage: DemoTranscript) -> None:
    stage.title("Roll back, and forward again")
    await stage.ask(ANA, "rollback shop from production because the lantern is sold out", "(rollback)", "· succeeded")
    await stage.serves("production", "v1")
    await stage.ask(ANA, "deploy shop@v2 to production", "· succeeded")
    await stage.serves("production", "v2")
    built = [line.split()[0] for line in stage.town.builds("production") if line.endswith("begins")]
    stage.compare("builds in production until now", ", ".join(built), "v1, v2, v3")


async def _by_hand(stage: DemoTranscript) -> None:
    stage.title("Somebody deploys by hand")
    stage.explain("On the server, a person moves the link `current` to v1 and restarts the shop, without the bot.")
    stage.type("ln -sfn releases/… current && sh restart.sh")
    await asyncio.to_thread(stage.town.deploy_by_hand, "production", "v1")
    await stage.serves("production", "v1")
    await stage.ask(ANA, "status", "1 needs attention", "but #6 deployed v2")
    await stage.ask(ANA, "diff shop@v2 production", "→ v2")
    await stage.ask(ANA, "deploy shop@v2 to production", "but #6 deployed v2", "· succeeded")
    await stage.serves("production", "v2")


async def _pruned(stage: DemoTranscript) -> None:
    stage.title("A release is pruned on the server; the rollback restores it exactly")
    stage.type("rm -rf releases/…    # v1, to have more room")
    await asyncio.to_thread(stage.town.prune, "production", "v1")
    await stage.ask(ANA, "rollback shop from production", "(rollback)", "· succeeded")
    await stage.serves("production", "v1")
    await stage.ask(ANA, "deploy shop@v2 to production", "· succeeded")
    await stage.serves("production", "v2")
    await stage.ask(ANA, "status", "2 targets: all OK")


async def _no_right(stage: DemoTranscript) -> None:
    stage.title("Ben, who may view")
    await stage.ask(BEN, "whoami", "You are ben", "viewer")
    await stage.ask(BEN, "status shop production", "v2", "healthy")
    await stage.ask(BEN, "deploy shop@v1 to production", "needs the role deployer", "Allowed: ana", code=1)
    await stage.serves("production", "v2")


async def _typing_errors(stage: DemoTranscript) -> None:
    stage.title("Typing errors")
    await stage.ask(ANA, "deploy shpo@v2 to production", "did you mean `shop`?", code=1)
    await stage.ask(ANA, "deploy shop@v22 to production", "There is no ref `v22`", "Nearest: v2", code=1)
    await stage.ask(ANA, "dpeloy shop@v2", "did you mean `deploy`?", code=1)
    await stage.serves("production", "v2")


async def _killed(stage: DemoTranscript) -> tuple[DemoAnswer, asyncio.Task[None]]:
    """Kill the bot while it deploys v4. Ana's console keeps waiting."""
    stage.title("The bot is killed in the middle of a deployment")
    stage.explain("v4 is built on the server, with a picture for each page: that takes a few seconds.")
    answer = DemoAnswer()
    typing = asyncio.create_task(stage.type_command(answer, ANA, "deploy shop@v4 to production"))
    try:
        await stage.until("the build of v4", lambda: len(_made(stage)) > 1, _BEGUN_WITHIN)
        await _kill(stage)
    except BaseException:
        typing.cancel()
        raise
    return answer, typing


async def _taken_up(stage: DemoTranscript, answer: DemoAnswer, typing: asyncio.Task[None]) -> None:
    stage.explain("`deploybot run` again: the new bot resumes what the old one started.")
    await typing
    end = "done" if "· succeeded" in answer.text else "not done"
    stage.compare("ana's command, which outlived the bot", f"{end}, exit code {answer.code}", "done, exit code 0")
    await stage.serves("production", "v4")
    begun = stage.town.builds("production").count("v4 begins")
    twice = len(_made(stage)) - len(set(_made(stage)))
    stage.compare(
        "builds of v4", f"{begun}, {len(_made(stage))} pages, {twice} of them twice", "1, 13 pages, 0 of them twice"
    )


async def _kill(stage: DemoTranscript) -> None:
    """Kill the bot, and check that the build continues without it."""
    process, before = stage.town.bot_pid, len(_made(stage))
    stage.type(f"kill -9 {process}")
    os.kill(process, signal.SIGKILL)
    await stage.until("the end of the bot", lambda: not Path(f"/proc/{process}").exists(), _DEAD_WITHIN)
    await stage.until("another page", lambda: len(_made(stage)) > before, _PAGE_WITHIN)
    stage.explain(
        f"The bot died at page {before} of the build. The build continued without it: page {len(_made(stage))}."
    )


def _made(stage: DemoTranscript) -> list[str]:
    """Return the pages of v4 that were made, in order."""
    return [line for line in stage.town.builds("production") if line.startswith("v4 page")]


async def _second_person(stage: DemoTranscript) -> None:
    """Play a request that its author cannot approve, that becomes void when the branch moves, and then succeeds."""
    stage.title("Production waits for a second person")
    stage.explain("bot.toml now says `approvals = 1` for production, too, and cem may approve.")
    await stage.shell("allow", CEM, "approver", "--identity", f"console:{os.getuid()}/{CEM}")
    tent, boat, _ = demo_repository.later()
    stage.town.push(tent)
    async with _request(stage, "deploy shop@main to production because people camp") as request:
        await stage.ask(ANA, "approve #14", "your own request", code=1)
        await stage.serves("production", "v4")
        stage.explain("Before cem looks at it, a person pushes to `main`.")
        stage.town.push(boat)
        await stage.ask(CEM, "approve #14", "#14 is void", "release: `main` was", code=1)
    stage.compare("ana's request", f"exit code {request.code}", "exit code 1")
    await stage.serves("production", "v4")
    async with _request(stage, "deploy shop@main to production because people camp and sail") as request:
        await stage.ask(CEM, "approve #15")
    stage.compare("ana's second request", f"exit code {request.code}", "exit code 0")
    await stage.serves("production", "v6")


async def _automatic(stage: DemoTranscript) -> None:
    """Play a push that is deployed to staging once its build is green, automatically and only once."""
    stage.title("A push that is deployed automatically")
    stage.explain(
        "bot.toml now also says that staging follows `main` when its build is green, and lets a forge call the bot."
    )
    *_, kite = demo_repository.later()
    forge = stage.town.forge
    async with stage.listening() as console:
        commit = stage.town.push(kite)
        push = forge.pushed(commit)
        stage.compare("the forge reports a push", str(await forge.call(push)), "200")
        stage.compare("the same, from somebody without the secret", str(await forge.call(push, forged=True)), "403")
        for word in ("queued", "in_progress"):
            stage.compare(f"its build: {word}", str(await forge.call(forge.built(commit, word))), "200")
        await stage.until("the running build", lambda: console.holds("tests", "running"), _POSTED_WITHIN)
        await stage.serves("staging", "v1")
        stage.compare("its build: success", str(await forge.call(forge.built(commit, "success"))), "200")
        await stage.until("the deployment's end", lambda: console.holds("shop/staging", "· succeeded"), _POSTED_WITHIN)
        await stage.serves("staging", "v7")
        stage.compare("messages about the build", str(console.messages("tests")), "1")
        stage.compare("the push, once more", str(await forge.call(push)), "200")
    await stage.ask(ANA, "history shop staging", "deploybot")
    stage.compare("deployments of v7", str(stage.town.builds("staging").count("v7 begins")), "1")


@asynccontextmanager
async def _request(stage: DemoTranscript, line: str) -> AsyncIterator[DemoAnswer]:
    """Start Ana's request and yield while it waits. At the end, wait until her command has ended."""
    answer = DemoAnswer()
    typing = asyncio.create_task(stage.type_command(answer, ANA, line))
    try:
        await stage.until("the card of the request", lambda: "▸ Approve" in answer.text, _ASKED_WITHIN)
        yield answer
        await typing
    finally:
        typing.cancel()


async def _record(stage: DemoTranscript) -> None:
    stage.title("The record")
    await stage.ask(ANA, "history shop production", "v2 → v3", "failed, rolled back to v2", "v2 → v4", "succeeded")
    await stage.shell("audit", "tail", "50", holds=("ana  denied", "cem  approve", "deploy succeeded"))
    await stage.shell("audit", "verify", holds=("The audit is intact",))
    stage.kept_secret()
