"""Everything that the demo needs, in one folder: keys, a repository, a server, bot.toml. Set up, and removed again."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploybot.chat.console.child_bot import OwnBot
from deploybot.demo import demo_repository
from deploybot.demo.demo_forge import DemoForge
from deploybot.demo.demo_server import OWN_FOLDER, USER, DemoMachine, Keys
from deploybot.demo.server_process import running_server
from deploybot.errors import UserError

_BOT_GONE_WITHIN = 15.0
_PAUSE = 0.05
_NEEDED = ("git", "sh", "setsid", "sha256sum", "mkfifo")

_BOT_TOML = """\
# The demo's bot.toml. Everything here is real, but lives in one folder: {folder}

[bot]
data = "data"

[servers.local]
ssh = "{user}@127.0.0.1:{ssh_port}"
key = {{ file = "keys/client_key" }}
host_key = "{host_key}"

[apps.shop]
repo = "{folder}/shop"
strategy = "files"
directory = "{folder}/server/production"
build = "sh build.sh"
restart = "sh restart.sh"
logs = {{ command = 'tail -n "$DEPLOYBOT_LINES" ${{DEPLOYBOT_FOLLOW:+-F}} "$DEPLOYBOT_DIRECTORY/shop.log"' }}
tasks = {{ articles = "cat articles.txt" }}
secrets = {{ PAYMENT_KEY = {{ file = "keys/payment_key" }} }}
warn_paths = ["migrations/**"]
need_disk = "20MB"

[apps.shop.environments.staging]
servers = ["local"]
default = true
directory = "{folder}/server/staging"
health = {{ http = "http://127.0.0.1:{staging}/healthz", within = "{within}" }}
env = {{ SHOP_PORT = "{staging}" }}

[apps.shop.environments.production]
servers = ["local"]
health = {{ http = "http://127.0.0.1:{production}/healthz", within = "{within}" }}
env = {{ SHOP_PORT = "{production}" }}
"""
HEALTHY_WITHIN = "10s"

_APPROVALS = """\
approvals = 1
approval_within = "1h"
"""

_AUTO = """\

[http]
listen = "127.0.0.1:{hooks}"

[apps.shop.hooks.github]
secret = {{ file = "keys/hook_secret" }}

[apps.shop.environments.staging.auto]
branch = "main"
after = "ci"
"""

_SERVER = """\

[servers.{name}]
ssh = "{user}@127.0.0.1:{port}"
key = {{ file = "keys/client_key" }}
host_key = "{host_key}"
"""

_THREE = """\

# The same path is a different folder on each server.
[apps.shop.environments.fair]
servers = ["web1", "web2", "web3"]
directory = "{folder}/fair"
health = {{ http = "http://127.0.0.1:{fair}/healthz", within = "{within}" }}
env = {{ SHOP_PORT = "{fair}" }}

