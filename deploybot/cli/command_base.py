"""The base of all subcommands: find bot.toml, and turn an error into a sentence and an exit code."""

from __future__ import annotations

import importlib
import os
import shlex
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from deploybot.errors import ConfigError, DeploybotError, UserError

if TYPE_CHECKING:
    from deploybot.settings import Settings
    from deploybot.store.database import Database

FAILED = 1
WRONG = 2
_PATHS = (Path("bot.toml"), Path("/etc/deploybot/bot.toml"))


@dataclass(frozen=True, slots=True)
class Options:
    """The options before the subcommand."""

    config: Path | None = None

    @property
    def path(self) -> Path:
        """Return the path of bot.toml: the named one, else the first that exists, else the usual path."""
        return self.config or next((path for path in _PATHS if path.exists()), _PATHS[0])

    def settings(self, *, outside: bool = True) -> Settings:
        """Read bot.toml. Without `outside`, do not read secrets and other files. Raises ConfigError."""
        from deploybot.config import load

        return load(self.path, os.environ, outside=outside)


class Failure(click.ClickException):
    """An expected error: a sentence and a hint on stderr, and exit code 1."""

    exit_code = FAILED

    def __init__(self, sentence: str, *, hint: str = "") -> None:
        """Take the two texts that `show` prints."""
        super().__init__(sentence)
        self.hint = hint

    def show(self, file: IO[Any] | None = None) -> None:
        """Print both."""
        for text in filter(None, (self.message, self.hint)):
            click.echo(text, file=file, err=file is None)


class Wrong(Failure):
    """The command line or bot.toml is wrong: exit code 2."""

    exit_code = WRONG


class ErrorReportingGroup(click.Group):
    """A group that reports every expected error in one place, and imports a command when it is used."""

    def __init__(self, *given: Any, modules: Mapping[str, str], **more: Any) -> None:  # noqa: ANN401  click's own
        """Take the commands' names in their order, each with its module in this package."""
        super().__init__(*given, **more)
        self.modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which people need them."""
        del ctx
        return [*self.modules]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name; None for an unknown one."""
        del ctx
        if cmd_name not in self.modules:
            return None
        module = importlib.import_module(f"deploybot.cli.{self.modules[cmd_name]}")
        found: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the subcommand. Raises Wrong for an unknown name, with the closest one."""
        name = args[0]
        if name not in self.modules and not name.startswith("-"):
            raise _no_command(ctx, self.modules, args)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand, and turn its expected errors into a Failure."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise Wrong(problems_text(error)) from error
        except UserError as error:
            raise Failure(error.sentence, hint=error.hint) from error
        except DeploybotError as error:
            raise Failure(str(error), hint=str(getattr(error, "hint", ""))) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError) or not error.filename:
                raise
            raise Failure(f"{error.filename}: {error.strerror}") from error


def _no_command(ctx: click.Context, known: Iterable[str], args: list[str]) -> Wrong:
    """Return the error for an unknown command. For a chat command, show how to run it."""
    from deploybot.command_loader import load
    from deploybot.wording import meant

    if args[0] in load():
        line = shlex.quote(" ".join(args))
        return Wrong(f"`{args[0]}` is a chat command.", hint=f"Run it with: deploybot chat -c {line}")
    near = meant(args[0], known)
    return Wrong(
        f'There is no command "{args[0]}"{near or "."}', hint=f"`{ctx.command_path} --help` lists all commands."
    )


def problems_text(error: ConfigError) -> str:
    """Return all problems of bot.toml, one a line, below their count. A path in front means that it cannot be read."""
    count = len(error.problems)
    if count == 1:
        (problem,) = error.problems
        return problem if problem.startswith("/") else f"bot.toml: {problem}"
    return "\n".join((f"bot.toml has {count} problems:", *(f"  {problem}" for problem in error.problems)))


@asynccontextmanager
async def database(settings: Settings, *, make: bool = False) -> AsyncIterator[Database]:
    """Open the bot's database, also while the bot runs. With `make`, create it if it is missing.

    Raises Failure if it is missing, or if this user would lock the bot out of it.
    """
    from deploybot.config import secrets_of
    from deploybot.masking import Redactor
    from deploybot.store.database import Database
    from deploybot.trusted_files import user_name

    folder = settings.bot.data
    if folder.exists() and (uid := folder.stat().st_uid) != os.geteuid():
        owner = user_name(uid)
        account = f"'#{owner}'" if owner.isdecimal() else owner
        raise Failure(
            f"{folder} belongs to {owner}: a file written there by another user would lock the bot out.",
            hint=f"Run this as {owner}: sudo -u {account} deploybot …",
        )
    path = folder / "deploybot.db"
    if not make and not path.exists():
        raise Failure(f"There is no database at {path} yet.", hint="`deploybot run` or `deploybot allow` creates it.")
    async with Database(path, Redactor(secrets_of(settings))) as store:
        yield store


def write(path: Path, text: str, *, mode: int = 0o640) -> None:
    """Replace a file as a whole or not at all. An existing file keeps its mode and owner. Raises OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if path.exists():
                kept = path.stat()
                mode = kept.st_mode & 0o777
                if (kept.st_uid, kept.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), kept.st_uid, kept.st_gid)
            os.fchmod(file.fileno(), mode)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
