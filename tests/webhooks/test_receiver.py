"""The receiver: proof first, then a durable row, then 2xx; what comes twice counts once."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import quote

import pytest

from deploybot.domain import ImagePushed
from deploybot.errors import StoreError
from deploybot.metrics import METRICS
from deploybot.ports import Store, Tables
from tests.kit.seeds import new_seed
from tests.webhooks.hammer import hammered
from tests.webhooks.service import SECRET, Listener, WebhookBot, pushed, raw, serving, settings, signed

T = TypeVar("T")
N = int(os.environ.get("N", "10000"))
ONE, TWO = "1" * 40, "2" * 40


def chance(seed: int) -> random.Random:
    return random.Random(seed)


def counted(result: str, sender: str = "github") -> float:
    return METRICS.webhooks.values.get((sender, result), 0.0)


async def test_a_delivery_is_kept_then_answered_then_received(tmp_path: Path) -> None:
    listener, before = Listener(), counted("kept")
    async with serving(tmp_path, listener) as bot:
        status, answer = await bot.push("shop", ONE)
        assert (status, answer) == (200, {"result": "kept", "delivery": 1})
        await bot.inbox.drained()
        assert await bot.made(1) == "noted"
    assert listener.commits == [ONE]
    assert counted("kept") == before + 1


async def test_the_address_of_all_apps_finds_the_app_by_its_repository(tmp_path: Path) -> None:
    listener = Listener()
    async with serving(tmp_path, listener) as bot:
        await bot.push("blog", ONE, path="/hooks/github")
        await bot.push("nobodys", TWO, path="/hooks/github")
        await bot.inbox.drained()
        assert await bot.made(2) == "about acme/nobodys, which belongs to no app here"
    assert [(app, delivery) for app, delivery, _ in listener.heard] == [("blog", "1")]


async def test_an_app_gets_no_events_of_another_repository(tmp_path: Path) -> None:
    listener = Listener()
    async with serving(tmp_path, listener) as bot:
        await bot.push("blog", ONE, path="/hooks/shop/github")
        await bot.inbox.drained()
        assert await bot.made(1) == "about acme/blog, which is not shop's"
    assert not listener.heard


@pytest.mark.parametrize("path", ["/hooks/shop/gitlab", "/hooks/gitlab", "/hooks/nobody/github", "/hooks/x/y/z", "/x"])
async def test_without_a_secret_there_is_no_endpoint(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as bot:
        assert await bot.post(path, b"{}", **signed(b"{}")) == (404, {})


async def test_a_sender_without_a_proof_has_an_address_that_cannot_be_guessed(tmp_path: Path) -> None:
    async with serving(tmp_path) as bot:
        assert (await bot.post(f"/hooks/shop/dockerhub/{SECRET}"))[0] == 200
        assert (await bot.post("/hooks/shop/dockerhub/0123456789"))[0] == 403
        assert (await bot.post("/hooks/shop/dockerhub"))[0] == 403


async def test_what_an_address_has_besides_its_secret_is_received(tmp_path: Path) -> None:
    body = b'{"push_data": {"tag": "v1"}, "repository": {"repo_full_name": "acme/shop", "region": "cn-hangzhou"}}'
    listener = Listener()
    async with serving(tmp_path, listener, made=settings(names=("acr",))) as bot:
        await bot.post(f"/hooks/shop/acr?secret={SECRET}&registry=acme.example.com&token=x&y=z", body)
        await bot.inbox.drained()
    ((_, _, event),) = listener.heard
    assert isinstance(event, ImagePushed)
    assert event.image == "acme.example.com/acme/shop"
    with sqlite3.connect(tmp_path / "data" / "deploybot.db") as rows:
        assert rows.execute("SELECT query FROM deliveries").fetchall() == [('{"registry": ["acme.example.com"]}',)]
    rows.close()


async def test_no_secret_is_kept_that_an_address_or_a_header_quotes(tmp_path: Path) -> None:
    """Base64 has signs that are written otherwise in addresses, which proxies like to repeat in headers."""
    secret = "q+/Z0v1C9mXk3w8B5nT7yA2sD4fG6hJ="
    made = settings(secret=lambda _: secret, names=("acr",))
    async with serving(tmp_path, made=made) as bot:
        path = f"/hooks/shop/acr?secret={quote(secret, safe='')}"
        body = b'{"push_data": {"tag": "v1"}, "repository": {"repo_full_name": "acme/shop"}}'
        assert (await bot.post(path, body, X_Original_URI=path, X_Thing="1"))[0] == 200
    with sqlite3.connect(tmp_path / "data" / "deploybot.db") as rows:
        ((headers, query),) = rows.execute("SELECT headers, query FROM deliveries").fetchall()
    rows.close()
    assert "x-thing" in headers
    assert "v1C9mXk3w8B5nT7yA2sD4fG6hJ" not in headers + query


async def test_no_secret_is_kept(tmp_path: Path) -> None:
    async with serving(tmp_path) as bot:
        await bot.post(f"/hooks/shop/dockerhub/{SECRET}", X_Thing=SECRET)
        await bot.post("/hooks/shop/event", Authorization=f"Bearer {SECRET}")
        await bot.push("shop", ONE)
        await bot.inbox.drained()
    with sqlite3.connect(tmp_path / "data" / "deploybot.db") as rows:
        kept = rows.execute("SELECT headers, query FROM deliveries").fetchall()
    rows.close()
    assert len(kept) == 3
    assert SECRET not in str(kept)
    assert "signature" not in str(kept).lower()


async def test_what_came_before_is_known_by_its_id_and_by_its_body(tmp_path: Path) -> None:
    listener = Listener()
    async with serving(tmp_path, listener) as bot:
        await bot.push("shop", ONE, delivery="a")
        assert (await bot.push("shop", ONE, delivery="b"))[1] == {"result": "double"}
        assert (await bot.push("shop", TWO, delivery="a"))[1] == {"result": "double"}
        assert (await bot.push("shop", TWO, delivery="c"))[1] == {"result": "kept", "delivery": 2}
        await bot.inbox.drained()
    assert listener.commits == [ONE, TWO]


async def test_whose_bodies_repeat_may_say_the_same_again_after_a_minute(tmp_path: Path) -> None:
    note = b'{"title": "The backup is done"}'
    async with serving(tmp_path) as bot:
        results = []
        for seconds in (0, 30, 31):
            bot.clock.advance(seconds)
            results.append((await bot.post("/hooks/shop/event", note, Authorization=f"Bearer {SECRET}"))[1]["result"])
    assert results == ["kept", "double", "kept"]


async def test_a_state_that_comes_back_after_another_one_is_no_repetition(tmp_path: Path) -> None:
    down, up = b'{"key": "db", "title": "down"}', b'{"key": "db", "title": "up"}'
    async with serving(tmp_path) as bot:
        results = []
        for note in (down, up, up, down, down):
            bot.clock.advance(5)
            results.append((await bot.post("/hooks/shop/event", note, Authorization=f"Bearer {SECRET}"))[1]["result"])
    assert results == ["kept", "kept", "double", "kept", "double"]


async def test_ids_that_begin_alike_are_different_deliveries(tmp_path: Path) -> None:
    async with serving(tmp_path) as bot:
        idents = [f"acme/shop-frontend/github-actions/{'3' * 40}/{end}" for end in ("running", "passed", "a=b", "a~b")]
        for number, ident in enumerate(idents, 1):
            assert (await bot.push("shop", f"{number:040x}", delivery=ident))[1]["result"] == "kept"
        assert (await bot.push("shop", f"{9:040x}", delivery=idents[-1]))[1]["result"] == "double"


async def test_an_unknown_but_authentic_event_is_taken_and_counted(tmp_path: Path) -> None:
    before = counted("ignored")
    async with serving(tmp_path) as bot:
        body = b'{"action": "started"}'
        assert (await bot.post("/hooks/shop/github", body, **signed(body, kind="star")))[0] == 200
        await bot.inbox.drained()
        assert await bot.made(1) == "of no interest"
    assert counted("ignored") == before + 1


async def test_too_many_callers_learn_when_to_come_again(tmp_path: Path) -> None:
    async with serving(tmp_path, rate=1.0) as bot:
        begun, taken = time.monotonic(), 0
        while (status := (await bot.push("shop", f"{taken:040x}"))[0]) == 200:
            taken += 1
        # Ten at once, and one more for each second that these calls took.
        assert 10 <= taken <= 10 + (time.monotonic() - begun)
        assert status == 429
        # Forgeries cost the real sender nothing.
        assert (await bot.post("/hooks/blog/github", b"{}", **signed(b"[]")))[0] == 403
        assert (await bot.push("blog", ONE))[0] == 200


class Broken:
    """A store that cannot write."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.problem = "full"

    async def write(self, work: Callable[[Tables], T]) -> T:
        del work
        raise StoreError("the disk is full")

    async def read(self, work: Callable[[Tables], T]) -> T:
        return await self._store.read(work)


