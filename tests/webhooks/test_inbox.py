"""The inbox: every delivery in its order, one app's trouble no other's."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploybot.domain import Event, Identity, Push
from deploybot.errors import StoreDown, Unreachable
from deploybot.metrics import METRICS
from deploybot.ports import Delivery, NewDelivery
from deploybot.settings import App
from deploybot.testing import memory_store
from deploybot.webhooks import delivery_writer
from deploybot.webhooks.app_queue import AppLane
from deploybot.webhooks.burst_detector import BurstDetector
from deploybot.webhooks.delivery_retries import End
from deploybot.webhooks.delivery_writer import DeliveryWriter
from tests.kit.settings import bot_settings
from tests.webhooks.service import SECRET, Listener, pushed, serving, signed

COMMITS = [f"{number:040x}" for number in range(1, 41)]


class Trouble:
    """Raises so often for a commit, and for one app only."""

    def __init__(self, error: Exception, commit: str, times: int) -> None:
        self.error, self.commit, self.left = error, commit, times

    def __call__(self, app: App, event: Event) -> None:
        if isinstance(event, Push) and event.after == self.commit and app.name == "shop" and self.left:
            self.left -= 1
            raise self.error


async def test_each_app_gets_its_events_in_order(tmp_path: Path) -> None:
    listener = Listener()
    async with serving(tmp_path, listener) as bot:
        for number, commit in enumerate(COMMITS):
            app = ("shop", "blog")[number % 2]
            await bot.push(app, commit, path="/hooks/github" if number % 3 else "")
        await bot.inbox.drained()
    for app in ("shop", "blog"):
        numbers = [int(delivery) for name, delivery, _ in listener.heard if name == app]
        assert len(numbers) == len(COMMITS) / 2
        assert numbers == sorted(numbers)


async def test_every_listener_is_called_in_turn(tmp_path: Path) -> None:
    order: list[str] = []

    class Named(Listener):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        async def handle_event(self, app: App, event: Event, delivery: str) -> str:
            await super().handle_event(app, event, delivery)
            order.append(self.name)
            return f"{self.name} noted it"

    async with serving(tmp_path, Named("telling"), Named("auto")) as bot:
        await bot.push("shop", COMMITS[0])
        await bot.inbox.drained()
        assert await bot.made(1) == "telling noted it; auto noted it"
    assert order == ["telling", "auto"]


async def test_what_cannot_be_reached_is_tried_again_in_its_place(tmp_path: Path) -> None:
    listener = Listener(trouble=Trouble(Unreachable("the forge", "no route"), COMMITS[1], times=5))
    async with serving(tmp_path, listener) as bot:
        for commit in COMMITS[:3]:
            await bot.push("shop", commit)
        await bot.inbox.drained()
    assert listener.commits == COMMITS[:3]
    assert listener.calls == 3 + 5


async def test_it_is_given_up_at_last_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener(trouble=Trouble(Unreachable("the forge", "no route"), COMMITS[0], times=10**6))
    caplog.set_level("CRITICAL")
    async with serving(tmp_path, listener) as bot:
        await bot.push("shop", COMMITS[0])
        await bot.push("shop", COMMITS[1])
        await bot.inbox.drained()
        assert await bot.made(1) == "given up after 12 tries: the forge cannot be reached: no route"
    assert listener.commits == [COMMITS[1]]


async def test_a_poisoned_delivery_is_set_aside_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = METRICS.webhooks.values.get(("github", "given_up"), 0.0)
    listener = Listener(trouble=Trouble(RuntimeError("poison"), COMMITS[0], times=10**6))
    async with serving(tmp_path, listener) as bot:
        for number, commit in enumerate(COMMITS[:6]):
            await bot.push(("shop", "blog")[number % 2], commit)
        await bot.inbox.drained()
        assert await bot.made(1) == "given up after 3 tries: something broke: RuntimeError"
    assert sorted(listener.commits) == COMMITS[1:6]
    assert METRICS.webhooks.values["github", "given_up"] == before + 1
    assert "handling delivery" in caplog.text


async def test_what_was_answered_is_not_given_up_while_the_database_is_down(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener(trouble=Trouble(StoreDown("the disk is full: free some space"), COMMITS[0], times=40))
    async with serving(tmp_path, listener) as bot:
        for commit in COMMITS[:2]:
            await bot.push("shop", commit)
        await bot.inbox.drained()
        assert await bot.made(1) == "noted"
    assert listener.commits == COMMITS[:2]
    told = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert told == ["deliveries for shop wait: the disk is full: free some space"]


async def test_one_app_waits_while_others_get_their_events(tmp_path: Path) -> None:
    held = asyncio.Event()

    class Slow(Listener):
        async def handle_event(self, app: App, event: Event, delivery: str) -> str:
            if app.name == "shop":
                await held.wait()
            said = await super().handle_event(app, event, delivery)
            if len(self.heard) == 3:
                held.set()
            return said

    listener = Slow()
    async with serving(tmp_path, listener) as bot:
        await bot.push("shop", COMMITS[0])
        for commit in COMMITS[1:4]:
            await bot.push("blog", commit)
        await bot.inbox.drained()
    assert listener.commits == [*COMMITS[1:4], COMMITS[0]]


async def test_what_has_ended_does_not_wait_for_what_takes_its_time(tmp_path: Path) -> None:
    held = asyncio.Event()

    class Slow(Listener):
        async def handle_event(self, app: App, event: Event, delivery: str) -> str:
            if delivery == "2":
                await held.wait()
            return await super().handle_event(app, event, delivery)

    async with serving(tmp_path, Slow()) as bot:
        for commit in COMMITS[:3]:
            await bot.push("shop", commit)
        async with asyncio.timeout(10):
            while not await bot.made(1):  # noqa: ASYNC110  a row tells no event
                await asyncio.sleep(0.05)
        assert not await bot.made(2)
        held.set()
        await bot.inbox.drained()
        assert await bot.made(3) == "noted"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
async def test_what_cannot_be_read_is_set_aside(tmp_path: Path, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener()
    async with serving(tmp_path, listener) as bot:
        for path in ("/hooks/shop/github", "/hooks/github"):
            assert (await bot.post(path, body, **signed(body)))[0] == 200
        await bot.push("shop", COMMITS[0])
        await bot.inbox.drained()
        assert (await bot.made(1)).startswith("cannot be read: ")
        assert (await bot.made(2)).startswith("cannot be read: ")
    assert listener.commits == COMMITS[:1]
    assert "broke" not in caplog.text


async def test_what_waited_when_the_bot_ended_is_received_after_its_start(tmp_path: Path) -> None:
    stuck = Listener(trouble=Trouble(Unreachable("the forge", "no route", retry_after=60.0), COMMITS[0], times=10**6))
    async with serving(tmp_path, stuck) as bot:
        for commit in COMMITS[:20]:
            await bot.push("shop", commit)
    assert not stuck.heard
    listener = Listener()
    async with serving(tmp_path, listener) as bot:
        await bot.inbox.drained()
    assert listener.commits == COMMITS[:20]


class Group(Listener):
    """Hears several at once; its trouble makes all of them fail."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble=trouble)
        self.sizes: list[int] = []

    async def handle_events(self, app: App, events: Sequence[tuple[Event, str]]) -> Sequence[str]:
        for event, _ in events:
            self.trouble(app, event)
        self.sizes.append(len(events))
        return [await self.handle_event(app, event, delivery) for event, delivery in events]


