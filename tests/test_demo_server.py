"""The demo's SSH servers: who is let in, what they run, where three of them differ, and that they end with the demo."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from deploybot.config import load
from deploybot.demo.demo_server import OWN_FOLDER, Keys
from deploybot.demo.demo_setup import DemoSetup, town
from deploybot.demo.stray_processes import MARK, strays
from deploybot.settings import Server
from tests.test_demo import wait_for


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[DemoSetup]:
    async with town(tmp_path / "demo") as made:
        yield made


def server_of(here: DemoSetup) -> Server:
    return load(here.config, os.environ).servers["local"]


@asynccontextmanager
async def connect(
    here: DemoSetup,
    *,
    user: str = "deploy",
    key: asyncssh.SSHKey | str | None = None,
    password: str | None = None,
    server: Server | None = None,
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    server = server or server_of(here)
    known = asyncssh.import_known_hosts(f"[127.0.0.1]:{server.port} {server.host_key[0]}")
    keys = None if password else [key or str(Keys(here.folder / "keys").client)]
    async with asyncssh.connect(
        server.host,
        server.port,
        username=user,
        client_keys=keys,
        password=password,
        known_hosts=known,
        config=None,
        agent_path=None,
    ) as link:
        yield link


async def test_the_server_lets_nobody_in_but_its_user_with_the_key(here: DemoSetup) -> None:
    strange = asyncssh.generate_private_key("ssh-ed25519")
    for refused in (connect(here, key=strange), connect(here, user="root"), connect(here, password="deploy")):
        with pytest.raises(asyncssh.PermissionDenied):
            await refused.__aenter__()
    async with connect(here) as link:
        assert (await link.run("echo in")).stdout == "in\n"


async def test_the_server_runs_commands_as_sshd_does(here: DemoSetup) -> None:
    home = here.folder / "server" / "home"
    async with connect(here) as link:
        done = await link.run("cat; pwd; echo sorry >&2; exit 3", input=b"\xff\0\n", encoding=None)
        assert (done.exit_status, done.stdout, done.stderr) == (3, b"\xff\0\n" + bytes(home) + b"\n", b"sorry\n")
        assert (await link.run("kill -TERM $$")).exit_signal == ("TERM", False, "", "en-US")
        variables = str((await link.run("env")).stdout).splitlines()
        assert {line.partition("=")[0] for line in variables} <= {
            *(
                "HOME",
                "USER",
                "LOGNAME",
                "SHELL",
                "PATH",
                "LANG",
                "PWD",
                "OLDPWD",
                "_",
                "SHLVL",
                "SHOP_HOST",
                "DOCKER_HOST",
                MARK,
            )
        }
        async with link.start_sftp_client() as files:
            assert await files.realpath(".") == str(home)
        assert (await link.run()).exit_status == 1


async def test_each_of_three_servers_has_its_own_folder_and_address(here: DemoSetup) -> None:
    async with here.three_servers() as machines:
        servers = load(here.config, os.environ).servers
        seen = set()
        for one in machines:
            one.root.joinpath("name").write_text(one.name)
            listener = await asyncio.start_server(greet(one.name), one.address, here.ports["fair"])
            async with listener, connect(here, server=servers[one.name]) as link:
                there = str((await link.run(f"cat {OWN_FOLDER}/name")).stdout)
                async with link.start_sftp_client() as files, files.open(f"{OWN_FOLDER}/name") as file:
                    sent = str(await file.read())
                reader, writer = await link.open_connection("127.0.0.1", here.ports["fair"])
                seen.add((there, sent, (await reader.read(10)).decode()))
                writer.close()
        assert seen == {(name, name, name) for name in ("web1", "web2", "web3")}
        async with connect(here, server=servers["web1"]) as link:
            await link.run("sleep 1000 >/dev/null 2>&1 & echo")
        assert len(list(strays(machines[0].mark))) == 1
        assert list(strays(here.folder)) == []
    assert list(strays(machines[0].mark)) == []


def greet(name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name.encode())
        writer.close()

    return answer


async def test_a_command_outlives_its_connection_and_ends_with_the_server(tmp_path: Path) -> None:
    async with town(tmp_path / "demo") as here:
        async with connect(here) as link:
            process = await link.create_process("exec 2>&1; echo begun; sleep 1000; echo never", encoding="utf-8")
            assert await process.stdout.readline() == "begun\n"
        # The shell, and its sleep a moment later: the shell writes before it starts it.
        assert wait_for(lambda: len(list(strays(here.folder))) == 2)
    assert list(strays(here.folder)) == []


async def test_output_that_nobody_reads_any_more_is_no_trouble(here: DemoSetup) -> None:
    async with connect(here) as link:
        for _ in range(20):
            process = await link.create_process("while echo on; do :; done")
            await process.stdout.readline()
            process.close()
            await process.wait_closed()
        assert (await link.run("echo in")).stdout == "in\n"
    assert (here.folder / "server" / "log").read_text() == ""


async def test_the_server_forwards_to_this_machine_alone(here: DemoSetup) -> None:
    async with connect(here) as link:
        reader, writer = await link.open_connection("127.0.0.1", server_of(here).port)
        assert (await reader.read(4)) == b"SSH-"
        writer.close()
        with pytest.raises(asyncssh.ChannelOpenError):
            await link.open_connection("192.0.2.1", 80)


async def test_its_bot_toml_is_one_that_the_bot_takes(here: DemoSetup) -> None:
    settings = load(here.config, os.environ)
    assert settings.apps["shop"].secrets["PAYMENT_KEY"].reveal() == here.payment_key
    assert {*settings.apps["shop"].environments} == {"staging", "production"}
    assert here.ports["staging"] != here.ports["production"]
