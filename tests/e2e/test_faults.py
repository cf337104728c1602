"""What goes wrong with servers and releases, on real ones: each answer says what happened, what runs, what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deploybot.domain import State
from tests.e2e.conftest import FilesShop, RunningBot, ended, open_running_bot, served
from tests.lab import Lab, Proxy, Sshd, until


async def test_the_main_job(running: RunningBot, files_shop: FilesShop) -> None:
    server = files_shop.servers[0]
    ended(await running.deploy("deploy shop@v1"), State.SUCCEEDED)
    assert served(server.address) == "v1"
    ended(await running.deploy("deploy shop@v2 because people asked for it"), State.SUCCEEDED)
    assert served(server.address) == "v2"
    ended(await running.deploy("rollback shop"), State.SUCCEEDED)
    assert served(server.address) == "v1"
    assert "serving v1" in await running.read("logs shop tail 1")
    status = await running.read("status shop")
    assert "v1 (" in status
    assert "#3 by ana" in status


async def test_a_release_that_does_not_build_changes_nothing(running: RunningBot, files_shop: FilesShop) -> None:
    await running.deploy("deploy shop@v1")
    failed = await running.deploy("deploy shop@v3")
    assert ended(failed, State.FAILED) == (
        "Step `build` failed on web1: main.c:3: error: expected ; (exit code 2).\nThe running release was not touched."
    )
    assert failed.tail == ("compiling", "main.c:3: error: expected ;")
    assert served(files_shop.servers[0].address) == "v1"


async def test_a_release_without_health_is_taken_back(running: RunningBot, files_shop: FilesShop) -> None:
    before = await running.deploy("deploy shop@v1")
    outcome = ended(await running.deploy("deploy shop@v4"), State.RESTORED)
    assert "Not healthy on web1: http://127.0.0.1:8000/healthz answers 404" in outcome
    assert f"web1: v1 ({before.plan.release.short}) was restored and is healthy." in outcome
    assert f"Now running: web1 {before.plan.release.short}." in outcome
    assert served(files_shop.servers[0].address) == "v1"


async def test_no_right(running: RunningBot, files_shop: FilesShop) -> None:
    answer = await running.read("deploy shop@v1", "ben")
    assert "deployer" in answer
    assert "Allowed: ana" in answer
    stranger = await running.read("deploy shop@v1", "77")
    assert "I do not know you yet" in stranger
    assert served(files_shop.servers[0].address).startswith("nothing")


async def test_unknown_app_and_ref(running: RunningBot) -> None:
    assert "did you mean `shop`?" in await running.read("deploy shpo@v1")
    unknown = await running.read("deploy shop@v9")
    assert "There is no ref `v9` in shop." in unknown
    assert "Nearest: v" in unknown


async def test_a_server_that_is_down(running: RunningBot, files_shop: FilesShop) -> None:
    await running.deploy("deploy shop@v1")
    # In a thread, so that the bot sees its connection end meanwhile.
    await asyncio.to_thread(files_shop.servers[0].kill_sessions)
    await asyncio.to_thread(files_shop.servers[0].stop)
    answer = await running.say("deploy shop@v2")
    assert not answer.ok
    assert answer.title.startswith("web1 cannot be reached: ")
    assert answer.hint == "Does sshd run there, and on that port?"
    board = await running.say("status")
    assert "web1" in board.lines[0].name
    assert served(files_shop.servers[0].address) == "v1"


async def test_a_wrong_host_key_is_reported_with_both_and_nothing_is_sent(files_shop: FilesShop, sshd: Sshd) -> None:
    server = files_shop.servers[0]
    text = files_shop.path.read_text().replace(server.host_key, sshd.host_key)
    files_shop.path.write_text(text)
    async with open_running_bot(files_shop.path) as running:
        answer = await running.read("deploy shop@v1")
    assert "web1 cannot be reached" in answer
    assert answer.count("SHA256:") == 2
    assert "deploybot trust web1" in answer
    assert not (server.home / ".deploybot").exists()


async def test_too_little_disk_is_found_before_anything_is_done(files_shop: FilesShop) -> None:
    async with open_running_bot(files_shop.write(need_disk="900GB")) as running:
        answer = await running.read("deploy shop@v1")
    assert "web1 is low on disk" in answer
    assert "need_disk" in answer
    assert not (files_shop.servers[0].home / "shop").exists()


async def test_a_link_that_is_cut_in_mid_step_changes_nothing(files_shop: FilesShop) -> None:
    server = files_shop.servers[0]
    async with Proxy(server.address, server.port) as proxy:
        text = files_shop.path.read_text()
        files_shop.path.write_text(text.replace(f"{server.address}:{server.port}", f"{proxy.address}:{proxy.port}"))
        async with open_running_bot(files_shop.path) as running:
            card = await running.say("deploy shop@v5")
            number = int(card.key.partition(":")[2])
            await running.step(number, "build")
            proxy.cut()
            done = await running.end_of(number)
            assert ended(done, State.SUCCEEDED) == "Everything is healthy."
            log = await running.log_of(number)
    assert (log.count("begun\n"), log.count("over\n")) == (1, 1)
    assert served(server.address) == "v5"


async def test_a_bot_whose_own_disk_fills_up_takes_no_new_work_and_loses_nothing(
    files_shop: FilesShop, lab: Lab
) -> None:
    disk = lab.full_disk(size=64 << 20)
    text = files_shop.path.read_text()
    files_shop.path.write_text(text.replace(f"{files_shop.path.parent / 'data'}", f"{disk.outside}/data"))
    try:
        async with open_running_bot(files_shop.path) as running:
            card = await running.say("deploy shop@v5")
            number = int(card.key.partition(":")[2])
            await running.step(number, "build")
            disk.fill()
            refused = await running.say("deploy shop@v2")
            while not running.world.store.problem:
                assert "the bot's own copy of it cannot be written" in refused.title
                refused = await running.say("deploy shop@v2")
            refused = await running.say("deploy shop@v2")
            assert not refused.ok
            assert "full: free some space" in refused.title
            assert "web1" in await running.read("status shop")
            server = files_shop.servers[0]
            built = (server.home / "shop/releases").glob
            await asyncio.to_thread(until, lambda: [*built("*/www/healthz")], within=60, what="what v5 builds")
            disk.empty()
            done = await running.end_of(number)
            log = await running.log_of(number)
        assert ended(done, State.SUCCEEDED) == "Everything is healthy."
        assert (log.count("begun\n"), log.count("over\n")) == (1, 1)
        assert served(server.address) == "v5"
    finally:
        disk.unmount()


async def test_a_bot_that_goes_away_in_mid_step_is_followed_by_one_that_finishes(files_shop: FilesShop) -> None:
    async with open_running_bot(files_shop.path) as running:
        card = await running.say("deploy shop@v5")
        number = int(card.key.partition(":")[2])
        await running.step(number, "build")
    async with open_running_bot(files_shop.path) as running:
        done = await running.end_of(number)
        assert ended(done, State.SUCCEEDED) == "Everything is healthy."
        log = await running.log_of(number)
    assert (log.count("begun\n"), log.count("over\n")) == (1, 1)
    assert served(files_shop.servers[0].address) == "v5"


async def test_a_server_that_is_rebooted_in_mid_step_is_called_unknown_and_left_alone(
    running: RunningBot, files_shop: FilesShop
) -> None:
    await running.deploy("deploy shop@v1")
    card = await running.say("deploy shop@v5")
    number = int(card.key.partition(":")[2])
    await running.step(number, "build")
    await asyncio.to_thread(files_shop.servers[0].reboot)
    done = await running.end_of(number)
    assert ended(done, State.FAILED).startswith(
        "The result of step `build` on web1 is unknown: the server was restarted"
    )
    assert "The running release was not touched." in done.outcome


async def test_a_cancelled_build_is_stopped_on_the_server(running: RunningBot, files_shop: FilesShop) -> None:
    files_shop.repo.commit({"build": "sleep 1000\n"}, "A build that does not end")
    files_shop.repo.tag("long")
    server = files_shop.servers[0]

    def builds() -> bool:
        return any(command(pid) == ["sleep", "1000"] for pid in server.processes())

    await running.deploy("deploy shop@v1")
    card = await running.say("deploy shop@long")
    number = int(card.key.partition(":")[2])
    await running.step(number, "build")
    await asyncio.to_thread(until, builds, within=60, what="the build")
    await running.say(f"cancel #{number}")
    done = await running.end_of(number)
    assert ended(done, State.CANCELLED) == "Cancelled by ana.\nThe running release was not touched."
    await asyncio.to_thread(until, lambda: not builds(), within=30, what="end of the build")
    assert served(server.address) == "v1"


def command(pid: int) -> list[str]:
    """The words of a process; none where it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    return []