[apps.shop.environments.market]
servers = ["web1", "web2"]
directory = "{folder}/market"
rollout = {{ canary = "web1" }}
health = {{ http = "http://127.0.0.1:{market}/healthz", within = "{within}" }}
env = {{ SHOP_PORT = "{market}" }}
"""
_ANSWERS_WITHIN = "3s"

_WATCH = """\
watch = "1m"
veto = "3s"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSetup:
    """A demo that is set up. `ports` are the shop's by environment, and `hooks`, at which the bot receives webhooks.

    `host_key` is the one of all servers.
    """

    folder: Path
    ports: dict[str, int]
    payment_key: str
    host_key: str = ""

    @property
    def config(self) -> Path:
        """Return its bot.toml."""
        return self.folder / "bot.toml"

    @property
    def bot_pid(self) -> int:
        """Return the process id of the running bot."""
        return int((self.folder / "data" / "deploybot.lock").read_text().split()[0])

    def url(self, environment: str, address: str = "127.0.0.1") -> str:
        """Return the URL of the shop in an environment, on the server with this address."""
        return f"http://{address}:{self.ports[environment]}/"

    def builds(self, environment: str) -> list[str]:
        """Return the steps of all builds, one line each: `v4 begins`, `v4 page 3`, `v4 ends`."""
        file = self.folder / "server" / environment / "builds.log"
        return file.read_text().splitlines() if file.exists() else []

    def push(self, change: demo_repository.DemoChange) -> demo_repository.DemoCommit:
        """Push a change to the branch `main`."""
        return demo_repository.add(self.folder / "shop", change)

    def deploy_by_hand(self, environment: str, ref: str) -> None:
        """Deploy on the server as a person in a hurry does: move the link to another release, and restart."""
        directory = self.folder / "server" / environment
        link = directory / "current"
        link.unlink()
        link.symlink_to(f"releases/{self._commit(ref)}")
        values = {"SHOP_PORT": str(self.ports[environment]), "PAYMENT_KEY": self.payment_key}
        env = {**os.environ, **values, "DEPLOYBOT_DIRECTORY": str(directory)}
        command = ["sh", "restart.sh"]
        subprocess.run(command, cwd=link, env=env, stdout=subprocess.DEVNULL, check=True, timeout=30)  # noqa: S603  the demo's own script

    def prune(self, environment: str, ref: str) -> None:
        """Delete a release's folder on the server, as a person does who needs space."""
        shutil.rmtree(self.folder / "server" / environment / "releases" / self._commit(ref))

    def _commit(self, ref: str) -> str:
        command = ["git", "-C", str(self.folder / "shop"), "rev-parse", f"{ref}^{{commit}}"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()  # noqa: S603  git

    def want_approvals(self) -> None:
        """Make the bot ask a second person about production, from its next start."""
        production = "[apps.shop.environments.production]\n"
        self.config.write_text(self.config.read_text().replace(production, production + _APPROVALS))

    def want_more(self) -> None:
        """Make the bot ask for approvals, watch the market, and have staging follow `main`, from its next start."""
        self.want_approvals()
        with self.config.open("a") as file:
            file.write(_WATCH + _AUTO.format(hooks=self.ports["hooks"]))

    @property
    def forge(self) -> DemoForge:
        """Return the forge of the repository."""
        url = f"http://127.0.0.1:{self.ports['hooks']}/hooks/shop/github"
        return DemoForge(url, (self.folder / "keys" / "hook_secret").read_text())

    @contextlib.asynccontextmanager
    async def three_servers(self) -> AsyncIterator[tuple[DemoMachine, ...]]:
        """Run three more servers, which bot.toml has from the next start of the bot."""
        machines = tuple(DemoMachine(self.folder, f"web{at}", f"127.0.0.{at + 1}") for at in (1, 2, 3))
        async with contextlib.AsyncExitStack() as stack:
            ports = await asyncio.gather(*(stack.enter_async_context(running_server(one)) for one in machines))
            with self.config.open("a") as file:
                for one, port in zip(machines, ports, strict=True):
                    file.write(_SERVER.format(name=one.name, user=USER, port=port, host_key=self.host_key))
                file.write(_THREE.format(folder=OWN_FOLDER, within=_ANSWERS_WITHIN, **self.ports))
            yield machines

    def command(self, *words: str) -> tuple[str, ...]:
        """Return the command `deploybot` with this bot.toml."""
        return (sys.executable, "-m", "deploybot", "--config", str(self.config), *words)

    def bot(self) -> OwnBot:
        """Return a bot. It ends when the demo ends, however the demo dies."""
        return OwnBot(self.command("run"))


def lacks() -> str:
    """Return why the demo cannot run on this machine, with the fix, or an empty string if it can."""
    if not sys.platform.startswith("linux"):
        return "The demo needs Linux. Run it on a Linux machine, or in a container."
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    return f"The demo needs {', '.join(missing)}, which this machine does not have. Install them." if missing else ""


@contextlib.contextmanager
def folder_of(wanted: Path | None, *, keep: bool) -> Iterator[Path]:
    """Yield a new folder for the demo, deleted at the end unless `keep`. Raises UserError if it already exists."""
    if wanted is None:
        folder = Path(tempfile.mkdtemp(prefix="deploybot-demo-")).resolve()
    else:
        folder = wanted.resolve()
        try:
            folder.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            raise UserError(f"{wanted} already exists.", hint="Delete it, or choose another folder.") from None
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def town(folder: Path) -> AsyncIterator[DemoSetup]:
    """Set up everything in an empty folder except the bot. At the end, stop everything that runs there."""
    keys = Keys(folder / "keys")
    host_key = await asyncio.to_thread(keys.make)
    await asyncio.to_thread(demo_repository.make, folder / "shop")
    payment_key = f"pay_{secrets.token_hex(12)}"
    _private(folder / "keys" / "payment_key", payment_key)
    _private(folder / "keys" / "hook_secret", secrets.token_hex(32))
    ports = _free_ports("staging", "production", "hooks", "fair", "market")
    async with running_server(DemoMachine(folder)) as ssh_port:
        made = DemoSetup(folder=folder, ports=ports, payment_key=payment_key, host_key=host_key)
        text = _BOT_TOML.format(
            folder=folder, user=USER, ssh_port=ssh_port, host_key=host_key, within=HEALTHY_WITHIN, **ports
        )
        made.config.write_text(text)
        try:
            yield made
        finally:
            await _without_bot(folder / "data" / "deploybot.lock")


async def _without_bot(lock: Path) -> None:
    """End a bot that a console started and that still runs. Return when no process holds the lock."""
    end = time.monotonic() + _BOT_GONE_WITHIN
    if process := _bot_of(lock):
        os.kill(process, signal.SIGTERM)
    while process := _bot_of(lock):
        if time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            return
        await asyncio.sleep(_PAUSE)


def _bot_of(lock: Path) -> int:
    """Return the process that holds a bot's lock, or 0 if there is none."""
    with contextlib.suppress(FileNotFoundError), lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read().split()[0])
    return 0


def _private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_text(text)


def _free_ports(*names: str) -> dict[str, int]:
    """Return a free port of this machine for each name, all different."""
    with contextlib.ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.socket()) for name in names}
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in sockets.items()}
