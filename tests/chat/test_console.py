"""The console's server, with real sockets: who may connect, what they are told, and what a bad client can do."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploybot.access import Who, identity_text, read_who
from deploybot.card import Card, Tone
from deploybot.chat.console.client_connection import ClientConnection, Lost, NoBot, open_link
from deploybot.chat.console.console_protocol import SOCKET, Done, Hello, Show, decode_answer, encode
from deploybot.chat.console.console_session import CHANNEL, IN_FLIGHT
from deploybot.domain import Identity
from deploybot.errors import UserError
from tests.chat.stub import Bot


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    bot = Bot(tmp_path / "data" / SOCKET, pace=0.01)
    await bot.console.start()
    yield bot
    await bot.console.close()


class Client:
    """A link that keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[Show] = []
        self.changed = asyncio.Condition()
        self.link: ClientConnection

    async def show(self, show: Show) -> None:
        async with self.changed:
            self.shown.append(show)
            self.changed.notify_all()

    async def until(self, title: str) -> Show:
        async with asyncio.timeout(10), self.changed:
            while not self.titles or self.titles[-1] != title:
                await self.changed.wait()
        return self.shown[-1]

    @property
    def titles(self) -> list[str]:
        return [show.card.title for show in self.shown]


@asynccontextmanager
async def client(bot: Bot, name: str = "", *, room: bool = True) -> AsyncIterator[Client]:
    made = Client()
    made.link = await open_link(bot.path, made.show, name=name, room=room)
    try:
        yield made
    finally:
        await made.link.close()


async def raw(bot: Bot) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(str(bot.path))


async def test_a_command_is_handled_as_the_person_who_typed_it(bot: Bot) -> None:
    async with client(bot) as me, client(bot, "ben") as ben:
        assert await me.link.ask("echo one") == Done("1")
        assert await ben.link.ask("echo two") == Done("1")
        assert me.titles == ["one"]
        assert ben.titles == ["two"]
    mine, his = bot.received
    assert (mine.identity.platform, mine.identity.user) == ("console", str(os.getuid()))
    assert (his.identity.user, his.name) == (f"{os.getuid()}/ben", "ben")
    assert mine.channel == CHANNEL
    assert mine.id != his.id


@pytest.mark.parametrize("user", ["1000", "1000/ben"])
def test_an_identity_at_the_console_can_be_written_down(user: str) -> None:
    identity = Identity("console", user)
    assert read_who(identity_text(identity)) == Who(identity, "")
    assert read_who(f"{identity_text(identity)}:ben") == Who(identity, "ben")


@pytest.mark.parametrize(
    "text", ["console:ben", "console:1000/", "console:1000/../x", "console:1000/Ben", "telegram:1/ben"]
)
def test_what_is_no_identity(text: str) -> None:
    with pytest.raises(UserError):
        read_who(text)


