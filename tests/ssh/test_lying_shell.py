"""Login shells that say or do something else than they are asked to, on real sshd: told, bounded, and in time."""

from __future__ import annotations

import time

import pytest

from deploybot.errors import BadAnswer, StepFailed, Unreachable
from tests.conftest import MakeSshd
from tests.lab import Access
from tests.ssh.conftest import RUN, Reach, command, finished, server_of
from tests.ssh.shim import lie, shimmed
from tests.ssh.test_docker_bounded import forget_peak, peak

ROOM = 20_000_000
UBUNTU = "Please login as the user ubuntu rather than the user root."


@pytest.mark.parametrize("where", ["", " >&2"])
async def test_what_a_server_says_instead_is_shown(make_sshd: MakeSshd, reach: Reach, job: str, where: str) -> None:
    host = reach(server_of(make_sshd(access=Access(lines=(f"ForceCommand echo '{UBUNTU}'{where}",)))))
    with pytest.raises(Unreachable, match=UBUNTU):
        await host.facts()
    with pytest.raises(StepFailed) as caught:
        await host.start(job, RUN, command("true"), deadline=60)
    assert UBUNTU in caught.value.tail[0]
    with pytest.raises(Unreachable, match=UBUNTU):
        await host.poll(job, 0)


async def test_an_account_that_may_not_log_in_is_reported_in_its_words(make_sshd: MakeSshd, reach: Reach) -> None:
    server = make_sshd(shell="/usr/sbin/nologin")  # noqa: S604  a login shell
    with pytest.raises(Unreachable, match="This account is currently not available"):
        await reach(server_of(server)).facts()


async def test_a_login_shell_that_runs_another_one_is_named(make_sshd: MakeSshd, reach: Reach, job: str) -> None:
    server = make_sshd(shell="/bin/bash")  # noqa: S604  a login shell
    host = reach(server_of(server))
    assert (await finished(host, job, "echo hi")).code == 0
    (server.home / ".bashrc").write_text("exec /bin/dash\n")
    began = time.monotonic()
    with pytest.raises(BadAnswer, match=r"its login shell does not run .* exec in its \.bashrc"):
        await host.facts()
    with pytest.raises(StepFailed) as caught:
        await host.start(job + "-2", RUN, command("true"), deadline=60)
    assert "exec in its .bashrc" in caught.value.tail[0]
    for call in (host.poll(job + "-2", 0), host.cancel(job + "-2", grace=1)):
        with pytest.raises(Unreachable, match=r"exec in its \.bashrc"):
            await call
    assert time.monotonic() - began < 14


async def test_output_without_end_in_place_of_an_answer_is_bounded(make_sshd: MakeSshd, reach: Reach, job: str) -> None:
    server = shimmed(make_sshd)
    host = reach(server_of(server))
    assert (await finished(host, job, "echo hi")).code == 0
    lie(server, sh="exec yes", start="exec yes", poll="exec yes")
    for call in (
        host.facts(),
        host.start(job + "-2", RUN, command("true"), deadline=60),
        host.poll(job + "-3", 0),
    ):
        forget_peak()
        before, began = peak(), time.monotonic()
        with pytest.raises(BadAnswer, match=r"bytes .*`y y y"):
            await call
        assert time.monotonic() - began < 14
        assert peak() - before < ROOM


@pytest.mark.parametrize(
    "header",
    [
        "running -1 " + "9" * 5000 + " 0",
        "done " + "9" * 5000 + " 0 0",
        "strange 0 0 0",
        "ready -1 0 0",
    ],
)
async def test_a_state_or_number_that_is_none_is_one_error(
    make_sshd: MakeSshd, reach: Reach, job: str, header: str
) -> None:
    server = shimmed(make_sshd, poll=f"printf 'deploybot/1 {header}\\n\\ndeploybot/1 end\\n'; exit")
    host = reach(server_of(server))
    with pytest.raises(Unreachable, match=r"a job is `|its shell gives no answer"):
        await host.poll(job, 0)
    assert (await host.facts()).server == "web1"


async def test_more_log_than_was_asked_for_is_one_error(make_sshd: MakeSshd, reach: Reach, job: str) -> None:
    server = shimmed(make_sshd, poll="printf 'deploybot/1 running -1 9 9\\n123456789\\ndeploybot/1 end\\n'; exit")
    with pytest.raises(BadAnswer, match="9 bytes of log came, but only 3 were requested"):
        await reach(server_of(server)).poll(job, 0, limit=3)


async def test_a_number_without_end_is_one_error(make_sshd: MakeSshd, reach: Reach) -> None:
    server = shimmed(make_sshd, sh="PATH=$HOME/bin:$PATH; export PATH")
    host = reach(server_of(server))
    assert (await host.facts()).disk_free > 0
    tools = server.home / "bin"
    tools.mkdir()
    nines = "9" * 5000
    (tools / "df").write_text(f"#!/bin/sh\necho head\necho /dev/x 1 1 {nines} 1% /\n")
    (tools / "df").chmod(0o755)
    with pytest.raises(BadAnswer, match=r"web1 gave no usable answer: disk_free_kib is a number of 5,000 digits"):
        await host.facts()
