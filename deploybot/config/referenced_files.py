"""What bot.toml refers to: secrets in the environment and in files, keys, folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ParamSpec

from deploybot import trusted_files
from deploybot.config.config_errors import Path as Where
from deploybot.config.config_errors import Problem
from deploybot.config.config_tables import within
from deploybot.config.secret_strength import guessable, usable
from deploybot.settings import BotSettings, DockerTls, FileRef, Secret, Settings

_PUBLIC = frozenset({"certificate", "gpg"})
_ANY_CHARACTERS = frozenset({"passphrase", "password"})

P = ParamSpec("P")


def fetch(settings: Settings, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Fill all secrets and check all files. Yield a problem for each that is missing or must not be used."""
    for path, part in within(settings):
        match part:
            case Secret(env=str(name), file=None):
                yield from _try(
                    path,
                    _fill_from_variable,
                    part,
                    name,
                    environ,
                    one_line=_is_one_line(path),
                    deployed=_is_deployed(path),
                )
            case Secret(env=None, file=Path() as file):
                yield from _try(path, _fill_from_file, part, file, one_line=_is_one_line(path))
            case BotSettings(plugins=Path() as folder) if not folder.is_dir():
                yield Problem((*path, "plugins"), f"folder not found: {folder}")
    for path, file, private in _keys(settings):
        yield from _try(path, _content, file, private=private)
    yield from guessable(settings)


def named_files(settings: Settings) -> Iterator[tuple[Path, bool]]:
    """Yield all files that bot.toml names, itself first, and whether each must be unreadable for others."""
    if settings.path:
        yield settings.path, False
    for _, part in within(settings):
        if isinstance(part, Secret) and part.file:
            yield part.file, True
    for _, file, private in _keys(settings):
        yield file, private


def _keys(settings: Settings) -> Iterator[tuple[Where, Path, bool]]:
    """Yield keys and certificates: where bot.toml names them, and whether each is private.

    A table with mistakes is reported elsewhere: what it lacks is no path here.
    """
    for path, part in within(settings):
        found: tuple[tuple[Where, object, bool], ...] = ()
        if isinstance(part, FileRef):
            found = ((path, getattr(part, "file", None), path[-1] not in _PUBLIC),)
        elif isinstance(part, DockerTls):
            found = tuple(((*path, key), getattr(part, key, None), key == "key") for key in ("ca", "cert", "key"))
        yield from ((where, file, private) for where, file, private in found if isinstance(file, Path))


def _try(path: Where, look: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Iterator[Problem]:
    try:
        look(*args, **kwargs)
    except ValueError as error:
        yield Problem(path, str(error))


def _is_deployed(path: Where) -> bool:
    """Return whether a secret goes to servers, `apps.A.secrets.X`. The bot uses all others itself."""
    return path[0] == "apps" and path[-2] == "secrets"


def _is_one_line(path: Where) -> bool:
    """Return whether the bot sends a secret in headers or URLs, or compares it with what a header holds."""
    return not _is_deployed(path) and path[-1] not in _ANY_CHARACTERS


def _fill_from_variable(
    secret: Secret, name: str, environ: Mapping[str, str], *, one_line: bool, deployed: bool
) -> None:
    if name not in environ:
        raise ValueError(f"the variable {name} is not set; set it where the bot is started")
    # What is deployed stays as it is: a changed value would restart services.
    value = environ[name] if deployed else environ[name].rstrip("\r\n")
    secret.fill(usable(value, f"the variable {name}", one_line=one_line))


def _fill_from_file(secret: Secret, file: Path, *, one_line: bool) -> None:
    value = _content(file, private=True).rstrip("\r\n")
    secret.fill(usable(value, f"the file {file}", one_line=one_line))


def _content(file: Path, *, private: bool) -> str:
    """Return a file's text. Raises ValueError with problem and fix. Others must not be able to read a private file."""
    try:
        return trusted_files.read(file, private=private).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not UTF-8 text: is it the right file?") from None
    except FileNotFoundError:
        raise ValueError(f"file not found: {file}") from None
    except OSError as error:
        raise ValueError(f"{file} cannot be read by the user the bot runs as: {error.strerror}") from None
