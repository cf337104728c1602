"""A real deployment on a real server, of which a forge, an address and a collector hear, and which is counted."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner

from deploybot.cli import main
from tests.e2e.conftest import FilesShop, RunningBot, open_running_bot
from tests.e2e.test_approvals import process, say, type_in
from tests.lab import free_port
from tests.reporting.doubles import REPOSITORY, SECRET, TOKEN, Collector, Double, GitHub, Receiver

KILLS = int(os.environ.get("N", "3"))
TOLD = ["deployment.running", "deployment.succeeded"]
HTTP_TOKEN = "metrics-token-0123456789"
MORE = """
[apps.shop.forge]
kind = "github"
api_url = "{github}"
repository = "{repository}"
token = {{ env = "FORGE_TOKEN" }}

[outgoing.board]
url = "{receiver}/hook"
secret = {{ env = "BOARD_SECRET" }}

[otel]
endpoint = "{collector}/v1/traces"
headers = {{ authorization = {{ env = "OTEL_AUTHORIZATION" }} }}

[http]
listen = "127.0.0.1:{port}"
token = {{ env = "HTTP_TOKEN" }}
"""


class ReportReceivers:
    """All who are told, and the bot's own address."""

    def __init__(self) -> None:
        self.github = GitHub()
        self.receiver = Receiver()
        self.collector = Collector()
        self.url = f"http://127.0.0.1:{free_port()}"

    @property
    def doubles(self) -> tuple[Double, ...]:
        return self.github, self.receiver, self.collector

    def write(self, shop: FilesShop) -> Path:
        """Have bot.toml name them."""
        path = shop.write()
        more = MORE.format(
            github=self.github.url,
            repository=REPOSITORY,
            receiver=self.receiver.url,
            collector=self.collector.url,
            port=self.url.rpartition(":")[2],
        )
        path.write_text(path.read_text() + more)
        return path


@pytest.fixture
async def receivers(files_shop: FilesShop, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ReportReceivers]:
    monkeypatch.setenv("FORGE_TOKEN", TOKEN)
    monkeypatch.setenv("BOARD_SECRET", SECRET)
    monkeypatch.setenv("OTEL_AUTHORIZATION", "Bearer otel-secret-0123")
    monkeypatch.setenv("HTTP_TOKEN", HTTP_TOKEN)
    made = ReportReceivers()
    made.github.commits |= {files_shop.repo.sha(name) for name in ("v1", "v4")}
    async with contextlib.AsyncExitStack() as stack:
        for double in made.doubles:
            await double.start()
            stack.push_async_callback(double.stop)
        yield made
    assert [breach for double in made.doubles for breach in double.breaches] == []


async def told(running: RunningBot) -> None:
    """Until nothing waits to be told."""
    async with asyncio.timeout(30):
        while await running.world.store.read(lambda tables: tables.reports.waiting()):  # noqa: ASYNC110 - a row
            await asyncio.sleep(0.02)


async def test_a_deployment_is_shown_to_everybody_and_counted(
    files_shop: FilesShop, receivers: ReportReceivers
) -> None:
    async with open_running_bot(receivers.write(files_shop)) as running:
        await running.deploy("deploy shop@v1 because it is time")
        await running.deploy("deploy shop@v4")
        await told(running)
        async with ClientSession(headers={"Authorization": f"Bearer {HTTP_TOKEN}"}) as session:
            async with session.get(f"{receivers.url}/metrics") as answer:
                metrics = await answer.text()
            async with session.get(f"{receivers.url}/healthz") as answer:
                health = await answer.json()
    assert receivers.github.states == {
        1000: ["in_progress", "success"],
        1001: ["in_progress", "in_progress", "failure"],
    }
    assert [body["type"] for _, body in receivers.receiver.taken] == [
        "deployment.running",
        "deployment.succeeded",
        "deployment.running",
        "deployment.restoring",
        "deployment.restored",
    ]
    spans = receivers.collector.spans(0)
    assert {"deploy shop live", "request", "plan", "fetch on web1", "build on web1", "switch on web1"} <= spans.keys()
    labels = 'app="shop",environment="live",kind="deploy"'
    assert f'deploybot_deployments_total{{{labels},result="succeeded"}} 1\n' in metrics
    assert f'deploybot_deployments_total{{{labels},result="restored"}} 1\n' in metrics
    assert 'deploybot_server_up{server="web1"} 1\n' in metrics
    assert 'deploybot_ssh_commands_total{server="web1",result="ok"}' in metrics
    assert health["servers"]["web1"]["ok"]
    assert health["servers"]["web1"]["seen"] > 1e9


