"""`deploybot slack-manifest`: what makes the Slack app."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deploybot.cli.command_base import Options, Wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deploybot.command import Command


@click.command("slack-manifest", short_help="Print what makes the Slack app.")
@click.option("--url", default="", metavar="URL", help="For HTTP mode: where Slack reaches the bot, with https://.")
@click.pass_obj
def slack_manifest(options: Options, *, url: str) -> None:
    """Print the manifest of the Slack app as YAML: its commands, scopes and events.

    Paste it at api.slack.com/apps, “Create New App”, “From a manifest”. It is for Socket Mode, unless --url is
    given or bot.toml has signing_secret in [slack]. With a bot.toml, commands of your own are in it, too.

    \b
    Examples:
      deploybot slack-manifest
      deploybot slack-manifest --url https://bot.example.com
    """
    from deploybot.chat.slack.app_manifest import manifest

    commands, configured = _commands_and_url(options)
    hook = url or configured
    if hook and not hook.startswith("https://"):
        raise Wrong("Slack knocks only at addresses with https://.", hint="Put a proxy with TLS before the bot.")
    click.echo(manifest(commands.values(), hook), nl=False)


def _commands_and_url(options: Options) -> tuple[Mapping[str, Command], str]:
    """The commands there are, and the address for HTTP mode where bot.toml asks for that."""
    from deploybot.command_loader import load

    if options.config is None and not options.path.exists():
        return load(None), ""
    settings = options.settings(outside=False)
    http_mode = settings.slack is not None and settings.slack.signing_secret is not None
    url = (settings.http.url if settings.http else None) or ""
    return load(settings.bot.plugins), url if http_mode else ""
