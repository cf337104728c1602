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

    Every request, decision and result is a row that contains the hash of the row before it. A changed or removed row
    breaks this chain.
    """


@audit.command(short_help="Check the whole chain.")
@click.option("--head", metavar="NUMBER:HASH", help="A head that you noted earlier. It must still be in the chain.")
@click.option(
    "--against",
    metavar="FILE",
    multiple=True,
    type=_FILE,
    help="A file of exported rows ([audit] in bot.toml), plain or gzipped. More files may follow.",
)
@click.argument("more", metavar="[FILE]...", nargs=-1, type=_FILE)
@click.pass_obj
def verify(options: Options, head: str | None, against: tuple[Path, ...], more: tuple[Path, ...]) -> None:
    """Check the whole chain. The exit code is 1 if a row was changed, removed or cut off.

    With --against, also compare the chain with exported rows. This shows which rows were changed, removed or added
    since, and which rows no file proves. The exit code is 1 if the files contradict the database.

    \b
    Examples:
      deploybot audit verify
      deploybot audit verify --head 120:9f86d081884c7d65…
      deploybot audit verify --against /var/log/deploybot/audit.jsonl*
    """
    if more and not against:
        raise Wrong(f"{more[0]}: give files after --against")
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
        whole = f"Rows 1 to {verdict.broken - 1} are intact. " if verdict.broken > 1 else ""
        raise Failure(
            f"The audit is broken at row {verdict.broken}: {verdict.why}.",
            hint=f"{whole}Copy the data folder, and find out who wrote there.",
        )
    click.echo(f"The audit is intact: {verdict.head.number} rows, head {verdict.head.number}:{verdict.head.hash}")


def _compare(settings: Settings, files: tuple[Path, ...]) -> str:
    """Compare the audit with files and print what was found. Return the result as a sentence, empty if all matches."""
    found = asyncio.run(_against(settings, files))
    for line in (*findings(found), *limits(found)):
        click.echo(line)
    if not found.rows and found.head:
        raise Failure(f"{names(files)} has no row of the audit: is it the right file?")
    if found.contradicted:
        return f"The database does not match the exported rows in {names(files)}."
    click.echo(f"{found.proven:,} of {found.head:,} rows of the database are unchanged in {names(files)}.")
    return ""


@audit.command(short_help="Print all rows as JSON lines.")
@click.pass_obj
def export(options: Options) -> None:
    """Print all rows as JSON lines, oldest first, as `[audit]` writes them. Each has its hash and the previous one.

    \b
    Example:
      deploybot audit export > audit.jsonl
    """
    asyncio.run(_export(options.settings(outside=False)))


@audit.command(short_help="Print the last rows.")
@click.argument("count", type=click.IntRange(1, 100_000), default=20)
@click.pass_obj
def tail(options: Options, count: int) -> None:
    """Print the last rows. COUNT is 20 by default.

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
