"""`deploybot allow`, `deny` and `rename`: change the allowlist from the shell, also to make the first administrator."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import click

from deploybot.cli.command_base import Failure, Options, database

if TYPE_CHECKING:
    from deploybot.domain import Grant, Identity, Person
    from deploybot.ports import Tables
    from deploybot.settings import Settings

_EVERY = "*"
_ROLES = ("viewer", "deployer", "approver", "admin")


@click.command(short_help="Give a person a role.")
@click.argument("name")
@click.argument("role", type=click.Choice(_ROLES, case_sensitive=False), required=False)
@click.option("--on", "target", metavar="APP[/ENV]", default="", help="Limit the role to this. Default: everything.")
@click.option(
    "--identity",
    metavar="PLATFORM:ID",
    help="The person's account: console:1000, slack:T012/U345, telegram:123456, or github:583231 for pushes there. "
    "Default for a new person: your account on this machine.",
)
@click.option("--for", "lasts", metavar="TIME", default="", help="How long, such as 8h. Default: no end.")
@click.pass_obj
def allow(  # noqa: PLR0917  click gives each option a parameter
    options: Options, name: str, role: str | None, target: str, identity: str | None, lasts: str
) -> None:
    """Give a person a role. A new name creates the person. Without a role, add an account to the person.

    A viewer reads, a deployer deploys and rolls back, an approver approves, an admin does everything. You can run this
    while the bot runs; it sees the change at once.

    \b
    Examples:
      deploybot allow ana admin
      deploybot allow ben deployer --on shop/staging --identity slack:T012AB3/U456CD7
      deploybot allow ana --identity github:583231
    """
    settings = options.settings(outside=False)
    where = _target(target, settings)
    if ":" in name and identity is None:
        identity, name = _as_in_chat(name)
    if role is None and (identity is None or target):
        raise Failure(f"Which role should {name} have?", hint=f"One of {', '.join(_ROLES)}.")
    seconds = _seconds(lasts) if lasts else 0.0
    if seconds and role is None:
        raise Failure("--for needs a role.", hint="Write: deploybot allow NAME ROLE --for 8h")
    click.echo(asyncio.run(_allow(settings, name.removeprefix("@").lower(), role, where, identity, seconds=seconds)))


@click.command(short_help="Take a person's roles away.")
@click.argument("name")
@click.option("--on", "target", metavar="APP[/ENV]", default="", help="Only roles for this. Default: all roles.")
@click.pass_obj
def deny(options: Options, name: str, target: str) -> None:
    """Take a person's roles away, on one target or everywhere. The last administrator cannot be removed.

    Without --on, the person's chat accounts are removed, too.

    \b
    Examples:
      deploybot deny ben
      deploybot deny ben --on shop/production
    """
    settings = options.settings(outside=False)
    app, environment = _target(target, settings) if target else (None, None)
    where = None if environment == _EVERY else environment
    click.echo(asyncio.run(_deny(settings, name.removeprefix("@"), app, where)))


@click.command(short_help="Give a person another name.")
@click.argument("old")
@click.argument("new")
@click.pass_obj
def rename(options: Options, old: str, new: str) -> None:
    """Give a person another name. Roles and accounts stay. Past actions stay recorded under the old name.

    \b
    Example:
      deploybot rename annna ana
    """
    settings = options.settings(outside=False)
    old, new = old.removeprefix("@").lower(), new.removeprefix("@").lower()
    asyncio.run(_rename(settings, old, new))
    click.echo(f"{old} is now called {new}.")
    for app in settings.apps.values():
        for one in app.environments.values():
            if f"@{old}" in one.approvers:
                click.echo(f'Also write "@{new}" in bot.toml: apps.{app.name}.environments.{one.name}.approvers.')


def _as_in_chat(text: str) -> tuple[str, str]:
    """Return the account and the name of `PLATFORM:ID:NAME`, as people write it in chat."""
    platform, _, rest = text.partition(":")
    user, _, name = rest.partition(":")
    if not name:
        raise Failure(f"Whose account is {text}?", hint=f"Write: deploybot allow NAME --identity {text}")
    return f"{platform}:{user}", name


def _seconds(text: str) -> float:
    from deploybot.units import duration

    try:
        return duration(text)
    except ValueError as problem:
        raise Failure(f"--for {text}: should be a time such as 90m or 8h") from problem


def _target(text: str, settings: Settings) -> tuple[str, str]:
    """Return the app and environment of `app/env`, `*` for one that is left out. Raises Failure for unknown ones."""
    from deploybot.wording import listed, meant

    name, _, inner = text.partition("/")
    if name in {"", _EVERY}:
        if inner not in {"", _EVERY}:
            raise Failure(f"--on {text}: an environment belongs to an app", hint="Write APP/ENV.")
        return _EVERY, _EVERY
    app = settings.apps.get(name)
    if app is None:
        raise Failure(f'unknown app "{name}"{meant(name, settings.apps)}', hint=f"Apps: {listed(settings.apps)}.")
    if inner not in {"", _EVERY} and inner not in app.environments:
        near = meant(inner, app.environments)
        raise Failure(f'{name} has no environment "{inner}"{near}', hint=f"It has {listed(app.environments)}.")
    return name, inner or _EVERY


async def _allow(
    settings: Settings, name: str, role: str | None, where: tuple[str, str], identity: str | None, *, seconds: float
) -> str:
    from deploybot.access.account_syntax import Who
    from deploybot.access.grants import Actor, Given, end_text, give
    from deploybot.domain import Role, target_name
    from deploybot.policy import holds

    now = time.time()
    until = now + seconds if seconds else 0.0

    def work(tables: Tables) -> tuple[Person, tuple[Identity, ...], tuple[Grant, ...]]:
        who = Who(_account(tables, name, _identity(identity) if identity else None), name)
        given = Given(
            who=who, role=Role(role.lower()) if role else None, app=where[0], environment=where[1], until=until
        )
        person = give(tables, given, Actor(_actor(), None, now))
        _announce(tables, settings, given.announcement(_actor(), person), where, now)
        return person, tables.people.identities(person.id), tables.people.grants(person.id)

    async with database(settings, make=True) as store:
        person, identities, grants = await store.write(work)
    who = ", ".join(map(_written, identities))
    may = ", ".join(
        f"{grant.role} on {target_name(grant.app, grant.environment)}{end_text(grant.until)}"
        for grant in grants
        if holds(grant, now)
    )
    return f"{person.name} ({who}) is {may}." if may else f"{person.name} ({who}) has no role yet."


def _announce(
    tables: Tables,
    settings: Settings,
    text: str,
    where: tuple[str, str],
    now: float,
    *,
    admins: frozenset[int] = frozenset(),
) -> None:
    from deploybot.access.grant_announcements import GrantAnnouncer
    from deploybot.chat.card_channels import event_channels

    announcer = GrantAnnouncer(settings, event_channels(settings))
    announcer.announce(tables, text, app=where[0], environment=where[1], now=now, admins=admins)


def _account(tables: Tables, name: str, wanted: Identity | None) -> Identity | None:
    """Return the wanted account; for a new person without one, the account of the person at this terminal."""
    from deploybot.domain import Identity

    if wanted is not None or tables.people.named(name) is not None:
        return wanted
    here = Identity("console", str(os.getuid()))
    holder = tables.people.of(here)
    if holder:
        raise Failure(
            f"Your console account already belongs to {holder.name}.",
            hint=f"Give an account of {name}: --identity console:UID, slack:TEAM/USER or telegram:NUMBER.",
        )
    return here


async def _deny(settings: Settings, name: str, app: str | None, environment: str | None) -> str:
    from deploybot.access.grant_announcements import GrantAnnouncer
    from deploybot.access.grants import Actor, take
    from deploybot.domain import target_name

    where, now = (app or _EVERY, environment or _EVERY), time.time()

    def work(tables: Tables) -> tuple[int, bool]:
        person = _named(tables, name)
        admins = GrantAnnouncer(settings).admins(tables, *where, now)
        taken = take(tables, person, app, environment, Actor(_actor(), None, now))
        text = f"{_actor()} took {_roles(taken.grants)} from {person.name} on {target_name(*where)}."
        if taken.grants or taken.accounts:
            _announce(tables, settings, text, where, now, admins=admins)
        return taken.grants, bool(taken.accounts)

    async with database(settings) as store:
        gone, detached = await store.write(work)
    accounts = " and all chat accounts" if detached else ""
    return f"{name} lost {_roles(gone)}{accounts}." if gone or detached else f"{name} had no such role."


def _roles(count: int) -> str:
    return f"{count} role{'' if count == 1 else 's'}"


async def _rename(settings: Settings, old: str, new: str) -> None:
    def work(tables: Tables) -> None:
        person = _named(tables, old)
        tables.people.rename(person.id, new)
        tables.audit.append(actor=_actor(), action="rename", subject=old, detail=f"is {new} now", now=time.time())

    async with database(settings) as store:
        await store.write(work)


def _named(tables: Tables, name: str) -> Person:
    from deploybot.wording import meant

    person = tables.people.named(name)
    if person is None:
        names = [one.name for one in tables.people.everybody()]
        raise Failure(f'unknown person "{name}"{meant(name, names)}')
    return person


def _identity(text: str) -> Identity:
    from deploybot.access import read_who

    identity = read_who(text).identity
    if identity is None:
        raise Failure(f"--identity {text}: should be PLATFORM:ID", hint="For example console:1000 or slack:T012/U345.")
    return identity


def _written(identity: Identity) -> str:
    from deploybot.access import identity_text

    return identity_text(identity)


def _actor() -> str:
    """Return the actor for the audit: the user id of this process, which the kernel guarantees."""
    return f"console:{os.getuid()} (command line)"
