"""A real bot, as a process, that some senders may call."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bot import Bot
from tests.webhooks.service import SECRET

_HOUSE = """
[http]
listen = "127.0.0.1:{port}"
token = {{ file = "{secret}" }}
rate = {rate}

[servers.web1]
ssh = "deploy@127.0.0.1:22"
agent = true

[apps.shop]
repo = "git@github.com:acme/shop.git"
strategy = "script"
script = "deploy.sh"
directory = "/srv/shop"

[apps.shop.environments.staging]
servers = ["web1"]

[apps.site]
strategy = "files"
directory = "/srv/site"
artifact = {{ upload = true, secret = {{ file = "{secret}" }} }}

[apps.site.environments.staging]
servers = ["web1"]
"""
_HOOK = """
[{table}.{name}]
secret = {{ file = "{secret}" }}
"""


def made_bot(folder: Path, port: int, *senders: str, rate: int = 100_000) -> Bot:
    """One with the app `shop`, whose hooks are those of `senders`, at its own addresses and at those of all apps.

    Artifacts of the app `site` may be uploaded.
    """
    secret = folder / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    hooks = (
        _HOOK.format(table=table, name=name, secret=secret)
        for table in ("hooks", "apps.shop.hooks")
        for name in senders
    )
    return Bot(folder / "bot", _HOUSE.format(port=port, secret=secret, rate=rate) + "".join(hooks))
