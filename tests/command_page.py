"""docs/commands.md, made from the commands: `python -m tests.command_page` writes it anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from commands.help import GROUPS
from deploybot.command import Command
from deploybot.command_loader import load

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"

_INTRODUCTION = """\
# Commands

This page is made from the files in `commands/`; the bot says the same with `help` and `help COMMAND`.

At the console a command is typed as it stands here (`deploy shop`); a `/` or `@deploybot` before it is understood,
too, as the chats to come will have it.

- What stands in `[ ]` may be left out, and such parts may stand in any order. Words stand for themselves, `<names>`
  for what you fill in.
- `@` comes before a ref, because names of branches hold `/`. `:current` and `:previous` are refs, and `#41` is what
  deployment 41 deployed. Several servers are parted by commas: `production/web1,web2`.
- Every command takes `because` and a reason at its end; whatever follows is the reason. To search for the word itself,
  put it in quotes: `logs shop grep "because"`.
- Text with blanks in it is put in quotes. Curly quotes, and the long dash that a phone makes of `--`, are understood.
  So are code marks, bold, links around a ref, and a full stop at the end.
- Where no environment is named, the app's only one is meant, or the one marked `default` in bot.toml. Otherwise you
  are asked which, with a button for each.
- A bare command asks for what it lacks, one thing at a time: `deploy` offers the apps you may see, then the
  environments, then the newest refs; `rollback` the last good releases. What there is only one of is taken.
  `deploy shop ?` asks for the rest. Nothing runs before the last answer.
- A word that does not fit is never guessed at: you get what was probably meant as a button, and nothing runs.

Who may do what is in [roles.md](roles.md); how to add a command of your own in [own-commands.md](own-commands.md).
"""


def page(commands: Iterable[Command]) -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_groups(tuple(commands))])


def _groups(commands: tuple[Command, ...]) -> Iterator[str]:
    for needs, (title, who) in GROUPS.items():
        members = [made for made in commands if made.needs == needs]
        if members:
            yield f"## {title}: for {who}\n"
        for made in members:
            yield from _command(made)


def _command(made: Command) -> Iterator[str]:
    yield f"### {made.name}\n"
    yield f"```\n{made.usage}\n```\n"
    for paragraph in made.help.split("\n\n"):
        yield " ".join(paragraph.split()) + "\n"
    yield "For example:\n"
    yield "```\n{}\n```\n".format("\n".join(made.examples))


if __name__ == "__main__":
    PAGE.write_text(page(load().values()))
