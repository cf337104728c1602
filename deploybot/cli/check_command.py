"""`deploybot check`: show what the bot understood, then test all of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from deploybot.cli.command_base import FAILED, WRONG, Options, Wrong, problems_text
from deploybot.errors import ConfigError

if TYPE_CHECKING:
    from deploybot.check import Row
    from deploybot.settings import App, Environment, Server, Settings


@click.command(short_help="Test everything in bot.toml.")
@click.option("--offline", is_flag=True, help="Only read bot.toml; test nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def check(options: Options, *, offline: bool, as_json: bool) -> None:
    """Show how the bot reads bot.toml, then test every server, repository, image and chat in it at once.

    On each server it tests SSH, the host key, the user and shell tools. It also tests the apps' directories, disk,
    memory, Docker, Compose, and whether a job continues when the connection breaks. It changes nothing there. Each
    failure has a fix. The exit code is 1 if anything failed, and 2 if bot.toml is wrong.

    \b
    Examples:
      deploybot check
      deploybot check --offline
      deploybot check --json | jq '.rows[] | select(.state == "failed")'
    """
    try:
        settings = options.settings()
    except ConfigError as error:
        if as_json:
            click.echo(json.dumps({"ok": False, "problems": error.problems, "hints": [], "rows": []}))
            sys.exit(WRONG)
        raise Wrong(problems_text(error)) from error
    if not as_json:
        click.echo("\n".join((*understood(settings), *old_forms(settings))))
    rows = () if offline else asyncio.run(_try(settings))
    failed = [row for row in rows if row.state == "failed"]
    if as_json:
        listed = {"ok": not failed, "problems": [], "hints": settings.hints, "rows": [*map(row_json, rows)]}
        click.echo(json.dumps(listed, ensure_ascii=False))
    elif rows:
        click.echo()
        show(rows)
        click.echo(f"\n{len(rows) - len(failed)} of {len(rows)} checks are OK.")
    sys.exit(FAILED if failed else 0)


async def _try(settings: Settings) -> tuple[Row, ...]:
    """Test everything with the adapters of the bot, which may be running at the same time."""
    from deploybot.check import check
    from deploybot.wiring.chat_checks import chat_checks, dry_plans, other_checks
    from deploybot.wiring.infrastructure import adapters

    world = adapters(settings, beside=True)
    try:
        async with dry_plans(settings, world) as plans:
            return await check(
                settings,
                world.pool,
                world.refs,
                images=world.images,
                chats={**chat_checks(settings), **other_checks(settings, world)},
                plans=plans,
                mask=world.redactor.text,
            )
    finally:
        await world.pool.close()


def row_json(row: Row) -> dict[str, str]:
    """Return a row as `--json` prints it."""
    return {"subject": row.subject, "what": row.what, "state": row.state, "says": row.text, "fix": row.fix}


def understood(settings: Settings) -> Iterator[str]:
    """Yield bot.toml in the bot's own words; of secrets only the names."""
    from deploybot.reporting.report_targets import receivers_of

    yield f"{settings.path}"
    yield f"  data in {settings.bot.data}" + (
        f", own commands in {settings.bot.plugins}" if settings.bot.plugins else ""
    )
    yield from _of_chats(settings)
    yield from (f"  {receiver.summary}" for receiver in receivers_of(settings) if receiver.summary)
    if audit := settings.audit:
        sinks = [str(audit.file)] if audit.file else []
        sinks += [f"syslog {audit.syslog}"] if audit.syslog else []
        sinks += [audit.call.url] if audit.call else []
        yield f"  the audit to {', '.join(sinks)}"
    for server in settings.servers.values():
        yield f"  server {server.name}: {', '.join(_of_server(server))}"
    for app in settings.apps.values():
        yield f"  app {app.name}: {', '.join(_of_app(app))}"
        for environment in app.environments.values():
            words = (*_of_environment(environment), *_only_there(app, environment))
            yield f"    {environment.name}: {', '.join(words)}"


def old_forms(settings: Settings) -> Iterator[str]:
    """Yield the old forms in bot.toml with their new forms; nothing if it has none."""
    if settings.hints:
        yield "\nbot.toml has old forms, which still work. Please change:"
        yield from (f"  {hint}" for hint in settings.hints)


