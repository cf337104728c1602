"""The whole bot on real servers: a message goes in as text, and the truth is asked from the application itself."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import pytest

from deploybot.bot import Bot
from deploybot.card import Card
from deploybot.chat.console.terminal_cards import plain
from deploybot.command import Incoming
from deploybot.config import load
from deploybot.domain import Channel, Deployment, Identity, Role, State
from deploybot.ports import Tables
from deploybot.settings import Settings
from deploybot.wiring.infrastructure import Adapters, adapters
from tests.doubles.slack import APP_TOKEN, BOT_TOKEN, SlackDouble
from tests.lab import Engine, Repo, Sshd, until

_FOLDER = Path(__file__).parent
CHANNEL = Channel("console", "console")
PEOPLE = {"ana": ("1", Role.ADMIN), "ben": ("2", Role.VIEWER)}
ENDS_WITHIN = 100
SECRET = "a secret of more than sixteen bytes"
ROOM = "C0OPS00"
SLACK = """
[slack]
bot_token = {{ env = "SLACK_BOT_TOKEN" }}
app_token = {{ env = "SLACK_APP_TOKEN" }}
channel = "slack:{room}"
api_url = "{url}"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder time for several deployments, each of which may take `ENDS_WITHIN`."""
    for item in items:
        if item.path.is_relative_to(_FOLDER) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(3 * ENDS_WITHIN))


@dataclass(slots=True)
class RunningBot:
    """A running bot and the people who talk to it."""

    settings: Settings
    world: Adapters
    bot: Bot
    ids: itertools.count[int] = field(default_factory=itertools.count)

    async def say(self, text: str, who: str = "ana") -> Card:
        """Type a command; the card that answers."""
        incoming = Incoming(
            identity=Identity("console", PEOPLE.get(who, (who,))[0]),
            channel=CHANNEL,
            text=text,
            id=f"{os.urandom(4).hex()}-{next(self.ids)}",
            at=time.time(),
            name=who,
        )
        card = await self.bot.dispatcher.handle(incoming, _silence)
        assert card is not None
        return card

    async def read(self, text: str, who: str = "ana") -> str:
        """Type a command; the answer as it reads in a terminal."""
        return plain(await self.say(text, who), 100)

    async def end_of(self, number: int) -> Deployment:
        """A deployment once it has ended."""
        async with asyncio.timeout(ENDS_WITHIN):
            await self.bot.deployments.queue.idle(number)
        found = await self.bot.deployments.get(number)
        assert found is not None
        assert found.state.ended
        return found

    async def deploy(self, text: str) -> Deployment:
        """Type a deployment and see it to its end."""
        card = await self.say(text)
        assert card.queued, plain(card, 100)
        return await self.end_of(int(card.key.partition(":")[2]))

    async def step(self, number: int, name: str) -> None:
        """Return once a step was seen to run."""
        async with asyncio.timeout(ENDS_WITHIN):
            while True:
                rows = await self.world.store.read(lambda tables: tables.deployments.steps(number))
                if any(row.name == name and row.state.value == "started" for row in rows):
                    return
                await asyncio.sleep(0.02)

    async def log_of(self, number: int) -> str:
        """The full log of a deployment."""
        return await asyncio.to_thread(Path(self.bot.deployments.log_file(number)).read_text)


async def _silence(card: Card) -> None:
    del card


@asynccontextmanager
async def open_running_bot(path: Path) -> AsyncIterator[RunningBot]:
    """A bot on a bot.toml, with ana and ben on its allowlist."""
    settings = load(path, os.environ)
    world = adapters(settings)
    bot = Bot(settings, world)
    ready = asyncio.Event()
    serving = asyncio.create_task(bot.serve(ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if serving.done():
        serving.result()

    def let_in(tables: Tables) -> None:
        people = tables.people
        for name, (user, role) in PEOPLE.items():
            if people.named(name) is None:
                people.grant(people.add(name, Identity("console", user)).id, role)

    await world.store.write(let_in)
    try:
        yield RunningBot(settings, world, bot)
    finally:
        bot.stop()
        await serving


@pytest.fixture
async def double(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SlackDouble]:
    monkeypatch.setenv("SLACK_BOT_TOKEN", BOT_TOKEN)
    monkeypatch.setenv("SLACK_APP_TOKEN", APP_TOKEN)
    made = SlackDouble()
    # Slack's own 3 s are tested in tests/chat. Here they depend on what else runs beside a real deployment.
    made.wire.ack_within = 15.0
    await made.start()
    yield made
    await made.close()
    assert made.violations == []


def server_toml(server: Sshd, name: str = "web1", *, more: str = "") -> str:
    """A server's table of bot.toml."""
    return f"""
[servers.{name}]
ssh = "{server.user}@{server.address}:{server.port}"
key = {{ file = "{server.client_key}" }}
host_key = "{server.host_key}"
{more}
"""