async def test_the_socket_is_private(bot: Bot) -> None:
    assert stat.S_IMODE(bot.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(bot.path.parent.stat().st_mode) == 0o700


async def test_commands_of_one_client_run_side_by_side(bot: Bot) -> None:
    async with client(bot) as me:
        waiting = asyncio.create_task(me.link.ask("wait long"))
        await me.link.ask("echo quick")
        assert me.titles == ["quick"]
        bot.gate.set()
        assert (await waiting).ok
        assert me.titles == ["quick", "waited for long"]


async def test_answers_name_what_they_answer_and_what_they_edit(bot: Bot) -> None:
    async with client(bot) as me:
        await me.link.ask("steps")
        assert [(show.message, show.request, show.edit) for show in me.shown] == [
            ("steps", "1", False),
            ("steps", "1", True),
            ("steps", "1", True),
            ("steps", "1", True),
        ]
        await me.link.ask("echo a")
        await me.link.ask("echo b")
        assert me.shown[-1].message != me.shown[-2].message


async def test_a_refused_command_and_a_fault_are_answered(bot: Bot) -> None:
    async with client(bot) as me:
        assert not (await me.link.ask("fail")).ok
        assert not (await me.link.ask("break it")).ok
        assert me.titles == ["No.", "Something broke on my side."]
        assert "it" not in me.shown[-1].card.hint.split()
        assert (await me.link.ask("nothing")).ok


async def test_everybody_sees_a_deployment_and_its_requester_sees_it_once(bot: Bot) -> None:
    async with client(bot) as ann, client(bot, "ben") as ben:
        done = await ann.link.ask("deploy ok")
        assert done.follows == "deployment:1"
        end = "#1 deploy v2 (0123456789) to shop staging — done"
        await ann.until(end)
        await ben.until(end)
        for one in (ann, ben):
            assert [show.message for show in one.shown] == ["deployment:1"] * len(one.shown)
            assert len({show.card for show in one.shown}) == len(one.shown)
            assert [show.edit for show in one.shown] == [False] + [True] * (len(one.shown) - 1)


async def test_a_script_follows_what_it_started_and_gets_nothing_else(bot: Bot) -> None:
    async with client(bot, room=False) as script, client(bot) as other:
        await other.link.ask("deploy ok")
        done = await script.link.ask("deploy bad")
        assert done.follows == "deployment:2"
        assert await script.link.watch(done.follows) == Done("2", ok=False, tone=Tone.BAD)
        assert {show.message for show in script.shown} == {"deployment:2"}
        assert script.shown[-1].card.final


async def test_a_card_that_ended_before_can_be_watched_and_an_unknown_one_not(bot: Bot) -> None:
    bot.cards["deployment:7"] = Card(title="#7 done", key="deployment:7", tone=Tone.GOOD)
    async with client(bot, room=False) as me:
        assert (await me.link.watch("deployment:7")).ok
        assert me.titles == ["#7 done"]
        assert await me.link.watch("deployment:8") == Done("2", ok=False, tone=Tone.UNKNOWN)


async def test_a_later_client_gets_what_is_open_and_what_was_missed(bot: Bot) -> None:
    await bot.console.send(CHANNEL, Card(title="missed"))
    await bot.console.send(CHANNEL, Card(title="#1 running", key="deployment:1", final=False))
    async with client(bot) as me:
        await me.until("#1 running")
        assert me.titles == ["missed", "#1 running"]
    async with client(bot) as later:
        await later.until("#1 running")
        assert later.titles == ["#1 running"]


async def test_a_message_means_the_same_after_a_restart_of_the_bot(bot: Bot) -> None:
    async with client(bot) as me:
        await bot.console.edit(CHANNEL, "deployment:5", Card(title="#5 done", key="deployment:5"))
        assert (await me.until("#5 done")).message == "deployment:5"
    assert await bot.console.send(CHANNEL, Card(title="x", key="deployment:6")) == "deployment:6"


async def test_completion(bot: Bot) -> None:
    async with client(bot) as me:
        found = await me.link.complete("d")
        assert (found.words, found.replace) == (("deploy", "diff"), 1)


async def test_a_followed_log_stops_on_request(bot: Bot) -> None:
    async with client(bot) as me:
        following = asyncio.create_task(me.link.ask("follow", begun=lambda request: assert_equal(request, "1")))
        await me.until("shop staging, log-1")
        await me.link.stop("1")
        async with asyncio.timeout(20):
            assert (await following).ok
        assert me.titles[-1].startswith("log-1 ended after")
        assert [one.text for one in bot.received] == ["follow", "cancel log-1"]


def assert_equal(one: object, other: object) -> None:
    assert one == other


async def test_a_client_that_leaves_stops_its_log_and_nothing_else(bot: Bot) -> None:
    async with client(bot) as me:
        following = asyncio.create_task(me.link.ask("follow"))
        waiting = asyncio.create_task(me.link.ask("wait on"))
        await me.link.ask("deploy ok")
        await me.until("shop staging, log-1")
    for task in (following, waiting):
        with pytest.raises(Lost):
            await task
    async with asyncio.timeout(20):
        await bot.logs["log-1"].wait()
        bot.gate.set()
        await asyncio.gather(*bot.tasks)
    assert bot.cards["deployment:1"].tone is Tone.GOOD


async def test_a_killed_client_stops_its_log(bot: Bot) -> None:
    program = (
        "import socket,sys\n"
        "s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1])\n"
        's.sendall(b\'{"type":"hello","version":1}\\n{"type":"say","id":"1","text":"follow"}\\n\')\n'
        "while b'log-1' not in s.recv(100000): pass\n"
        "print(1,flush=True);input()\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(bot.path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    async with asyncio.timeout(20):
        process.kill()
        await process.wait()
        await bot.logs["log-1"].wait()


async def test_a_reader_that_stops_reading_holds_its_own_log_and_nobody_else(bot: Bot) -> None:
    reader, writer = await raw(bot)
    writer.write(encode(Hello(1)) + b'{"type":"say","id":"1","text":"follow 900000"}\n')
    await writer.drain()
    async with client(bot) as me:
        held, same = 0, 0
        async with asyncio.timeout(30):
            while same < 5:
                same = same + 1 if held and bot.sent == held else 0
                held = bot.sent
                await asyncio.sleep(0.1)
        assert held < 100_000
        await me.link.ask("deploy ok")
        await me.until("#1 deploy v2 (0123456789) to shop staging — done")
        assert bot.sent == held
    got = 0
    async with asyncio.timeout(60):
        while bot.sent < 200_000:
            got += len(await reader.read(1 << 20))
    assert got > 1_000_000
    writer.close()


async def test_too_many_commands_at_once(bot: Bot) -> None:
    async with client(bot) as me:
        waiting = [asyncio.create_task(me.link.ask(f"wait {number}")) for number in range(IN_FLIGHT)]
        await asyncio.sleep(0)
        assert not (await me.link.ask("echo more")).ok
        assert me.titles == ["Too many commands at once."]
        bot.gate.set()
        assert all(done.ok for done in await asyncio.gather(*waiting))
        assert (await me.link.ask("echo now")).ok


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([b'{"type":"say","id":"1","text":"echo x"}\n'], "it must begin with `hello` in version 1"),
        ([b'{"type":"hello","version":2}\n'], "it must begin with `hello` in version 1"),
        ([b"GET / HTTP/1.1\r\n"], "a line is not JSON"),
        ([b'{"type":"hello","version":1}\n'] * 2, "`hello` was sent twice"),
        ([b'{"type":"hello","version":1,"name":"../x"}\n'], "a `hello` message is wrong"),
        ([b'{"type":"hello","version":1}\n', b"x" * 9000 + b"\n"], "a line is longer than 8192 bytes"),
        ([b'{"type":"hello","version":1}\n', b"x" * 100_000], "a line is longer than 8192 bytes"),
        ([b'{"type":"hello","version":1}\n'] + [b'{"type":"say","id":"1","text":"wait"}\n'] * 2, "an id is used twice"),
    ],
)
async def test_a_client_that_breaks_the_protocol_is_reported_and_closed(bot: Bot, lines: list[bytes], why: str) -> None:
    reader, writer = await raw(bot)
    writer.write(b"".join(lines))
    async with asyncio.timeout(20):
        answers = [json.loads(line) async for line in reader]
    assert answers[-1]["type"] == "refused"
    assert why in answers[-1]["sentence"]
    bot.gate.set()
    writer.close()
    async with client(bot) as me:
        assert (await me.link.ask("echo still here")).ok


