"""Find commands in the package `commands` and in the folder `plugins` of bot.toml.

Any problem stops the start-up, with the file and the fix. A command that is silently missing or half read would be a
surprise later.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import commands
import deploybot
from deploybot import trusted_files
from deploybot.command import Command
from deploybot.domain import Action
from deploybot.errors import ConfigError
from deploybot.parsing import read_command
from deploybot.policy import OPEN_COMMANDS

PLUGINS = "deploybot_plugins"
"""The package name for modules of plug-ins, so that none can shadow a library."""

_NO_NEEDS = "missing 1 required keyword-only argument: 'needs'"
_SAY_NEEDS = 'a command has no needs: write needs="view", or deploy, approve, admin'


class _BadCommandFile(Exception):
    """The problem of a file, and the fix."""


def load(plugins: Path | None = None) -> dict[str, Command]:
    """Return all commands by name. Raise ConfigError with all problems, each with its file."""
    found: dict[str, Command] = {}
    problems: list[str] = []
    for label, read in (*_built_in(), *_own(plugins)):
        try:
            for command in _commands(read()):
                _check(command, found)
                found[command.name] = replace(command, source=label)
        except _BadCommandFile as wrong:
            problems.append(f"{label}: {wrong}")
    if problems:
        raise ConfigError(tuple(problems))
    return dict(sorted(found.items()))


def _built_in() -> Iterator[tuple[str, Callable[[], ModuleType]]]:
    for module in pkgutil.iter_modules(commands.__path__):
        yield f"commands/{module.name}.py", partial(importlib.import_module, f"commands.{module.name}")


def _own(folder: Path | None) -> Iterator[tuple[str, Callable[[], ModuleType]]]:
    """Yield each file of the folder, except those whose name begins with `_`."""
    if folder is None:
        return
    yield str(folder), partial(_folder, folder)
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith("_"):
            yield str(path), partial(_import, path)


def _folder(path: Path) -> ModuleType:
    """Refuse a folder that is missing or that others may write to."""
    try:
        trusted_files.verify(path)
    except trusted_files.UnsafeFileError as problem:
        raise _BadCommandFile(f"{problem}, or other users can run code as the bot") from None
    except OSError as problem:
        raise _BadCommandFile(f"{problem.strerror}: create the folder, or remove `plugins` from [bot]") from None
    return ModuleType(PLUGINS)


def _source(path: Path) -> bytes:
    """Return a plug-in's source. Raise _BadCommandFile if others may write to it."""
    try:
        return trusted_files.read(path)
    except trusted_files.UnsafeFileError as problem:
        raise _BadCommandFile(f"{problem}, or other users can run code as the bot") from None


def _import(path: Path) -> ModuleType:
    """Run a file as a module from its source only: no compiled copy is read or written."""
    source = _source(path)
    module = ModuleType(f"{PLUGINS}.{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    try:
        tree = ast.parse(source, str(path))
        _check_imports(tree)
        exec(compile(tree, str(path), "exec"), vars(module))  # noqa: S102 - running their code is the purpose of plug-ins
    except _BadCommandFile:
        raise
    except (Exception, SystemExit) as problem:
        del sys.modules[module.__name__]
        raise _BadCommandFile(_why(path, problem)) from problem
    if not _commands(module):
        raise _BadCommandFile("has no command: mark an async function with @command, or start the file's name with _")
    return module


def _why(path: Path, problem: BaseException) -> str:
    """Say why a file can't be imported, and at which line."""
    if _NO_NEEDS in str(problem):
        return _SAY_NEEDS
    if isinstance(problem, SyntaxError):
        return f"cannot be imported (line {problem.lineno}): {problem.msg}"
    frames = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == str(path)]
    where = f" (line {frames[-1]})" if frames else ""
    return f"cannot be imported{where}: {type(problem).__name__}: {problem}"


def _check_imports(tree: ast.Module) -> None:
    """Refuse imports outside the public API: internals may change any day."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name != "deploybot"]
        elif isinstance(node, ast.ImportFrom) and node.module == "deploybot":
            names = [f"deploybot.{alias.name}" for alias in node.names if alias.name not in deploybot.__all__]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        else:
            continue
        if inside := next((name for name in names if f"{name}.".startswith(("deploybot.", "commands."))), None):
            raise _BadCommandFile(
                f"imports {inside} (line {node.lineno}): a command may only import what `deploybot` itself exports"
            )


def _commands(module: ModuleType) -> tuple[Command, ...]:
    """Return the commands that a module itself defines."""
    functions = (value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__)
    marks = (getattr(function, "__command__", None) for function in functions)
    return tuple(mark for mark in marks if isinstance(mark, Command))


def _check(command: Command, found: dict[str, Command]) -> None:
    """Check that a command is usable. Raise _BadCommandFile with the fix."""
    if command.name in found:
        raise _BadCommandFile(
            f"the command `{command.name}` already exists in {found[command.name].source}: choose another name"
        )
    if command.needs is Action.ANYONE and command.name not in OPEN_COMMANDS:
        few = ", ".join(sorted(OPEN_COMMANDS))
        raise _BadCommandFile(
            f'`{command.name}` is open to anyone, which is allowed only for {few}: write needs="view"'
        )
    if not command.help:
        raise _BadCommandFile(f"`{command.name}` has no docstring: write one; `help` shows its first line")
    if stray := next((text for text in command.examples if text.split()[:1] != [command.name]), None):
        raise _BadCommandFile(f"the example `{stray}` does not start with `{command.name}`")
    try:
        read_command(command)
    except ValueError as problem:
        raise _BadCommandFile(f"`{command.name}`: {problem}") from None