def served(address: str, port: int = 8000) -> str:
    """What an application answers at `/`; what stood in the way where it does not."""
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/", timeout=20) as answer:
            return str(answer.read().decode().strip())
    except urllib.error.HTTPError as error:
        return f"{error.code}"
    except (OSError, HTTPException) as error:  # such as an app that is stopped while it answers
        return f"nothing: {type(error).__name__}"


def page(engine: Engine) -> str:
    """What the app of an Engine answers, once it does: a container that runs may not listen yet."""
    until(lambda: not served(engine.address).startswith("nothing"), within=30, what="an answer of the app")
    return served(engine.address)


FILES_APP = """
[apps.shop]
repo = "{repo}"
strategy = "files"
directory = "{directory}"
build = "sh ./build"
restart = "sh ./restart"
need_disk = "{need_disk}"
health = {{ http = "http://127.0.0.1:8000/healthz", within = "10s" }}
logs = {{ file = "{directory}/shop.log" }}
[apps.shop.environments.live]
servers = [{servers}]
"""
# A site served by busybox; its server outlives the job that starts it, as a real one does.
RESTART = """\
[ "$(cat ../../refused 2>/dev/null)" != "$(cat index.html)" ] || exit 7
printf 'serving %s\\n' "$(cat index.html)" >>../../shop.log
if read -r old 2>/dev/null <../../pid; then
    kill "$old" 2>/dev/null || :
    while kill -0 "$old" 2>/dev/null; do sleep 0.05; done
fi
setsid busybox httpd -f -p 8000 -h "$PWD/www" </dev/null >/dev/null 2>&1 &
echo "$!" >../../pid
"""


def make_shop(repo: Repo) -> dict[str, str]:
    """v1 and v2 are good, v3 does not build, v4 has no health, v5 takes its time to build."""
    common: dict[str, str | None] = {"build": "mkdir -p www; cp index.html www; cp index.html www/healthz\n"}
    made = {}
    for name, files in {
        "v1": {},
        "v2": {},
        "v3": {"build": "echo compiling; echo 'main.c:3: error: expected ;' >&2; exit 2\n"},
        "v4": {"build": "mkdir -p www; cp index.html www\n"},
        "v5": {"build": "echo begun; sleep 8; mkdir -p www; cp index.html www; cp index.html www/healthz; echo over\n"},
    }.items():
        made[name] = repo.commit({"index.html": f"{name}\n", "restart": RESTART, **common, **files}, f"Release {name}")
        repo.tag(name)
    return made


@pytest.fixture
def shop(make_repo: Callable[..., Repo]) -> Repo:
    repo = make_repo("shop")
    make_shop(repo)
    return repo


@dataclass(slots=True)
class FilesShop:
    """The shop on servers of its own, and the bot.toml that says so."""

    path: Path
    repo: Repo
    servers: list[Sshd]

    def write(self, *, need_disk: str = "1MB", directory: str = "", servers: str = "") -> Path:
        """Write bot.toml anew."""
        names = [f"web{at}" for at in range(1, len(self.servers) + 1)]
        tables = [server_toml(server, name) for name, server in zip(names, self.servers, strict=True)]
        app = FILES_APP.format(
            repo=self.repo.url,
            directory=directory or f"{self.servers[0].home}/shop",
            need_disk=need_disk,
            servers=servers or ", ".join(f'"{name}"' for name in names),
        )
        self.path.write_text(f'[bot]\ndata = "{self.path.parent / "data"}"\n{"".join(tables)}\n{app}')
        return self.path


@pytest.fixture
def files_shop(make_sshd: Callable[..., Sshd], shop: Repo, tmp_path: Path) -> FilesShop:
    made = FilesShop(tmp_path / "bot.toml", shop, [make_sshd()])
    made.write()
    return made


@pytest.fixture
async def running(files_shop: FilesShop) -> AsyncIterator[RunningBot]:
    async with open_running_bot(files_shop.path) as made:
        yield made


def ended(deployment: Deployment, state: State) -> str:
    """Make sure of the state; the outcome."""
    assert deployment.state is state, deployment.outcome
    return deployment.outcome