@pytest.mark.parametrize(
    "error", [Unreachable("the forge", "no route"), RuntimeError("poison")], ids=["away", "broken"]
)
async def test_many_are_received_at_once_and_one_by_one_where_that_fails(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    listener = Group(Trouble(error, COMMITS[20], times=2))
    async with serving(tmp_path, listener) as bot:
        # All at once, so that they are a rush, and all are there when it is over.
        bodies = [pushed("shop", commit) for commit in COMMITS]
        await asyncio.gather(*(bot.post("/hooks/shop/github", body, **signed(body)) for body in bodies))
        await bot.inbox.drained()
        ends = {await bot.made(number) for number in range(1, len(COMMITS) + 1)}
    assert ends == {"noted"}
    assert sorted(listener.commits) == sorted(COMMITS)
    numbers = [int(delivery) for _, delivery, _ in listener.heard]
    assert numbers == sorted(numbers)
    assert max(listener.sizes) > 1


async def test_cycles_are_looked_for_rarely_in_a_rush_and_as_usual_after_it() -> None:
    usual, rush = gc.get_threshold(), BurstDetector()
    rush.came()
    assert gc.get_threshold() == usual
    for _ in range(100):
        rush.came()
    assert gc.get_threshold()[0] > usual[0]
    await rush.over()
    assert gc.get_threshold() == usual


async def test_an_account_of_ones_own_forge_is_not_that_of_the_public_one(tmp_path: Path) -> None:
    """The same number on two hosts is two people."""
    hooks = {"github": {"secret": {"env": "SECRET"}}}
    apps = {
        name: {"repo": f"git@{host}:acme/{name}.git", "strategy": "script", "script": "deploy.sh", "hooks": hooks}
        for name, host in (("shop", "github.com"), ("blog", "github.example.com"))
    }
    listener = Listener()
    async with serving(tmp_path, listener, made=bot_settings(apps=apps, values={"SECRET": SECRET}, http={})) as bot:
        for app in apps:
            await bot.push(app, "5" * 40)
        await bot.inbox.drained()
    accounts = {app: event.by.identity for app, _, event in listener.heard}
    assert accounts == {"shop": Identity("github", "7"), "blog": Identity("github", "7", "github.example.com")}


async def test_a_lane_that_breaks_is_in_the_log_and_starts_again(caplog: pytest.LogCaptureFixture) -> None:
    class BrokenBursts(BurstDetector):
        failures = 1

        async def over(self) -> None:
            if self.failures:
                self.failures -= 1
                raise RuntimeError("a bug")

    async def handle(delivery: Delivery) -> End:
        raise AssertionError(delivery)

    async def pass_over(found: Sequence[object]) -> None:
        assert not found

    async with memory_store() as store:
        lane = AppLane(store, BrokenBursts(), handle=handle, handle_all=pass_over, ended=pass_over)
        for _ in range(2):
            lane.put(1)
            assert lane.task is not None
            await asyncio.wait({lane.task})
            await asyncio.sleep(0)
    assert caplog.text.count("RuntimeError: a bug") == 1
    assert "the deliveries of an app wait" in caplog.text


async def test_a_delivery_without_a_number_is_an_error_and_the_next_one_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = NewDelivery(app="shop", sender="github", delivery="1", digest=b"1", again_after=1.0, body=b"{}", received=1.0)
    async with memory_store() as store:
        writer = DeliveryWriter(store)
        async with asyncio.timeout(5):
            with monkeypatch.context() as patch:
                patch.setattr(delivery_writer, "_add", lambda new, tables: ())  # noqa: ARG005  the signature of `_add`
                with pytest.raises(ValueError, match="shorter"):
                    await writer.keep(new)
            assert await writer.keep(new)