async def test_a_database_that_cannot_write_makes_the_sender_try_again(tmp_path: Path) -> None:
    async with serving(tmp_path, wrap=Broken) as bot:
        status, answer = await bot.push("shop", ONE)
    assert (status, answer["result"]) == (503, "unkept")
    listener = Listener()
    async with serving(tmp_path, listener) as bot:
        await bot.push("shop", ONE)
        await bot.inbox.drained()
    assert listener.commits == [ONE]


async def test_redeliveries_are_handled_once(tmp_path: Path, figure: Callable[[str], None]) -> None:
    seed = new_seed()
    commits = [f"{number:040x}" for number in range(1, 101)]
    bodies = [pushed("shop", commit) for commit in commits]
    requests = [
        raw("/hooks/shop/github", body, **signed(body, delivery=f"d{number}")) for number, body in enumerate(bodies)
    ]
    shuffled = [requests[number % len(requests)] for number in range(N)]
    chance(seed).shuffle(shuffled)
    listener = Listener()
    async with serving(tmp_path, listener) as bot:
        done = await hammered(bot.port, shuffled, 64)
        await bot.inbox.drained()
    assert done.count(200) == N, (seed, done.answers)
    assert done.count(200, "kept") == len(commits), (seed, done.answers)
    assert sorted(listener.commits) == commits, seed
    figure(f"{N} redeliveries of {len(commits)} events: {len(listener.commits)} handled, seed {seed}")


