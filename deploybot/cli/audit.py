"""`deploybot audit verify`, `export` and `tail`: the append-only record of who did what."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from functools import partial
from typing import TYPE_CHECKING

import click

from deploybot.cli.common import Failure, Options, database

if TYPE_CHECKING:
    from deploybot.domain import AuditRow
    from deploybot.ports import Tables
    from deploybot.settings import Settings
    from deploybot.store.chain import Head, Verdict

_PAGE = 1000


@click.group(short_help="Check and read the record of who did what.")
def audit() -> None:
    """Check and read the record of who did what.

    Every request, decision and result is a row that holds the hash of the row before it. Nothing in it can be
    changed or left out without the rows after it telling.
    """


@audit.command(short_help="Check the whole chain.")
@click.option("--head", metavar="NUMBER:HASH", help="A head that was posted or noted earlier; it must still be there.")
@click.pass_obj
def verify(options: Options, head: str | None) -> None:
    """Check the whole chain. The exit code is 1 when anything was changed, taken out or cut off.

    \b
    Examples:
      deploybot audit verify
      deploybot audit verify --head 120:9f86d081884c7d65…
    """
    settings = options.settings(outside=False)
    verdict = asyncio.run(_verify(settings, head))
    if not verdict.ok:
        whole = f"Rows 1 to {verdict.broken - 1} are whole. " if verdict.broken > 1 else ""
        raise Failure(
            f"The audit is broken at row {verdict.broken}: {verdict.why}.",
            hint=f"{whole}Copy the data folder, and find out who wrote there.",
        )
    click.echo(f"The audit is whole: {verdict.head.number} rows, head {verdict.head.number}:{verdict.head.hash}")


@audit.command(short_help="Print all rows as JSON lines.")
@click.pass_obj
def export(options: Options) -> None:
    """Print all rows, oldest first, each a line of JSON with its hash and the one before.

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
        click.echo(_line(row))


async def _verify(settings: Settings, head: str | None) -> Verdict:
    from deploybot.store.chain import HeadFile, verify

    recorded = HeadFile(settings.bot.data / "audit.head").read()
    async with database(settings) as store:
        verdict = await verify(store, recorded)
        if head and verdict.ok:
            verdict = await verify(store, _head(head))
    return verdict


def _head(text: str) -> Head:
    from deploybot.store.chain import Head

    number, _, digest = text.partition(":")
    if not number.isdecimal() or not digest:
        raise Failure(f"--head {text}: should be NUMBER:HASH, as `deploybot audit verify` prints it")
    return Head(int(number), digest)


async def _export(settings: Settings) -> None:
    after = 0
    async with database(settings) as store:
        while rows := await store.read(partial(_page, after=after)):
            for row in rows:
                click.echo(json.dumps(dataclasses.asdict(row), ensure_ascii=False))
            after = rows[-1].number


def _page(tables: Tables, after: int) -> tuple[AuditRow, ...]:
    return tables.audit.page(after, _PAGE)


async def _tail(settings: Settings, count: int) -> tuple[AuditRow, ...]:
    async with database(settings) as store:
        return await store.read(lambda tables: tables.audit.tail(count))


def _line(row: AuditRow) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row.at))
    detail = f": {row.detail}" if row.detail else ""
    line = f"{row.number:>6}  {at} UTC  {row.actor}  {row.action}  {row.subject}{detail}"
    return "".join(character if character.isprintable() else " " for character in line)