def _of_chats(settings: Settings) -> Iterator[str]:
    from deploybot.chat.chat_port import chat_parts
    from deploybot.part_tables import CHAT_TABLE

    tables = settings.chats()
    for name, chat in chat_parts(settings):
        channel = f", channel {tables[name].channel}" if tables[name].channel else ""
        yield f"  {CHAT_TABLE[name].title} by {chat.summary(settings)}{channel}"


def _of_server(server: Server) -> Iterator[str]:
    yield server.ssh
    ways = {"key": server.key, "password": server.password, "agent": server.agent}
    yield f"by {' or '.join(way for way, given in ways.items() if given)}"
    if server.jump:
        yield f"through {server.jump}"
    yield "host key pinned" if server.host_key else "no host key pinned"
    yield f"Docker at {server.docker}" if server.docker else "Docker: found automatically"


def _origin(app: App) -> str:
    """Return where the files of an app's releases come from."""
    if app.artifact is not None:
        return app.artifact.origin
    return app.repo or "the Compose files on its servers"


def _of_app(app: App) -> Iterator[str]:
    yield f"{app.strategy} from {_origin(app)}"
    if app.branch:
        yield f"branch {app.branch}"
    yield f"keeps the last {app.keep} successful releases"
    if app.images:
        yield f"images {' '.join(f'{service} {of.image}, {of.tag}' for service, of in app.images.items())}"
    if app.forge and app.artifact is None:
        yield f"deployments reported to its {app.forge.kind}"
    if app.tasks:
        yield f"tasks {' '.join(app.tasks)}"


def _of_environment(environment: Environment) -> Iterator[str]:
    yield f"{environment.directory} on {' '.join(environment.servers)}"
    if environment.default:
        yield "the default"
    health = environment.health
    if health:
        yield f"health by {health.http or health.tcp or health.command or 'Docker'}"
    else:
        yield "no health check"
    if environment.approvals:
        yield f"{environment.approvals} approval{'' if environment.approvals == 1 else 's'} required"
    if environment.rollback_approvals is not None:
        yield f"{environment.rollback_approvals} for a rollback"
    if environment.after:
        yield f"after {environment.after}"
    if environment.auto:
        from deploybot.deployments.auto_targets import auto_text

        yield (
            f"deployed automatically: {auto_text(environment)}"
            if not environment.auto.ask
            else "a card asks automatically"
        )
    if environment.on_failure == "leave":
        yield "a failed release stays"
    if environment.secrets:
        yield f"secrets {' '.join(environment.secrets)}"


def _only_there(app: App, environment: Environment) -> Iterator[str]:
    """Yield what an environment has instead of its app's."""
    there = app.at(environment)
    if there.branch != app.branch:
        yield f"branch {there.branch}"
    if there.keep != app.keep:
        yield f"keeps the last {there.keep} successful releases"
    if there.images != app.images:
        yield f"images {' '.join(f'{service} {of.image}, {of.tag}' for service, of in there.images.items())}"
    if there.compose.files != app.compose.files:
        yield f"Compose files {' '.join(there.compose.files) or 'found by Compose'}"
    if there.compose.profiles != app.compose.profiles:
        yield f"profiles {' '.join(there.compose.profiles) or 'none'}"
    if there.channel != app.channel:
        yield f"channel {' '.join(map(str, there.channel))}"
    if there.tasks != app.tasks:
        yield f"tasks {' '.join(there.tasks)}"


def show(rows: Sequence[Row]) -> None:
    """Print the table: at a terminal in colours and folded to the window, otherwise as plain lines."""
    if not sys.stdout.isatty():
        click.echo("\n".join(plain(rows)))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    colours = {"ok": "green", "failed": "bold red", "skipped": "dim"}
    before = ""
    for row in rows:
        text = Text(row.text)
        if row.state == "failed" and row.fix:
            text.append(f"\n{row.fix}", style="yellow")
        subject = "" if row.subject == before else row.subject
        table.add_row(Text(subject), Text(row.what), Text(row.state, style=colours[row.state]), text)
        before = row.subject
    Console().print(table)


def plain(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table as lines that are the same in each run, with each fix below its failure."""
    widths = [max(len(getattr(row, name)) for row in rows) for name in ("subject", "what", "state")]
    for row in rows:
        cells = zip((row.subject, row.what, row.state), widths, strict=True)
        start = "  ".join(text.ljust(width) for text, width in cells)
        yield f"{start}  {row.text}"
        if row.state == "failed" and row.fix:
            yield f"{' ' * len(start)}  -> {row.fix}"