async def test_targets_that_are_down_stop_nothing_and_get_their_reports_after_the_next_start(
    files_shop: FilesShop, receivers: ReportReceivers
) -> None:
    for double in receivers.doubles:
        double.fault = lambda _method, _path: "hang"
    path = receivers.write(files_shop)
    async with open_running_bot(path) as running:
        ended = await running.deploy("deploy shop@v1")
        assert ended.state.value == "succeeded"
        assert await running.world.store.read(lambda tables: tables.reports.waiting()) == 5
    for double in receivers.doubles:
        double.gate.set()
        double.fault = lambda _method, _path: None
    async with open_running_bot(path) as running:
        await told(running)
    assert receivers.github.states[1000][-1] == "success"
    assert len(receivers.github.deployments) == 1
    assert receivers.receiver.taken[-1][1]["type"] == "deployment.succeeded"
    assert receivers.collector.traces


async def test_a_bot_that_is_killed_reports_everything_in_order_and_makes_nothing_twice(
    files_shop: FilesShop, receivers: ReportReceivers, figure: Callable[[str], None]
) -> None:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
    sys.stdout.write(f"SEED={seed}\n")
    dice = random.Random(seed)
    path = receivers.write(files_shop)
    receivers.github.commits.add(files_shop.repo.sha("v5"))
    me = f"console:{os.getuid()}/ana"
    assert (await type_in(path, "allow", "ana", "admin", "--identity", me))[0] == 0
    async with process(path):
        code, said = await say(path, "ana", "deploy shop@v5")
        assert code == 0, said
    for _ in range(KILLS - 1):
        async with process(path):
            await asyncio.sleep(dice.uniform(0.0, 1.5))
    async with process(path), asyncio.timeout(60):
        while (  # noqa: ASYNC110 - three servers are waited for, and nobody tells
            not receivers.collector.traces
            or receivers.github.states.get(1000, [])[-1:] != ["success"]
            or len({name for name, _ in receivers.receiver.taken}) < len(TOLD)
        ):
            await asyncio.sleep(0.02)
    told_once = list({name: body["type"] for name, body in receivers.receiver.taken}.values())
    twice = len(receivers.github.deployments) - 1
    figure(
        f"telling: {len(TOLD) - len(told_once)} of {len(TOLD)} states lost, {twice} made twice, {KILLS} kills, "
        f"{len(receivers.receiver.taken)} calls, seed {seed}"
    )
    assert (told_once, twice) == (TOLD, 0)
    assert list(dict.fromkeys(receivers.github.states[1000])) == ["in_progress", "success"]


async def test_check_tries_them_and_writes_nothing(files_shop: FilesShop, receivers: ReportReceivers) -> None:
    path = receivers.write(files_shop)
    said = await asyncio.to_thread(CliRunner().invoke, main, ["--config", str(path), "check", "--json"])
    rows = {row["subject"]: row for row in json.loads(said.output)["rows"]}
    assert {rows[name]["state"] for name in ("forge of shop", "outgoing board", "traces")} == {"ok"}
    assert (receivers.github.deployments, receivers.receiver.taken) == ([], [])
    receivers.github.fault = lambda _method, _path: 401
    said = await asyncio.to_thread(CliRunner().invoke, main, ["--config", str(path), "check", "--json"])
    row = next(row for row in json.loads(said.output)["rows"] if row["subject"] == "forge of shop")
    assert (row["state"], "401" in row["says"], "token" in row["fix"]) == ("failed", True, True)
    hidden = (TOKEN, SECRET, base64.b64encode(TOKEN.encode()).decode())
    assert not any(secret in said.output for secret in hidden)
