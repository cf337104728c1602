"""`deploybot forget-code`: let a person who lost their phone enrol another one."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import click

from deploybot.cli.command_base import Failure, Options, database

if TYPE_CHECKING:
    from deploybot.domain import Person
    from deploybot.ports import Tables
    from deploybot.settings import Settings


@click.command("forget-code", short_help="Let a person who lost their phone enrol another one.")
@click.argument("name")
@click.pass_obj
def forget_code(options: Options, name: str) -> None:
    """Delete the secret of a person's one-time codes, so that they can enrol another phone with `totp`.

    This works only on the bot's machine: in a chat, it would bypass the codes. First make sure that the person
    really asked for it.

    \b
    Example:
      deploybot forget-code ana
    """
    click.echo(asyncio.run(_forget(options.settings(outside=False), name.removeprefix("@").lower())))


async def _forget(settings: Settings, name: str) -> str:
    from deploybot.store.one_time_code_rows import CodeFiles
    from deploybot.wording import meant

    def find(tables: Tables) -> Person:
        person = tables.people.named(name)
        if person is None:
            names = [one.name for one in tables.people.everybody()]
            raise Failure(f'unknown person "{name}"{meant(name, names)}')
        actor = f"console:{os.getuid()} (command line)"
        tables.audit.append(actor=actor, action="totp forgotten", subject=person.name, now=time.time())
        return person

    async with database(settings) as store:
        person = await store.write(find)
        known = await CodeFiles(settings.bot.data / "codes").forget(person.id)
    return f"{name} can enrol another phone now: `totp`." if known else f"{name} had no phone enrolled."
