"""A world in which a forge calls the bot: one server, one app that is deployed by itself once its builds are green."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.app import Site
from tests.chaos.chaos_lab import ChaosLab
from tests.chaos.config import bot_toml
from tests.chaos.hooks.forge import BRANCH, SECRET, Forge
from tests.lab import Lab, free_port

_LINES = 40
_HOOKS = """
auto = {{ branch = "{branch}", after = "ci" }}
[apps.shop.hooks.github]
secret = {{ file = "{secret}" }}
[http]
listen = "127.0.0.1:{port}"
rate = 1000
"""


class HookLab(ChaosLab):
    """The same, with HTTP and a forge."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        """Take a laboratory and a folder of its own."""
        super().__init__(lab, folder)
        self._port = free_port()
        self.forge = Forge(self.source, self._port)

    async def _make_servers(self) -> None:
        await self._make_way("web1", self._lab.sshd)
        folder = self.ways["web1"].sshd.home / "shop-live"
        self.sites = (
            Site(app="shop", environment="live", strategy="files", servers=("web1",), directory=folder, port=8081),
        )

    def _bot_toml(self) -> str:
        secret = self._folder / "secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        text = bot_toml(self.data, self.source.url, self.ways, self.sites, lines_built=_LINES)
        return text + _HOOKS.format(branch=BRANCH, secret=secret, port=self._port)
