"""Explain the commands: `help`, `help deploy`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from deploybot import Card, Command, Context, Line, UserError, command

GROUPS = {
    "view": ("Look", "viewers and up"),
    "deploy": ("Deploy", "deployers and up"),
    "approve": ("Approve", "approvers and up"),
    "admin": ("Manage access", "admins"),
    "anyone": ("Help and your account", "everybody"),
}


@command("help [<topic>]", needs="anyone", examples=("help", "help deploy"))
async def show_help(ctx: Context, topic: str = "") -> Card:
    """Explain the commands, or one of them."""
    commands = ctx.services.commands
    if not topic:
        return overview(commands.values())
    name = topic.removeprefix("/").lower()
    if name not in commands:
        near = difflib.get_close_matches(name, commands, n=1)
        guess = f", did you mean `{near[0]}`?" if near else "."
        raise UserError(f"There is no command `{topic[:40]}`{guess}", hint="`help` lists what I can do.")
    return page(commands[name])


def overview(commands: Iterable[Command]) -> Card:
    """All commands, grouped by who may use them."""
    return Card(
        title="What I can do",
        lines=tuple(listed(tuple(commands))),
        text="Parts in [ ] are optional. Every command takes `because` and a reason at its end.",
        hint="`help COMMAND` shows more, with examples.",
    )


def listed(commands: tuple[Command, ...]) -> Iterator[Line]:
    """A heading and a line a command, for each group that has any."""
    for needs, (title, who) in GROUPS.items():
        members = [made for made in commands if made.needs == needs]
        if members:
            yield Line(title.upper(), f"for {who}")
        for made in members:
            yield Line(made.usage, made.help.splitlines()[0])


def page(made: Command) -> Card:
    """One command: usage, meaning, examples, who may."""
    return Card(
        title=made.usage,
        text="\n\n".join(" ".join(paragraph.split()) for paragraph in made.help.split("\n\n")),
        code=made.examples,
        footer=f"For {GROUPS[made.needs][1]}.",
    )
