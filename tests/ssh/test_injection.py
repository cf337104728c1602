"""Values reach a job exactly as they are, and never as code: generated strings through real shells.

`N` raises the number of strings, `SEED` repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Callable

import pytest

from deploybot.domain import JobState
from deploybot.ssh.remote_shell import quote
from tests.lab import Sshd
from tests.ssh.conftest import RUN, Reach, chance, command, finished, server_of, whole_log

COUNT = int(os.environ.get("N", "12000"))
A_JOB = 500
NASTY = (
    *("'", '"', "`", "$", "\\", "\n", "\r", "\t", " ", ";", "&", "|", "<", ">", "(", ")", "{", "}", "[", "]", "*", "?"),
    *("!", "#", "~", "=", "%", "^", "-", "--", "\x01", "\x1b[31m", "\x7f", "\x81", "\x88", "é", "日本", "🚀", "\u2028"),
    *("$(touch {0})", "`touch {0}`", ";touch {0};", "\ntouch {0}\n", "'$(touch {0})'", "${{IFS}}", "$'\\n'", "#end"),
    *("\n#end", "|touch {0}", "&&touch {0}", "' ; touch {0} ; '", "'\\''", "$((1))", "EOF", "\x80\udcff", "\udc80"),
)


def strings(dice: random.Random, count: int, canary: str) -> list[str]:
    """Made of what shells are sensitive to, and of anything at all."""
    made = []
    for _ in range(count):
        parts = [
            dice.choice(NASTY).replace("{0}", canary)
            if dice.random() < 0.8
            else "".join(chr(dice.randrange(1, 0xD800)) for _ in range(dice.randrange(4)))
            for _ in range(dice.randrange(1, 8))
        ]
        made.append("".join(parts))
    return made


def exactly(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("name", ["sshd", "busybox_server"])
async def test_no_string_is_ever_run_and_all_arrive(
    name: str, request: pytest.FixtureRequest, reach: Reach, figure: Callable[[str], None]
) -> None:
    server: Sshd = request.getfixturevalue(name)
    dice, seed = chance()
    host = reach(server_of(server))
    # Where the canary would be made if a string were run: the job's directory is /tmp, the rest is a name.
    canary = f"canary-{secrets.token_hex(4)}"
    tried = 0
    while tried < COUNT:
        values = strings(dice, A_JOB, canary)
        env = {f"V{number}": value for number, value in enumerate(values)}
        job = f"inject-{secrets.token_hex(6)}"
        text = f'cd; n=0; while [ $n -lt {A_JOB} ]; do eval "printf \'%s\\\\0\' \\"\\$V$n\\""; n=$((n + 1)); done'
        status = await finished(host, job, text, **env)
        assert (status.state, status.code) == (JobState.DONE, 0), seed
        arrived = (await whole_log(host, job)).split(b"\0")[:-1]
        assert arrived == [exactly(value) for value in values], seed
        tried += len(values)
        await host.forget([job])
    canaries = [path for path in (*server.home.rglob("*"), *server.home.glob("*")) if canary in path.name]
    figure(f"{len(canaries)} canary files after {tried} strings ({seed})")
    assert canaries == [], seed


@pytest.mark.parametrize("name", ["sshd", "busybox_server"])
async def test_a_command_of_bot_toml_is_text_for_a_shell_and_its_values_are_not(
    name: str, request: pytest.FixtureRequest, reach: Reach
) -> None:
    server: Sshd = request.getfixturevalue(name)
    host = reach(server_of(server))
    job = f"inject-{secrets.token_hex(6)}"
    value = "$(echo run) `echo run` \\ ' \" \n; echo run"
    text = f"printf '%s|' \"$VALUE\" {quote(value)}"
    await finished(host, job, text, VALUE=value)
    assert await whole_log(host, job) == f"{value}|{value}|".encode()


async def test_strings_for_streams_and_probes(sshd: Sshd, reach: Reach) -> None:
    dice, seed = chance()
    host = reach(server_of(sshd))
    canary = f"canary-{secrets.token_hex(4)}"

    async def streamed(value: str) -> bytes:
        env = command('cd; printf %s "$VALUE"', VALUE=value)
        return b"".join([piece async for piece in host.stream(RUN, env, timeout=30)])

    values = strings(dice, 20, canary)
    assert await asyncio.gather(*map(streamed, values)) == [exactly(value) for value in values], seed
    facts = await asyncio.gather(*(host.facts(f"/{value}", timeout=60) for value in values))
    assert {one.server for one in facts} == {"web1"}
    assert not [path for path in sshd.home.rglob("*") if canary in path.name], seed
