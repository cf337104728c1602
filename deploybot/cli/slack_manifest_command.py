"""`deploybot slack-manifest`: print the manifest that defines the Slack app."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deploybot.cli.command_base import Options, Wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deploybot.command import Command


@click.command("slack-manifest", short_help="Print the manifest of the Slack app.")
@click.option("--url", default="", metavar="URL", help="For HTTP mode: the https:// URL where Slack reaches the bot.")
@click.option(
    "--commands",
    "wanted",
    default="all",
    show_default=True,
    metavar="all|one|NAME,…",
    help="Which slash commands the app has. `one` is /deploybot alone, which runs every command.",
)
@click.pass_obj
def slack_manifest(options: Options, *, url: str, wanted: str) -> None:
    """Print the manifest of the Slack app as YAML: its commands, scopes and events.

    Paste it at api.slack.com/apps, “Create New App”, “From a manifest”. It is for Socket Mode, unless --url is
    given or bot.toml has signing_secret in [slack]. With a bot.toml, it includes your own commands.

    If another app of your workspace already has /run, /link or /lock, use --commands: `/deploybot run shop migrate`
    always works.

    \b
    Examples:
      deploybot slack-manifest
      deploybot slack-manifest --url https://bot.example.com
      deploybot slack-manifest --commands one
      deploybot slack-manifest --commands deploy,rollback,status
    """
    from deploybot.chat.slack.app_manifest import manifest

    commands, configured = _commands_and_url(options)
    hook = url or configured
    if hook and not hook.startswith("https://"):
        raise Wrong("Slack calls only https:// URLs.", hint="Put a proxy with TLS in front of the bot.")
    click.echo(manifest(_chosen(commands, wanted), hook), nl=False)


def _chosen(commands: Mapping[str, Command], wanted: str) -> list[Command]:
    """Return the commands that get a slash of their own. Raises Wrong for a name that does not exist."""
    if wanted in {"all", "one"}:
        return [*commands.values()] if wanted == "all" else []
    names = [name.strip().removeprefix("/") for name in wanted.split(",")]
    if unknown := [name for name in names if name not in commands]:
        raise Wrong(
            f"There is no command {' or '.join(f'`{name}`' for name in unknown)}.",
            hint=f"Give all, one, or some of these, separated by commas: {', '.join(sorted(commands))}.",
        )
    return [commands[name] for name in dict.fromkeys(names)]


def _commands_and_url(options: Options) -> tuple[Mapping[str, Command], str]:
    """Return all commands, and the address for HTTP mode if bot.toml configures it."""
    from deploybot.chat.slack.slack_settings import SlackSettings
    from deploybot.command_loader import load

    if options.config is None and not options.path.exists():
        return load(None), ""
    settings = options.settings(outside=False)
    slack = settings.table(SlackSettings)
    http_mode = slack is not None and slack.signing_secret is not None
    url = (settings.http.url if settings.http else None) or ""
    return load(settings.bot.plugins), url if http_mode else ""