def forgeries(count: int, by: random.Random) -> Iterator[bytes]:
    """Requests that are nearly right: a changed body, proof or secret, headers that are missing or there twice."""
    for number in range(count):
        body = pushed("shop", f"{number:040x}")
        headers = signed(body)
        proof = headers["X_Hub_Signature_256"]
        kind = number % 8
        if kind == 0:
            at = by.randrange(len(body))
            body = body[:at] + bytes([body[at] ^ (1 << by.randrange(8))]) + body[at + 1 :]
        elif kind == 1:
            at = by.randrange(7, len(proof))
            digit = by.choice([one for one in "0123456789abcdef" if one != proof[at]])
            headers["X_Hub_Signature_256"] = proof[:at] + digit + proof[at + 1 :]
        elif kind == 2:
            headers = signed(body, secret=SECRET[:-1] + by.choice("bcdef"))
        elif kind == 3:
            del headers["X_Hub_Signature_256"]
        elif kind == 4:
            headers["X_Hub_Signature_256"] = proof[: by.randrange(len(proof))]
        elif kind == 5:
            headers["X_hub_signature_256"] = by.choice([proof, "", "sha256=" + "0" * 64])
        elif kind == 6:
            headers["X_Hub_Signature_256"] = proof.replace("sha256=", by.choice(["sha1=", "", "SHA256=", "md5="]))
        else:
            body += by.choice([b" ", b"\n", b"\0", b"{}"])
        yield raw("/hooks/shop/github", body, **headers)


