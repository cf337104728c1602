"""Send packaged scripts and values to a server's shell as stdin, all quoted by one function."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from deploybot.domain.registry_access import LOGINS
from deploybot.errors import UserError

READ = "exec sh -s deploybot"
"""Run a program from stdin. The last word proves to it that the login shell ran exactly this command."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SCRIPT = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_KEPT_BY_SHELLS = frozenset({"BASHOPTS", "BASH_VERSINFO", "EUID", "OPTIND", "PPID", "SHELLOPTS", "UID"})
_FOLDERS = ("deploybot.strategies", "scripts"), ("deploybot.ssh", "")


@dataclass(frozen=True, slots=True)
class Input:
    """The stdin of a runner command, and the SHA-256 of the script in it."""

    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class ShellRunner:
    """This bot's version of the runner. `installer` is the script that `sh` on a server reads to install it."""

    file: str
    installer: bytes

    def command(self, verb: str, *words: str | int) -> str:
        """Return the command line of a runner command. It contains only ids and numbers."""
        return " ".join(("exec sh", self.file, verb, *map(str, words)))


def quote(text: str) -> str:
    """Quote any text as one word of a POSIX shell (POSIX.1-2017, XCU 2.2.2). Raises ValueError for NUL."""
    if "\0" in text:
        raise ValueError("no shell can hold a NUL")
    return "'" + text.replace("'", "'\\''") + "'"


def script(name: str) -> str:
    """Return a packaged script's text by its name without `.sh`. Raises KeyError if there is none."""
    if not _SCRIPT.fullmatch(name):
        raise KeyError(name)
    return _text(name)


def program(name: str, env: Mapping[str, str]) -> bytes:
    """Return a packaged script preceded by its values, for an `sh` that reads commands from stdin."""
    return _bytes(_environment(env) + script(name))


def frame(text: str, env: Mapping[str, str]) -> Input:
    """Return a script's text and its values in the format that the runner reads.

    Raises UserError for a value that no environment can hold; the message names the value without showing it.
    """
    data = f"bot_script={quote(text)}\nbot_environment={quote(_environment(env))}\n#end"
    return Input(_bytes(data), hashlib.sha256(_bytes(text)).hexdigest())


@functools.cache
def runner() -> ShellRunner:
    """Return the runner. Its file name contains a hash of its content."""
    text = script("runner")
    sum_ = hashlib.sha256(text.encode()).hexdigest()
    installer = f"bot_text={quote(text)}\nbot_sha256={sum_}\n{script('ready')}"
    return ShellRunner(f"~/.deploybot/runner-{sum_[:12]}.sh", installer.encode())


def _environment(env: Mapping[str, str]) -> str:
    """Return the code that sets the values and makes every script use the same Docker, with the logins among them."""
    text = _exports({name: value for name, value in env.items() if name != LOGINS}) + script("docker_way")
    if not env.get(LOGINS):
        return text
    return f"{text}bot_logins={_value(LOGINS, env[LOGINS])}\n{script('docker_login')}"


@functools.cache
def _text(name: str) -> str:
    for package, folder in _FOLDERS:
        file = files(package).joinpath(folder, f"{name}.sh") if folder else files(package).joinpath(f"{name}.sh")
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise KeyError(name)


def _exports(env: Mapping[str, str]) -> str:
    return "".join(f"{_name(name)}={_value(name, value)}\nexport {name}\n" for name, value in env.items())


def _name(name: str) -> str:
    if not _NAME.fullmatch(name) or name in _KEPT_BY_SHELLS:
        raise UserError(f"{name!r} cannot be the name of a variable in a server's shell.", hint="Choose another name.")
    return name


def _value(name: str, value: str) -> str:
    try:
        _bytes(value)
        return quote(value)
    except UnicodeEncodeError as problem:
        raise UserError(
            f"The value of {name} contains half of a surrogate pair, which is not a character."
        ) from problem
    except ValueError as problem:
        raise UserError(
            f"The value of {name} contains a NUL byte, which is not allowed in environment variables."
        ) from problem


def _bytes(text: str) -> bytes:
    """Encode as UTF-8. Bytes that were not UTF-8 when the bot read them are sent unchanged."""
    return text.encode("utf-8", "surrogateescape")
