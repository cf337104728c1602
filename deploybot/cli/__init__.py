"""The command line: `deploybot run`, `check`, `init` and so on, a file for each.

A subcommand, and what it needs, is imported when it runs, so that each starts as fast as it can. The exit code is
0 when all went well, 1 when something failed or was refused, 2 when the command line or bot.toml is wrong.
"""

from __future__ import annotations

from pathlib import Path

import click

from deploybot.cli.command_base import ErrorReportingGroup, Options

COMMANDS = {
    "init": "init_command",
    "trust": "trust_command",
    "check": "check_command",
    "run": "run_commands",
    "chat": "run_commands",
    "ping": "ping_command",
    "demo": "run_commands",
    "allow": "allowlist_commands",
    "deny": "allowlist_commands",
    "rename": "allowlist_commands",
    "forget-code": "forget_code",
    "push": "push_command",
    "hooks": "hooks_command",
    "slack-manifest": "slack_manifest_command",
    "audit": "audit_command",
    "version": "run_commands",
}
"""Every subcommand, in the order in which people need them, and the module here that has it."""


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  click's signature
    """Do what `deploybot version` does."""
    if wanted and not ctx.resilient_parsing:
        from deploybot.cli.run_commands import version

        ctx.invoke(version)
        ctx.exit()


@click.group(
    cls=ErrorReportingGroup,
    modules=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 success; 1 something failed or was refused; 2 the command line or bot.toml is wrong.",
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    envvar="DEPLOYBOT_CONFIG",
    metavar="PATH",
    help="bot.toml. Default: $DEPLOYBOT_CONFIG, else ./bot.toml, else /etc/deploybot/bot.toml.",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version."
)
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Deploy, roll back, read logs and see status from chat.

    \b
    To start:
      deploybot init             write bot.toml
      deploybot trust web1       pin the server's host key
      deploybot check            test everything in it
      deploybot allow ana admin  make the first administrator
      deploybot run              start the bot
      deploybot chat             talk to it
    """
    ctx.obj = Options(config)