async def test_no_forgery_is_accepted(tmp_path: Path, figure: Callable[[str], None]) -> None:
    seed = new_seed()
    listener = Listener()
    async with serving(tmp_path, listener) as bot:
        done = await hammered(bot.port, [*forgeries(N, chance(seed))], 32)
        await bot.push("shop", ONE)
        await bot.inbox.drained()
    assert done.count(403) == N, (seed, done.answers)
    assert listener.commits == [ONE]
    figure(f"{done.count(200)} of {N} forgeries accepted, seed {seed}")


async def test_each_secret_opens_its_own_address_and_no_other(tmp_path: Path, figure: Callable[[str], None]) -> None:
    apps = [f"app{number}" for number in range(16)]
    made = settings(apps, secret=lambda app: f"{SECRET}-{app}")
    passed = []
    async with serving(tmp_path, made=made) as bot:
        for app in apps:
            for other in apps:
                body = pushed(app, ONE)
                proof = signed(body, secret=f"{SECRET}-{other}")
                status, _ = await bot.post(f"/hooks/{app}/github", body, **proof)
                assert status == (200 if app == other else 403)
                passed += [(app, other)] * (status == 200)
    assert passed == [(app, app) for app in apps]
    figure(f"{len(passed)} of {len(apps) ** 2} pairs of address and secret pass: the diagonal")


class Dead(Exception):
    """The bot was killed."""


class Dying:
    """A store whose bot dies before or after its nth call: nobody gets an answer from then on."""

    def __init__(self, store: Store, calls: int, *, after: bool) -> None:
        self._store = store
        self._calls = calls
        self._after = after
        self.problem = ""
        self.dead = asyncio.Event()

    async def write(self, work: Callable[[Tables], T]) -> T:
        return await self._do(self._store.write, work)

    async def read(self, work: Callable[[Tables], T]) -> T:
        return await self._do(self._store.read, work)

    async def _do(self, ask: Callable[[Callable[[Tables], T]], Awaitable[T]], work: Callable[[Tables], T]) -> T:
        self._calls -= 1
        if self._calls <= 0 and not (self._calls == 0 and self._after):
            self._die()
        found = await ask(work)
        if self._calls == 0:
            self._die()
        return found

    def _die(self) -> NoReturn:
        self.dead.set()
        raise Dead

    async def heard_or_dead(self, heard: Coroutine[None, None, None]) -> None:
        waits = [asyncio.create_task(heard), asyncio.create_task(self.dead.wait())]
        await asyncio.wait(waits, timeout=10.0, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()


async def _try(bot: WebhookBot, commits: list[str]) -> set[str]:
    """Push them; those that were answered with 2xx."""
    taken = set()
    for commit in commits:
        status, _ = await bot.push("shop", commit, delivery=commit)
        if status == 200:
            taken.add(commit)
    return taken


async def test_whenever_the_bot_dies_nothing_is_lost_and_nothing_is_done_twice(
    tmp_path: Path, figure: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    commits = [f"{number:040x}" for number in range(1, 5)]
    points, lost, again = 0, 0, 0
    for after in (False, True):
        for calls in range(1, 16):
            folder = tmp_path / f"{calls}-{after}"
            listener, taken = Listener(), set[str]()
            with suppress(Dead):
                async with serving(folder, listener, wrap=partial(Dying, calls=calls, after=after)) as bot:
                    taken = await _try(bot, commits)
                    assert isinstance(bot.store, Dying)
                    await bot.store.heard_or_dead(bot.inbox.drained())
            async with serving(folder, listener) as bot:
                await _try(bot, [commit for commit in commits if commit not in taken])
                await bot.inbox.drained()
            points += 1
            lost += len(set(commits) - set(listener.commits))
            again += len(listener.commits) - len(set(listener.commits))
    assert (lost, again) == (0, 0)
    figure(f"killed at {points} points between receiving and done: {lost} lost, {again} handled twice")
