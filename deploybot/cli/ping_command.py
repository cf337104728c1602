"""`deploybot ping`: check whether the bot answers, for health checks and service managers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from deploybot.cli.command_base import Options

if TYPE_CHECKING:
    from pathlib import Path

    from deploybot.chat.console.console_protocol import Show, Welcome


@click.command(short_help="Check whether the bot answers.")
@click.pass_obj
def ping(options: Options) -> None:
    """Check whether the bot with this bot.toml answers. This starts no bot. The exit code is 1 if none answers.

    \b
    Example:
      deploybot ping && echo it runs
    """
    from deploybot.chat.console.console_protocol import SOCKET

    settings = options.settings(outside=False)
    welcome = asyncio.run(_ask((settings.bot.data / SOCKET).absolute()))
    click.echo(f"deploybot {welcome.bot} answers.")


async def _ask(path: Path) -> Welcome:
    """Return the bot's first line. Raises UserError if no bot listens, or none answers within ten seconds."""
    from deploybot.chat.console.client_connection import open_link

    link = await open_link(path, _pass_over, room=False)
    await link.close()
    return link.welcome


async def _pass_over(show: Show) -> None:
    """Ignore a card: the check needs none."""
    del show