async def test_a_command_that_is_too_long_is_not_sent(bot: Bot) -> None:
    async with client(bot) as me:
        with pytest.raises(UserError, match="at most 8,192 bytes"):
            await me.link.ask("echo " + "ä" * 5000)
        assert (await me.link.ask("echo " + "ä" * 4000)).ok


async def test_many_clients(bot: Bot) -> None:
    clients = [Client() for _ in range(50)]
    for one in clients:
        one.link = await open_link(bot.path, one.show)
    answers = await asyncio.gather(*(one.link.ask(f"echo {n}") for n, one in enumerate(clients)))
    assert all(done.ok for done in answers)
    await bot.console.send(CHANNEL, Card(title="to all"))
    for number, one in enumerate(clients):
        await one.until("to all")
        assert one.titles == [str(number), "to all"]
    for one in clients:
        await one.link.close()


async def test_the_number_of_clients_is_bounded(bot: Bot) -> None:
    streams = []
    for _ in range(64):
        reader, writer = await raw(bot)
        writer.write(encode(Hello(1)))
        await reader.readline()
        streams.append(writer)
    with pytest.raises(Lost, match="Too many clients"):
        await open_link(bot.path, Client().show)
    for writer in streams:
        writer.close()


@pytest.mark.needs("root")
async def test_another_user_is_refused_even_where_the_files_would_let_him(bot: Bot) -> None:
    program = (
        "import os,socket,sys\n"
        "s=socket.socket(socket.AF_UNIX);os.setgid(65534);os.setuid(65534)\n"
        "try: s.connect(sys.argv[1])\n"
        "except PermissionError: print('no way in');sys.exit()\n"
        's.sendall(b\'{"type":"hello","version":1}\\n{"type":"say","id":"1","text":"echo x"}\\n\')\n'
        "print(s.makefile().read())\n"
    )

    async def attempt() -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(bot.path), stdout=subprocess.PIPE
        )
        return (await process.communicate())[0].decode().strip()

    assert await attempt() == "no way in"
    bot.path.chmod(0o666)
    for folder in bot.path.parents:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    answer = decode_answer((await attempt()).encode())
    assert "belongs to another user" in getattr(answer, "sentence", "")
    assert not bot.received


async def test_stopping_notifies_clients_and_removes_the_socket(bot: Bot) -> None:
    async with client(bot) as me:
        await bot.console.close()
        assert await me.link.closed == "The bot is stopping."
        with pytest.raises(Lost):
            await me.link.ask("echo x")
    assert not bot.path.exists()
    with pytest.raises(NoBot):
        await open_link(bot.path, Client().show)


async def test_a_dead_bots_socket_is_replaced_and_a_living_ones_is_not(tmp_path: Path) -> None:
    path = tmp_path / SOCKET
    first = Bot(path)
    await first.console.start()
    with pytest.raises(UserError, match="A bot already listens on"):
        await Bot(path).console.start()
    async with client(first) as me:
        assert (await me.link.ask("echo x")).ok
    assert first.console._server is not None
    first.console._server.close()
    assert path.exists()
    second = Bot(path)
    await second.console.start()
    async with client(second) as me:
        assert (await me.link.ask("echo x")).ok
    await second.console.close()
    assert not path.exists()


async def test_a_path_longer_than_a_socket_address(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    bot = Bot(folder / SOCKET)
    await bot.console.start()
    async with client(bot) as me:
        assert (await me.link.ask("echo far")).ok
    await bot.console.close()
    assert not bot.path.exists()


async def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(UserError, match="Others may write to"):
        await Bot(folder / SOCKET).console.start()
