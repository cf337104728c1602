"""The command line: `deploybot run`, `check`, `init` and so on, a file for each.

A subcommand, and what it needs, is imported when it runs, so that each starts as fast as it can. The exit code is
0 when all went well, 1 when something failed or was refused, 2 when the command line or bot.toml is wrong.
"""

from __future__ import annotations

from pathlib import Path

import click

from deploybot.cli.common import Options, Told

COMMANDS = {
    "init": "init",
    "trust": "trust",
    "check": "check",
    "run": "start",
    "chat": "start",
    "ping": "ping",
    "demo": "start",
    "allow": "people",
    "deny": "people",
    "rename": "people",
    "forget-code": "codes",
    "hooks": "hooks",
    "slack-manifest": "slack_manifest",
    "audit": "audit",
    "version": "start",
}
"""Every subcommand, in the order in which people need them, and the module here that has it."""


@click.group(
    cls=Told,
    modules=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all went well; 1 something failed or was refused; 2 the command line or bot.toml is wrong.",
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    envvar="DEPLOYBOT_CONFIG",
    metavar="PATH",
    help="bot.toml. Left out: $DEPLOYBOT_CONFIG, ./bot.toml, /etc/deploybot/bot.toml, whichever is there first.",
)
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Deploy, roll back, read logs and see status from chat.

    \b
    To begin:
      deploybot init             write bot.toml
      deploybot trust web1       pin the server's host key
      deploybot check            try everything in it
      deploybot allow ana admin  make the first administrator
      deploybot run              start the bot
      deploybot chat             talk to it
    """
    ctx.obj = Options(config)
