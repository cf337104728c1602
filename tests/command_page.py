"""docs/commands.md, made from the commands: `python -m tests.command_page` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from commands.help import GROUPS
from deploybot.command import Command
from deploybot.command_loader import load

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"

_INTRODUCTION = """\
# Commands

This page lists every chat command. `help` and `help COMMAND` show the same in a chat. The page is generated from the
files in `commands/`.

At the console, type a command as it is written here (`deploy shop`). You can also put a `/` or `@deploybot` before
it, as in the other chats.

- Parts in `[ ]` are optional, and you can type them in any order. Type plain words as they are, and replace `<names>`
  with your values.
- `@` comes before a ref, because branch names may contain `/`. `:current` and `:previous` are refs, and `#41` is what
  deployment 41 deployed. Separate several servers by commas: `production/web1,web2`.
- Every command accepts `because` and a reason at its end. Everything after `because` is the reason. To search for the
  word itself, put it in quotes: `logs shop grep "because"`.
- Put text that contains spaces in quotes. The bot accepts curly quotes, and the long dash that a phone makes of `--`.
  It also accepts code marks, bold text, links around a ref, and a full stop at the end.
- An environment may come after `to`, `from`, `in` or `on`, or alone: `deploy shop production`, `logs shop in staging`.
  `rollback shop to staging` means the environment if the app has one of that name; `rollback shop from staging to v1`
  has both. The only app may be left out: `deploy to production`, `logs follow`.
- Without an environment, the bot uses the app's only one, or the one marked `default` in bot.toml. Otherwise it asks
  you, with a button for each.
- A bare command asks for what is missing, one thing at a time. `deploy` offers the apps that you may see, then the
  environments, then the newest refs. `reject` offers the requests that wait for you. If there is only one app or
  environment, the bot takes it. `deploy shop ?` asks for the rest. Slack and Telegram also ask for a missing reason.
  Nothing runs before the last answer.
- `rollback` and `rollback shop` show the last five good releases: when each ran, who requested it, which commits you
  would lose, which files of `warn_paths` (such as migrations) differ, and which servers still have it. A button shows
  the plan, and the plan's button rolls back. Where approvals are needed, each release says how many.
  What you type fully does not ask: `rollback shop from production` goes back to what ran before. A script cannot be
  asked, so `rollback shop` does not ask there, either.
- The bot never guesses. If a word does not fit, you get a button with what you probably meant, and nothing runs.

See [roles.md](roles.md) for who may use which command, and [own-commands.md](own-commands.md) to add your own.
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
