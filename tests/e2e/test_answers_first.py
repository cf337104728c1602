"""A person who deploys while alerts rain into their group, at the rates that Telegram really allows."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession

from deploybot.domain import Identity, State
from deploybot.ports import Tables
from tests.doubles.telegram import TelegramDouble
from tests.doubles.timeline import Post
from tests.e2e.conftest import FilesShop, RunningBot, ended, open_running_bot
from tests.lab import free_port
from tests.webhooks.alerts import delivery

GROUP, ANA = "-1001000000001", "2000"
ALERTS = 60
# A message of each alert would take the group's twenty a minute for three minutes.
WITHIN = 30.0
TOKEN = "the token of the alerts, 24+"
MORE = """
[apps.shop.hooks.prometheus]
secret = {{ env = "ALERTS_TOKEN" }}

[http]
listen = "127.0.0.1:{port}"

[telegram]
token = {{ env = "TELEGRAM_TOKEN" }}
channel = "telegram:{group}"
api_url = "{url}"
"""


@asynccontextmanager
async def rained_on(shop: FilesShop, double: TelegramDouble) -> AsyncIterator[tuple[RunningBot, str]]:
    """A bot in the group, and the address for alerts."""
    port, path = free_port(), shop.write()
    path.write_text(path.read_text() + MORE.format(port=port, group=GROUP, url=double.api_url))
    async with open_running_bot(path) as running:

        def link(tables: Tables) -> None:
            person = tables.people.named("ana")
            assert person is not None
            tables.people.link(person.id, Identity("telegram", ANA))

        await running.world.store.write(link)
        yield running, f"http://127.0.0.1:{port}/hooks/shop/prometheus"


async def rain(url: str, bodies: Iterable[bytes]) -> None:
    """Deliver them, one after the other."""
    async with ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        for body in bodies:
            async with session.post(url, data=body) as answer:
                assert answer.status == 200, await answer.text()


def alerts(post: Post) -> int:
    """How many alerts the message of a storm counts; 0 for other messages."""
    found = re.search(r"Prometheus: (\d+) alerts within a minute, all firing", post.text)
    return int(found[1]) if found else 0


@pytest.mark.parametrize("at_once", [True, False], ids=["one delivery", "a delivery each"])
async def test_a_deployment_is_answered_beside_a_storm_of_alerts(
    files_shop: FilesShop, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    double = TelegramDouble()
    await double.start()
    double.group(GROUP)
    monkeypatch.setenv("TELEGRAM_TOKEN", double.token)
    monkeypatch.setenv("ALERTS_TOKEN", TOKEN)
    numbers = range(ALERTS)
    bodies = [delivery(numbers)] if at_once else [delivery([number]) for number in numbers]
    try:
        async with rained_on(files_shop, double) as (running, url):
            await rain(url, bodies)
            await double.say(ANA, GROUP, "/deploy shop@v1")
            await double.timeline.until(lambda post: "#1 " in post.text, within=WITHIN)
            ended(await running.end_of(1), State.SUCCEEDED)
            await double.timeline.until(lambda post: "#1 " in post.text and "✅" in post.text, within=60)
            least = ALERTS if at_once else ALERTS - 5
            storm = await double.timeline.until(lambda post: alerts(post) >= least, within=120)
            told = [post for post in double.timeline.posts if "HostDown" in post.text and not post.files]
    finally:
        await double.close()
    assert len(told) <= (1 if at_once else 6)
    assert alerts(storm) <= ALERTS
    assert double.violations == []
