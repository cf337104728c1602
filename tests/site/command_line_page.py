"""docs/reference/command-line.md: every subcommand of `deploybot` with its arguments and options, from click."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator

import click

from deploybot.cli import main
from deploybot.demo import demo_command as demo
from tests.site.blocks import code, table

_INTRODUCTION = """\
# Command line

This page is made from the code. `deploybot COMMAND --help` prints the same. Commands of the chat, such as `deploy`, are
on [another page](../commands.md), and so are the [exit codes](exit-codes.md).
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join((_INTRODUCTION, *_command("deploybot", main), *_subcommands("deploybot", main)))


def commands(name: str = "deploybot", group: click.Group = main) -> Iterator[tuple[str, click.Command]]:
    """Yield every subcommand by its whole name, such as `deploybot audit tail`, each group before its commands."""
    context = click.Context(group, **group.context_settings)
    for word in group.list_commands(context):
        found = group.get_command(context, word)
        assert found
        # `deploybot demo` passes everything on to a command of its own.
        one = demo._demo if word == "demo" else found
        yield f"{name} {word}", one
        if isinstance(one, click.Group):
            yield from commands(f"{name} {word}", one)


def _subcommands(name: str, group: click.Group) -> Iterator[str]:
    for whole, command in commands(name, group):
        yield from _command(whole, command)


def _command(name: str, command: click.Command) -> Iterator[str]:
    # With its own settings: a command keeps the help option of its first context.
    context = click.Context(command, info_name=name, **command.context_settings)
    yield f"## {name}\n"
    yield code(f"{name} {' '.join(command.collect_usage_pieces(context))}".replace("[OPTIONS]", "[options]"))
    yield from _help(command.help or "")
    rows = [_option(one) for one in command.params if isinstance(one, click.Option) and not one.hidden]
    if rows:
        yield table(("option", "meaning"), rows)


def _help(text: str) -> Iterator[str]:
    """Yield the paragraphs. One that begins with \\b is a title and lines that stay as they are."""
    for block in inspect.cleandoc(text).split("\n\n"):
        if block.startswith("\b\n"):
            title, _, lines = block.removeprefix("\b\n").partition("\n")
            yield f"{title}\n"
            yield code(textwrap.dedent(lines))
        else:
            yield " ".join(block.split()).replace("<", "&lt;") + "\n"


def _option(option: click.Option) -> tuple[str, str]:
    written = ", ".join((*option.opts, *option.secondary_opts))
    if isinstance(option.type, click.Choice):
        value = f" {', '.join(map(str, option.type.choices))}"
    elif option.is_flag:
        value = ""
    else:
        value = f" {option.metavar or option.type.name.upper()}"
    return f"`{written}{value}`", option.help or ""