async def test_one_of_two_servers_fails_and_the_other_is_taken_back(
    files_shop: FilesShop, make_sshd: Callable[..., Sshd]
) -> None:
    files_shop.servers.append(make_sshd())
    for server in files_shop.servers:
        server.box.run("install", "-d", "-o", server.user, "/run/shop")
    files_shop.write(directory="/run/shop")
    first, second = files_shop.servers
    async with open_running_bot(files_shop.path) as running:
        ended(await running.deploy("deploy shop@v1"), State.SUCCEEDED)
        second.box.run("sh", "-c", "echo v2 >/run/shop/refused")
        outcome = ended(await running.deploy("deploy shop@v2"), State.RESTORED)
    assert outcome.startswith("Step `switch` failed on web2 with exit code 7.")
    assert outcome.count("was restored and is healthy.") == 2
    assert (served(first.address), served(second.address)) == ("v1", "v1")


async def test_a_disk_that_fills_up_on_the_way_changes_nothing(lab: Lab, files_shop: FilesShop) -> None:
    server = files_shop.servers[0]
    disk = lab.full_disk(size=4_000_000, sshd=server)
    disk.empty()
    files_shop.write(directory=f"{disk.path}/shop", need_disk="1B")
    async with open_running_bot(files_shop.path) as running:
        ended(await running.deploy("deploy shop@v1"), State.SUCCEEDED)
        disk.fill(leave=8192)
        failed = await running.deploy("deploy shop@v2")
    assert "The running release was not touched." in ended(failed, State.FAILED)
    assert "disk" in "\n".join((failed.outcome, *failed.tail)) or "space" in "\n".join(failed.tail)
    assert served(server.address) == "v1"
