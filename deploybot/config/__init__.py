"""Load bot.toml into `Settings`: parse it, report all mistakes at once, and read its secrets.

`load` is the entry point, and `settings_from` the same for a file that is parsed already. The modules: `whole_settings`
(the model, with the tables of all parts), `config_tables` (which table has which keys), `old_forms` (what earlier
versions wrote differently), `validation_text` (pydantic's errors as plain sentences), `partial_parse` (reads what it
can of a file with mistakes, so the rest is checked too), `cross_checks` (rules about several keys), `referenced_files`
(secrets and files), `secret_strength` (which secrets are refused).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from deploybot import trusted_files
from deploybot.config.config_errors import Problem, Table, in_order
from deploybot.config.config_tables import within
from deploybot.config.cross_checks import check
from deploybot.config.old_forms import renew
from deploybot.config.partial_parse import draft
from deploybot.config.referenced_files import fetch, named_files
from deploybot.config.validation_text import explain, inline_secrets
from deploybot.config.whole_settings import whole_settings
from deploybot.errors import ConfigError
from deploybot.masking import Redactor
from deploybot.settings import App, Secret, Settings

__all__ = ["load", "named_files", "secrets_of", "settings_from"]

_LARGEST = 16_000_000
_WORDS = {
    "Cannot overwrite a value": "this key is defined twice",
    "Invalid value": "invalid value; text must be in quotes",
}
"""tomllib's messages in plain words."""
_TWICE = re.compile(r"Cannot declare \((.*)\) twice", re.DOTALL)
_AT = re.compile(r"(.*) \(at (.*)\)", re.DOTALL)


def load(path: Path, environ: Mapping[str, str], *, outside: bool = True) -> Settings:
    """Read bot.toml and its secrets from `environ` and from files, and return the complete settings.

    With `outside` False, no secret and no other file is read; that is enough for names and the data folder. Relative
    paths in the file are relative to its folder. Raises ConfigError with every problem in the order of the file, each
    as `dotted.path: what is wrong`. No problem contains a secret value.
    """
    path = path.absolute()
    return settings_from(_parse(path), path, environ, outside=outside)


def settings_from(tree: Table, path: Path, environ: Mapping[str, str], *, outside: bool = True) -> Settings:
    """Return the settings of a parsed bot.toml, as `load` does. `tree` is changed; `path` is where the file is."""
    problems = _label(tree)
    hints, outdated = renew(tree)
    problems += outdated
    context = {"base": str(path.parent)}
    try:
        settings = whole_settings().model_validate(tree, context=context)
    except ValidationError as error:
        problems += explain(error, tree)
        settings = draft(whole_settings(), tree, context)
    wrong = [problem.path for problem in problems]
    problems += [found for found in (*check(settings), *inline_secrets(tree)) if not _follows(found, wrong)]
    if outside:
        problems += fetch(settings, environ)
    if problems:
        mask = Redactor(secrets_of(settings)).text
        raise ConfigError(tuple(dict.fromkeys(mask(str(problem)) for problem in in_order(problems, tree))))
    apps = {name: _inherit(app) for name, app in settings.apps.items()}
    return settings.model_copy(update={"apps": apps, "path": path, "hints": tuple(map(str, hints))})


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return the values of all secrets, for the Redactor."""
    held = (part.reveal() for _, part in within(settings) if isinstance(part, Secret))
    return tuple(dict.fromkeys(value for value in held if value))


def _parse(path: Path) -> Table:
    try:
        text = trusted_files.read(path, largest=_LARGEST).decode("utf-8-sig")
        if tree := tomllib.loads(text):
            return tree
        raise ConfigError((f"{path}: the file is empty; `deploybot init --force` writes a new one",))
    except FileNotFoundError:
        raise ConfigError((f"{path}: no such file; `deploybot init` writes one",)) from None
    except OSError as error:
        raise ConfigError((f"{path}: cannot be read: {error.strerror}",)) from None
    except trusted_files.UnsafeFileError as error:
        raise ConfigError((f"{path}: {error}",)) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError((f"{path}: line {line}: is not UTF-8 text",)) from None
    except tomllib.TOMLDecodeError as error:
        match = _AT.fullmatch(str(error))
        what, where = (match[1], match[2]) if match else (str(error), "the file")
        raise ConfigError((f"{path}: {where}: not valid TOML: {_plain(what)}",)) from None


def _plain(what: str) -> str:
    """Return tomllib's message in plain words."""
    if twice := _TWICE.fullmatch(what):
        keys = re.findall(r"'([^']*)'", twice[1])
        return f"[{'.'.join(keys)}] is defined twice"
    return _WORDS.get(what) or f"{what[:1].lower()}{what[1:]}"


def _label(tree: Table) -> list[Problem]:
    """Add the names to servers, apps and environments. A `name` in the file itself is an unknown key."""
    problems: list[Problem] = []

    def label(path: tuple[str, ...], tables: object, **more: str) -> None:
        for name, table in tables.items() if isinstance(tables, dict) else ():
            if isinstance(table, dict):
                labels = {"name": name, **more}
                problems.extend(
                    Problem((*path, name, key), "unknown key; the name belongs in the table's heading")
                    for key in labels.keys() & table.keys()
                )
                table.update(labels)
                if path == ("apps",):
                    label((*path, name, "environments"), table.get("environments"), app=name)

    label(("servers",), tree.get("servers"))
    label(("apps",), tree.get("apps"))
    problems += [Problem((key,), "unknown key") for key in sorted(Settings.filled) if tree.pop(key, None) is not None]
    return problems


def _follows(found: Problem, wrong: list[tuple[str | int, ...]]) -> bool:
    """Return whether a problem may be the consequence of a reported one at the same path or below."""
    return any(path[: len(found.path)] == found.path for path in wrong)


def _inherit(app: App) -> App:
    """Return the app with its own values filled in where its environments leave them out."""
    environments = {
        name: environment.model_copy(
            update={
                "directory": environment.directory or app.directory,
                "health": environment.health or app.health,
                "env": {**app.env, **environment.env},
                "secrets": {**app.secrets, **environment.secrets},
            }
        )
        for name, environment in app.environments.items()
    }
    return app.model_copy(update={"environments": environments})
