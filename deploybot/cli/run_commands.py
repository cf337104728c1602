"""`deploybot run`, `chat`, `demo` and `version`: start the programs of other packages."""

from __future__ import annotations

import asyncio
import sys

import click

from deploybot.cli.command_base import Options


@click.command(short_help="Start the bot.")
@click.option(
    "--temporary", is_flag=True, help="Stop when no console is connected and everything that was started has ended."
)
@click.pass_obj
def run(options: Options, *, temporary: bool) -> None:
    """Run the bot until SIGTERM or Ctrl-C.

    Running deployments then continue on their servers, and the bot resumes them when it starts again. If no bot is
    running, `deploybot chat` starts a temporary one. Its log is temporary.log in the data folder. A bot that is started
    without --temporary replaces it.

    \b
    Example:
      deploybot --config /etc/deploybot/bot.toml run
    """
    from deploybot import bot

    asyncio.run(bot.run(options.settings(), temporary=temporary))


@click.command(short_help="Talk to the bot from this terminal.")
@click.option("-c", "--command", "line", metavar="LINE", help="Send this one line, print the answer, and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print every message as a line of JSON.")
@click.option("--as", "as_name", metavar="NAME", help="Your name, if several people share this user.")
@click.option("--no-wait", is_flag=True, help="With -c: do not wait for a deployment to end.")
@click.option("--listen", is_flag=True, help="Only show what the bot posts to everybody, until Ctrl-C.")
@click.pass_obj
def chat(
    options: Options, line: str | None, as_name: str | None, *, as_json: bool, no_wait: bool, listen: bool
) -> None:
    """Talk to the bot from this terminal, with completion and cards that redraw themselves.

    If no bot is running with this bot.toml, this starts a temporary one. It stops after you have left and everything
    that was started has ended. With -c, or without a terminal, the exit code shows the result. 0 is success. 1 means
    that the command failed or was refused, or that its deployment failed. 2 is wrong usage or no bot. 3 is an unknown
    result.

    \b
    Examples:
      deploybot chat
      deploybot chat -c 'deploy shop@v2 because of the fix'
      deploybot chat --json -c status
      deploybot chat --listen
    """
    from deploybot.chat.console import console_client

    settings = options.settings(outside=False)
    sys.exit(console_client.main(settings, line=line, json=as_json, as_name=as_name, wait=not no_wait, listen=listen))


@click.command(
    short_help="Try the bot without a server or an account.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> None:
    """Try the bot with a server, a repository and users that it sets up for you."""
    from deploybot.demo import main as play

    sys.exit(play(arguments))


@click.command(short_help="Print the version.")
def version() -> None:
    """Print the version of deploybot and of Python."""
    from deploybot import __version__

    click.echo(f"deploybot {__version__} (Python {sys.version.split()[0]})")
