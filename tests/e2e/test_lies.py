"""Servers that lie or hang in mid-deployment, on a real sshd: a cancel takes effect, and the next one can begin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploybot.domain import State
from tests.conftest import MakeSshd
from tests.e2e.conftest import FilesShop, RunningBot, ended, open_running_bot, served
from tests.lab import Repo, until
from tests.ssh.shim import lie, lies_of, shimmed

CANCEL_WITHIN = 50
_DONE = "printf 'deploybot/1 done 0 99 0\\n\\ndeploybot/1 end\\n'; exit"
_RUNNING = "printf 'deploybot/1 running -1 0 0\\n\\ndeploybot/1 end\\n'; exit"
# The seventh word of a poll is how much of the log it asks for.
_GROWING = (
    "set -- $SSH_ORIGINAL_COMMAND; printf 'deploybot/1 running -1 999999999999 %s\\n' $7; yes | head -c $7;"
    " printf '\\ndeploybot/1 end\\n'; exit"
)
LIES = {
    "a log that grows for ever": {"start": _DONE, "poll": _GROWING, "wait": _RUNNING, "cancel": _RUNNING},
    "running for ever": {"start": _DONE, "poll": _RUNNING, "wait": _RUNNING, "cancel": _RUNNING},
    "silence": dict.fromkeys(("start", "poll", "wait", "cancel"), "exec sleep 1000"),
    "a flood": dict.fromkeys(("start", "poll", "wait", "cancel"), "exec yes"),
    "an upload that is not taken": {"call": "echo send; exec sleep 1000", "cancel": _RUNNING},
    "another shell": dict.fromkeys(("start", "poll", "wait", "cancel", "call"), "exec dash"),
}


@pytest.fixture
async def shop_on_liar(make_sshd: MakeSshd, shop: Repo, tmp_path: Path) -> AsyncIterator[tuple[FilesShop, RunningBot]]:
    """Return the shop on a server that can lie, with v1 deployed while it did not."""
    made = FilesShop(tmp_path / "bot.toml", shop, [shimmed(make_sshd)])
    async with open_running_bot(made.write()) as running:
        ended(await running.deploy("deploy shop@v1"), State.SUCCEEDED)
        yield made, running


@pytest.mark.parametrize("lies", LIES.values(), ids=LIES)
async def test_a_cancel_takes_effect_whatever_the_server_does(
    shop_on_liar: tuple[FilesShop, RunningBot], lies: dict[str, str]
) -> None:
    made, running = shop_on_liar
    server = made.servers[0]
    card = await running.say("deploy shop@v2")
    number = int(card.key.partition(":")[2])
    lie(server, **lies)
    # A job that seems to be started is followed for a while; every other lie holds up the bot at once.
    least = 4 if lies.get("start") == _DONE else 1
    await asyncio.to_thread(until, lambda: len(lies_of(server)) >= least, within=60, what="its lies")
    began = time.monotonic()
    cancelled = await running.say(f"cancel #{number}")
    assert cancelled.ok, cancelled
    end = await running.end_of(number)
    assert time.monotonic() - began < CANCEL_WITHIN
    # A job whose upload was not taken was never started. Of all others it is not known.
    if "call" in lies:
        assert end.state is State.CANCELLED, end.outcome
        assert "was not touched" in end.outcome
    else:
        assert end.state in {State.FAILED, State.UNKNOWN}, end.outcome
        assert "is unknown: " in end.outcome
    lie(server)
    ended(await running.deploy("deploy shop@v2"), State.SUCCEEDED)
    assert served(server.address) == "v2"


async def test_a_login_shell_that_runs_another_one_is_found_by_the_plan(
    make_sshd: MakeSshd, shop: Repo, tmp_path: Path
) -> None:
    made = FilesShop(tmp_path / "bot.toml", shop, [make_sshd(shell="/bin/bash")])  # noqa: S604  a login shell
    (made.servers[0].home / ".bashrc").write_text("exec /bin/dash\n")
    async with open_running_bot(made.write()) as running:
        for line in ("deploy shop@v1", "deploy shop@v1 --dry-run", "status"):
            assert "exec in its .bashrc" in " ".join((await running.read(line)).split())
