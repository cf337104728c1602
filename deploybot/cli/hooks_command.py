"""`deploybot hooks`: list the addresses and the senders' settings, test them, and replay payloads."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploybot.cli.command_base import FAILED, Failure, Options, database

if TYPE_CHECKING:
    from deploybot.settings import Settings
    from deploybot.webhooks.hook_addresses import HookAddress

_ALL_APPS = "*"
_PLACEHOLDER = "https://YOUR-BOT"


@click.group(invoke_without_command=True, short_help="Show, test and replay webhooks.")
@click.pass_context
def hooks(ctx: click.Context) -> None:
    """List the webhook addresses of bot.toml, with what to set up at each sender.

    \b
    Examples:
      deploybot hooks
      deploybot hooks test shop github
      deploybot hooks replay payloads/
    """
    if ctx.invoked_subcommand is None:
        click.echo("\n".join(_listed(ctx.ensure_object(Options).settings(outside=False))))


def _listed(settings: Settings) -> Iterator[str]:
    from deploybot.webhooks.hook_addresses import addresses
    from deploybot.webhooks.senders import sender

    found = [*addresses(settings)]
    if not found:
        yield "bot.toml has no webhook address. This adds one:\n"
        yield '  [apps.shop.hooks.github]\n  secret = { env = "SHOP_GITHUB_SECRET" }   # openssl rand -hex 32'
        return
    base = (settings.http.url if settings.http else None) or _PLACEHOLDER
    if base == _PLACEHOLDER:
        yield f"[http] in bot.toml has no `url`: replace {_PLACEHOLDER} with the bot's address.\n"
    for address in found:
        url = base.rstrip("/") + address.path
        whose = f"app {address.app}" if address.app else "all apps, by repository or image"
        yield f"{url}  ({whose}; the secret is in {address.secret.source})"
        yield from (f"  {line}" for line in sender(address.sender).setup(url).splitlines())
        yield ""


@hooks.command(short_help="Send a signed ping to the running bot.")
@click.argument("app")
@click.argument("sender")
@click.pass_obj
def test(options: Options, app: str, sender: str) -> None:
    """Send a signed ping to the running bot, as SENDER would for APP, and show the answer.

    APP is `*` for the address of all apps. Nothing is posted or deployed. The exit code is 1 if the bot does not accept
    it.

    \b
    Examples:
      deploybot hooks test shop github
      deploybot hooks test '*' gitlab
    """
    settings = options.settings()
    click.echo(asyncio.run(_ping(settings, _address(settings, app, sender))))


def _address(settings: Settings, app: str, sender: str) -> HookAddress:
    """Return the address of an app and sender. Raises Failure if bot.toml has no such address."""
    from deploybot.webhooks.hook_addresses import addresses

    found = {(one.app or _ALL_APPS, one.sender): one for one in addresses(settings)}
    if address := next((one for (at, by), one in found.items() if (at, by) == (app, sender)), None):
        return address
    there = ", ".join(f"{at} {by}" for at, by in found) or "none"
    table = f"hooks.{sender}" if app == _ALL_APPS else f"apps.{app}.hooks.{sender}"
    raise Failure(f"bot.toml has no [{table}].", hint=f"It has: {there}.")


async def _ping(settings: Settings, address: HookAddress) -> str:
    import aiohttp

    from deploybot.cli.hook_trials import made_of
    from deploybot.webhooks.hook_calls import call
    from deploybot.webhooks.payload_files import Payload
    from deploybot.webhooks.senders import sender

    caller, now = sender(address.sender), time.time()
    kind, body = caller.ping(now)
    signed = Payload(name="ping", body=body, sender=caller, kind=kind).signed(address.secret.reveal(), now)
    async with aiohttp.ClientSession() as session:
        answer = await call(session, base_of(settings), address, signed, body)
    if answer.error or not answer.delivery:
        why = answer.error or answer.result
        raise Failure(
            f"{address.path}: {answer.status}: {why}", hint="Has the bot been restarted since bot.toml changed?"
        )
    async with database(settings) as store:
        made = await made_of(store, answer.delivery)
    return f"{address.path}: {answer.status}, stored as delivery {answer.delivery}: {made}"


def base_of(settings: Settings) -> str:
    """Return the URL at which the bot listens, as seen from this machine."""
    if settings.http is None:
        raise Failure("bot.toml has no [http], so the bot receives no webhooks.")
    host, _, port = settings.http.listen.rpartition(":")
    return f"http://{({'0.0.0.0': '127.0.0.1', '[::]': '[::1]'}).get(host, host)}:{port}"  # noqa: S104  nothing binds


@hooks.command(short_help="Sign and send payloads of a folder, and show each result.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@click.option("--sender", "whose", default="", metavar="SENDER", help="The sender of all files.")
@click.option("--live", is_flag=True, help="Send to the running bot, which posts and deploys what they report.")
@click.pass_obj
def replay(options: Options, folder: Path, whose: str, *, live: bool) -> None:
    """Sign and send each file of DIR as its sender would, and print each result.

    Nothing is posted or deployed: the files go to a separate bot, with the apps of bot.toml and a temporary database.
    The sender of a file is found by its folder, by the start of its name, or by the content. A file of headers
    next to it is also used: `push.headers` for `push.json`.

    \b
    Examples:
      deploybot hooks replay payloads/
      deploybot hooks replay payloads/ --sender gitlab
    """
    from deploybot.cli.hook_trials import replay_dry, replay_live, table
    from deploybot.part_tables import SENDERS
    from deploybot.webhooks.payload_files import payloads

    if whose and whose not in SENDERS:
        raise Failure(f"Unknown sender {whose}.", hint=f"Senders: {', '.join(SENDERS)}.")
    files = [*payloads(folder, whose)]
    if not files:
        raise Failure(
            f"{folder} contains no payloads.", hint="Payloads are files that end in .json, .payload or .body."
        )
    if live:
        settings = options.settings()
        sent = asyncio.run(replay_live(settings, base_of(settings), files))
    else:
        sent = asyncio.run(replay_dry(options.settings(outside=False) if options.path.exists() else None, files))
    click.echo("\n".join(table(sent)))
    sys.exit(FAILED if any(one.failed for one in sent) else 0)
