"""A server that says something else than its runner: what sshd runs in place of every command."""

from __future__ import annotations

from contextlib import suppress

from tests.conftest import MakeSshd
from tests.lab import Access, Sshd

_SHIM = """#!/bin/sh
case "$SSH_ORIGINAL_COMMAND" in
{cases}
esac
eval "$SSH_ORIGINAL_COMMAND"
"""


def shimmed(make_sshd: MakeSshd, **cases: str) -> Sshd:
    """A server on which a verb of the runner (`start`, `poll`), or `sh` for what reads a program, runs other words."""
    server = make_sshd(access=Access(lines=("ForceCommand ~/shim",)))
    lie(server, **cases)
    return server


def lie(server: Sshd, **cases: str) -> None:
    """Let it lie in these cases from now on; `lies_of` says when it has."""
    patterns = {"sh": "*'sh -s deploybot'", **{verb: f"*.sh' '{verb}*" for verb in cases if verb != "sh"}}
    text = "\n".join(f"{patterns[verb]}) echo {verb} >>~/lied; {words} ;;" for verb, words in cases.items())
    (server.home / "lied").unlink(missing_ok=True)
    shim = server.home / "shim"
    shim.write_text(_SHIM.format(cases=text))
    shim.chmod(0o755)


def lies_of(server: Sshd) -> list[str]:
    """The verbs to which it has lied, in order."""
    with suppress(FileNotFoundError):
        return (server.home / "lied").read_text().split()
    return []
