"""`deploybot trust`: show a server's host key, and pin it in bot.toml once a person has confirmed it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sys
import tomllib
from typing import TYPE_CHECKING

import click

from deploybot.cli.command_base import Failure, Options, write

if TYPE_CHECKING:
    from tomlkit.items import Item, Table

    from deploybot.settings import Server, Settings


@click.command(short_help="Pin a server's host key.")
@click.argument("name", metavar="SERVER")
@click.option("--fingerprint", metavar="SHA256:…", help="Pin the key if it has this fingerprint, without asking.")
@click.option("--yes", is_flag=True, help="Pin the key that the server shows, without asking.")
@click.pass_obj
def trust(options: Options, name: str, fingerprint: str | None, *, yes: bool) -> None:
    """Show a server's host key, ask, and write it into bot.toml.

    The bot connects to no server whose key is not pinned, and sends nothing to one that shows another key.
    Compare the fingerprint with the one on the server's own console or on its provider's page:
    ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub

    \b
    Examples:
      deploybot trust web1
      deploybot trust web1 --fingerprint SHA256:RnJvbSBhIHByb3ZpZGVyJ3MgcGFnZQ
    """
    settings = options.settings(outside=False)
    server = _server(settings, name)
    line, shown = asyncio.run(_shown(options.settings() if server.jump else settings, name))
    click.echo(f"{name} ({server.host}, port {server.port}) shows this host key:\n  {line.split()[0]}  {shown}")
    if line in server.host_key:
        click.echo("It is already pinned.")
        return
    _warn(server)
    if fingerprint is not None and fingerprint != shown:
        raise Failure(
            f"The fingerprint is not {fingerprint}. Nothing was written.", hint="Find out which machine answers there."
        )
    if not (yes or fingerprint):
        _ask()
    path = options.path.resolve()
    write(path, pinned(path.read_bytes().decode("utf-8-sig"), name, line))
    click.echo(f"Pinned in {options.path}.")


async def _shown(settings: Settings, name: str) -> tuple[str, str]:
    """Return the server's key as a line and as a fingerprint. This logs in to the jump hosts."""
    from deploybot.ssh.ssh_pool import Pool

    pool = Pool(settings.servers)
    try:
        return await pool.host_key(name)
    finally:
        await pool.close()


def _server(settings: Settings, name: str) -> Server:
    from deploybot.wording import listed, meant

    if name not in settings.servers:
        near = meant(name, settings.servers)
        raise Failure(f'unknown server "{name}"{near}', hint=f"Servers: {listed(settings.servers)}.")
    return settings.servers[name]


def _warn(server: Server) -> None:
    if server.host_key:
        click.echo("SECURITY WARNING: this is not the pinned key. Pinned so far:", err=True)
        for old in server.host_key:
            click.echo(f"  {old.split()[0]}  {fingerprint_of(old)}", err=True)
        click.echo("The server was reinstalled, or somebody is intercepting the connection.", err=True)


def _ask() -> None:
    if not sys.stdin.isatty():
        raise Failure(
            "Nothing was written: there is no terminal to ask on.", hint="Give --fingerprint SHA256:… or --yes."
        )
    if not click.confirm("Does the server itself show this fingerprint?", default=False):
        raise Failure("Nothing was written.")


def fingerprint_of(line: str) -> str:
    """Return a public key's fingerprint as OpenSSH shows it: SHA-256, base64 without padding."""
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def pinned(text: str, name: str, line: str) -> str:
    """Return bot.toml with a server's host key set, and nothing else changed. Raises Failure with the line to write."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError
    from tomlkit.items import Table

    try:
        document = tomlkit.parse(text)
        table = document["servers"][name]
        below = _below(table) if isinstance(table, Table) and "host_key" not in table else []
        table["host_key"] = line
        for item in below:
            table.add(item)
        new = tomlkit.dumps(document)
    except (TOMLKitError, KeyError, TypeError):
        new = ""
    wanted = tomllib.loads(text)
    wanted["servers"][name]["host_key"] = line
    try:
        right = tomllib.loads(new) == wanted
    except tomllib.TOMLDecodeError:
        right = False
    if not right:
        raise Failure(
            "bot.toml is written in a way that cannot be changed safely, so it was not changed.",
            hint=f'Put this line into [servers.{name}]:\nhost_key = "{line}"',
        )
    return new


def _below(table: Table) -> list[Item]:
    """Remove and return the lines from the first empty one below a table's last key: they belong to the next table."""
    from tomlkit.items import Whitespace

    body = table.value.body
    last = max((position for position, (key, _) in enumerate(body) if key is not None), default=-1)
    empty = next((p for p in range(last + 1, len(body)) if isinstance(body[p][1], Whitespace)), len(body))
    below = [item for _, item in body[empty:]]
    del body[empty:]
    return below
