"""A real `git push` deploys by itself: the repository's hook calls the bot as a forge would, or cannot: it is down."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from deploybot.domain import State
from tests.doubles.slack import SlackDouble
from tests.e2e.conftest import ROOM, SECRET, SLACK, FilesShop, RunningBot, open_running_bot, served
from tests.lab import Repo, free_port

WITHIN = 60

# What GitHub does after a push: the body, signed over its bytes, and the headers that say what it is.
HOOK = """\
#!/bin/sh
while read -r before after ref; do
    body=$(printf '{{"ref":"%s","before":"%s","after":"%s","forced":false,"deleted":false,"created":false,
        "repository":{{"full_name":"acme/shop"}},"pusher":{{"name":"ana"}},"sender":{{"id":583231,"login":"ana"}},
        "commits":[],"compare":"https://example.com/compare"}}' "$ref" "$before" "$after")
    mac=$(printf %s "$body" | openssl dgst -sha256 -hmac '{secret}' | sed 's/.* //')
    curl --silent --max-time 60 --noproxy '*' -H 'Content-Type: application/json' \\
        -H "X-Hub-Signature-256: sha256=$mac" -H 'X-GitHub-Event: push' \\
        -H "X-GitHub-Delivery: $(cat /proc/sys/kernel/random/uuid)" \\
        --data-binary "$body" http://127.0.0.1:{port}/hooks/shop/github >>{log} 2>&1 || echo failed >>{log}
done
"""


class Forge:
    """The bare repository with its hook, and somebody's clone of it."""

    def __init__(self, repo: Repo, folder: Path, port: int) -> None:
        self.log = folder / "hook.log"
        hook = repo.path / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(HOOK.format(secret=SECRET, port=port, log=self.log))
        hook.chmod(0o755)
        self.clone = folder / "clone"
        self._git("clone", "--quiet", repo.url, str(self.clone), at=folder)

    def push(self, word: str) -> str:
        """Change what the site says, commit, and push; the commit."""
        (self.clone / "index.html").write_text(f"{word}\n")
        self._git("commit", "--quiet", "--all", "--message", f"Say {word}")
        self._git("push", "--quiet", "origin", "main")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *words: str, at: Path | None = None) -> str:
        who = {
            f"GIT_{role}_{what}": "ana@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        done = subprocess.run(
            ["git", *words], cwd=at or self.clone, env={**os.environ, **who}, capture_output=True, check=True, text=True
        )
        return done.stdout


@pytest.fixture
def forge(files_shop: FilesShop, double: SlackDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forge:
    """The shop deploys what is pushed to main; its repository is at v1."""
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    files_shop.repo.branch("main", "v1")
    port = free_port()
    text = f"""{files_shop.path.read_text()}
auto = {{ branch = "main" }}
[apps.shop.hooks.github]
secret = {{ env = "SHOP_SECRET" }}
[http]
listen = "127.0.0.1:{port}"
{SLACK.format(room=ROOM, url=double.api_url)}
"""
    files_shop.path.write_text(text)
    return Forge(files_shop.repo, tmp_path, port)


async def until_served(shop: FilesShop, what: str) -> None:
    async with asyncio.timeout(WITHIN):
        while await asyncio.to_thread(served, shop.servers[0].address) != what:  # noqa: ASYNC110 - a row, without an event
            await asyncio.sleep(0.1)


async def considered(running: RunningBot) -> None:
    """Return once the bot has looked for the first time."""
    read = running.world.store.read
    async with asyncio.timeout(WITHIN):
        while not await read(lambda tables: tables.triggers.considered("shop", "live")):  # noqa: ASYNC110  the database rings no bell
            await asyncio.sleep(0.02)


async def test_a_push_is_deployed_and_announced_with_no_hand_on_it(
    files_shop: FilesShop, forge: Forge, double: SlackDouble
) -> None:
    async with open_running_bot(files_shop.path) as running:
        await considered(running)
        commit = await asyncio.to_thread(forge.push, "pushed")
        await until_served(files_shop, "pushed")
        deployment = await running.end_of(1)
        assert (deployment.state, deployment.plan.release.id) == (State.SUCCEEDED, commit)
        post = await double.timeline.until(lambda post: "· succeeded" in post.text, within=30)
        assert "by deploybot: push to main by ana" in post.text
        assert post.channel == ROOM
    assert "failed" not in forge.log.read_text()
    # And again while nobody listens: the next start finds it, and the one after that nothing more.
    commit = await asyncio.to_thread(forge.push, "missed")
    assert "failed" in forge.log.read_text()
    for _ in range(2):
        async with open_running_bot(files_shop.path) as running:
            await until_served(files_shop, "missed")
            assert (await running.end_of(2)).plan.release.id == commit
            await running.bot.autodeploy.automatic.look(running.settings.apps["shop"])  # type: ignore[union-attr]
            app = running.settings.apps["shop"]
            assert [one.number for one in await running.bot.deployments.history(app, None, 9)] == [2, 1]
