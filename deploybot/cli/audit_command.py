"""`deploybot audit verify`, `export` and `tail`: the append-only record of who did what."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploybot.cli.audit_words import findings, limits, names, row_line
from deploybot.cli.command_base import Failure, Options, Wrong, database

if TYPE_CHECKING:
    from deploybot.domain import AuditRow
    from deploybot.ports import Tables
    from deploybot.settings import Settings
    from deploybot.store.audit_chain import ChainVerdict, Head
    from deploybot.store.audit_comparison import Comparison

_PAGE = 1000
_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.group(short_help="Check and read the record of who did what.")
def audit() -> None:
    """Check and read the record of who did what.

    Every request, decision and result is a row that holds the hash of the row before it. Nothing in it can be
    changed or left out without the rows after it telling.
    """


@audit.command(short_help="Check the whole chain.")
@click.option("--head", metavar="NUMBER:HASH", help="A head that was posted or noted earlier; it must still be there.")
@click.option(
    "--against",
    metavar="FILE",
    multiple=True,
    type=_FILE,
    help="A file of rows that left the machine ([audit] in bot.toml); also gzipped, and several.",
)
@click.argument("more", metavar="[FILE]...", nargs=-1, type=_FILE)
@click.pass_obj
def verify(options: Options, head: str | None, against: tuple[Path, ...], more: tuple[Path, ...]) -> None:
    """Check the whole chain. The exit code is 1 when anything was changed, taken out or cut off.

    With --against, also compare it with rows that left the machine: it says which rows were changed, removed or added
    since, and which rows no file proves. The exit code is 1 when the files contradict the database.

    \b
    Examples:
      deploybot audit verify
      deploybot audit verify --head 120:9f86d081884c7d65…
      deploybot audit verify --against /var/log/deploybot/audit.jsonl*
    """
    if more and not against:
        raise Wrong(f"{more[0]}: files are given behind --against")
    settings, files = options.settings(outside=False), (*against, *more)
    verdict = asyncio.run(_verify(settings, head))
    contradiction = _compare(settings, files) if files else ""
    if contradiction:
        broken = (
            "" if verdict.ok else f" And the chain in the database is broken at row {verdict.broken}: {verdict.why}."
        )
        hint = "Copy the data folder and the files, and find out who wrote there."
        raise Failure(f"{contradiction}{broken}", hint=hint)
    if not verdict.ok:
        whole = f"Rows 1 to {verdict.broken - 1} are whole. " if verdict.broken > 1 else ""
        raise Failure(
            f"The audit is broken at row {verdict.broken}: {verdict.why}.",
            hint=f"{whole}Copy the data folder, and find out who wrote there.",
        )
    click.echo(f"The audit is whole: {verdict.head.number} rows, head {verdict.head.number}:{verdict.head.hash}")


def _compare(settings: Settings, files: tuple[Path, ...]) -> str:
    """Compare the audit with files, and print what was found; what it means in one sentence, empty if all fits."""
    found = asyncio.run(_against(settings, files))
    for line in (*findings(found), *limits(found)):
        click.echo(line)
    if not found.rows and found.head:
        raise Failure(f"{names(files)} has no row of the audit: is it the right file?")
    if found.contradicted:
        return f"The database is not what left the machine: {names(files)} contradicts it."
    click.echo(f"{found.proven:,} of {found.head:,} rows are in {names(files)} as they are in the database.")
    return ""


@audit.command(short_help="Print all rows as JSON lines.")
@click.pass_obj
def export(options: Options) -> None:
    """Print all rows, oldest first, each a line of JSON with its hash and the one before, as `[audit]` writes them.

    \b
    Example:
      deploybot audit export > audit.jsonl
    """
    asyncio.run(_export(options.settings(outside=False)))


@audit.command(short_help="Print the last rows.")
@click.argument("count", type=click.IntRange(1, 100_000), default=20)
@click.pass_obj
def tail(options: Options, count: int) -> None:
    """Print the last rows, 20 or as many as you say.

    \b
    Example:
      deploybot audit tail 50
    """
    for row in asyncio.run(_tail(options.settings(outside=False), count)):
        click.echo(row_line(row))


async def _verify(settings: Settings, head: str | None) -> ChainVerdict:
    from deploybot.store.audit_chain import HeadFile, verify

    recorded = HeadFile(settings.bot.data / "audit.head").read()
    async with database(settings) as store:
        verdict = await verify(store, recorded)
        if head and verdict.ok:
            verdict = await verify(store, _head(head))
    return verdict


async def _against(settings: Settings, files: tuple[Path, ...]) -> Comparison:
    from deploybot.store.audit_comparison import Comparer
    from deploybot.store.exported_audit import read

    async with database(settings) as store:
        comparer = Comparer(store)
        for file in files:
            for line in read(file):
                await comparer.add(line)
        return await comparer.found()


def _head(text: str) -> Head:
    from deploybot.store.audit_chain import Head

    number, _, digest = text.partition(":")
    if not number.isdecimal() or not digest:
        raise Failure(f"--head {text}: should be NUMBER:HASH, as `deploybot audit verify` prints it")
    return Head(int(number), digest)


async def _export(settings: Settings) -> None:
    after = 0
    async with database(settings) as store:
        while rows := await store.read(partial(_page, after=after)):
            for row in rows:
                click.echo(row.line())
            after = rows[-1].number


def _page(tables: Tables, after: int) -> tuple[AuditRow, ...]:
    return tables.audit.page(after, _PAGE)


async def _tail(settings: Settings, count: int) -> tuple[AuditRow, ...]:
    async with database(settings) as store:
        return await store.read(lambda tables: tables.audit.tail(count))
