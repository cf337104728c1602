"""`deploybot trust`: the fingerprint is shown, a person says yes, and nothing but one key changes in bot.toml."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploybot.cli import main
from deploybot.cli.command_base import Failure
from deploybot.cli.trust_command import fingerprint_of, pinned
from deploybot.config import load
from tests.lab import Sshd

ROOT = Path(__file__).parents[2]

OLD = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIm+aGXaJpJuPDizobQ/nP0kxVnjDf6sVXUpFW4WK2Jc"
NEW = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB7Zb1xxyrMgYOzCiRjJnXmDvnKsQUvR8v4i0mJtbHdS"
LINE = f'host_key = "{NEW}"'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('[servers.web1]\nssh = "a@b"\n', f'[servers.web1]\nssh = "a@b"\nhost_key = "{NEW}"\n'),
        ('[servers.web1]\nssh = "a@b"', f'[servers.web1]\nssh = "a@b"\nhost_key = "{NEW}"\n'),
        (
            '# top\n[servers.web1]  # main\nssh = "a@b"   # where\n# its key\n\n# ---- apps\n\n[bot]\n',
            f'# top\n[servers.web1]  # main\nssh = "a@b"   # where\n# its key\n{LINE}\n\n# ---- apps\n\n[bot]\n',
        ),
        (
            f'[servers.web1]\nhost_key = "{OLD}"  # since May\nssh = "a@b"\n',
            f'[servers.web1]\nhost_key = "{NEW}"  # since May\nssh = "a@b"\n',
        ),
        (
            f'[servers.web1]\nhost_key = [\n  "{OLD}",\n]\nssh = "a@b"\n[servers.web2]\nssh = "a@c"\n',
            f'[servers.web1]\nhost_key = "{NEW}"\nssh = "a@b"\n[servers.web2]\nssh = "a@c"\n',
        ),
        (
            '[servers]\nweb1 = { ssh = "a@b", agent = true }\n',
            f'[servers]\nweb1 = {{ ssh = "a@b", agent = true, host_key = "{NEW}"}}\n',
        ),
        (
            '[servers.web1]\nssh = "a@b"\n[servers.web1.docker_tls]\nca = "x"\n',
            f'[servers.web1]\nssh = "a@b"\nhost_key = "{NEW}"\n\n[servers.web1.docker_tls]\nca = "x"\n',
        ),
        (
            "[servers.\"web1\"]\r\nssh = 'a@b'\r\n\r\n[bot]\r\n",
            f'[servers."web1"]\r\nssh = \'a@b\'\r\nhost_key = "{NEW}"\r\n\r\n[bot]\r\n',
        ),
    ],
    ids=["end", "no-newline", "comments", "replaced", "list", "inline", "subtable", "crlf"],
)
def test_only_the_key_changes(before: str, after: str) -> None:
    text = pinned(before, "web1", NEW)
    assert tomllib.loads(text)["servers"]["web1"]["host_key"] == NEW
    assert text.replace("\r\n", "\n") == after.replace("\r\n", "\n")
    assert pinned(text, "web1", NEW) == text


def test_what_cannot_be_changed_safely_is_left_to_the_person() -> None:
    text = 'servers.web1.ssh = "a@b"\nservers.web2.ssh = "a@c"\n'
    try:
        changed = tomllib.loads(pinned(text, "web1", NEW))
    except Failure as failure:
        assert f'host_key = "{NEW}"' in failure.hint  # noqa: PT017  either is right, a broken file is not
    else:
        assert changed["servers"] == {"web1": {"ssh": "a@b", "host_key": NEW}, "web2": {"ssh": "a@c"}}


def test_fingerprints_are_those_of_openssh() -> None:
    assert fingerprint_of(OLD) == "SHA256:MXkBVAGraf6tNRO4uet/f44z2ZoITGgIXHHqxQHpLa0"


def _bot(sshd: Sshd, *lines: str) -> Path:
    """A bot.toml for a real server."""
    text = f'# mine\n[servers.web1]\nssh = "{sshd.ssh_target}"  # here\nkey = {{ file = "{sshd.client_key}" }}\n'
    Path("bot.toml").write_text(text + "".join(f"{line}\n" for line in lines))
    return Path("bot.toml")


def _trust(*arguments: str, given: str = "") -> Result:
    return CliRunner().invoke(main, ["-c", "bot.toml", "trust", *arguments], input=given)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def test_the_key_of_a_real_server_is_shown_and_pinned(sshd: Sshd) -> None:
    path = _bot(sshd)
    shown = fingerprint_of(sshd.host_key)
    result = _trust("web1", "--fingerprint", shown)
    assert result.exit_code == 0, result.output
    assert f"web1 ({sshd.address}, port {sshd.port}) shows this host key:\n  ssh-ed25519  {shown}\n" in result.output
    settings = load(path, {})
    assert settings.servers["web1"].host_key == (" ".join(sshd.host_key.split()[:2]),)
    assert path.read_text().startswith("# mine\n[servers.web1]\n")
    assert "# here\n" in path.read_text()
    before = path.stat().st_mtime_ns
    assert "It is already pinned." in _trust("web1").output
    assert path.stat().st_mtime_ns == before


def test_nothing_is_written_without_a_yes(sshd: Sshd) -> None:
    path = _bot(sshd)
    text = path.read_text()
    for arguments, sentence in (
        ((), "there is no terminal to ask on"),
        (("--fingerprint", "SHA256:other"), "The fingerprint is not SHA256:other. Nothing was written."),
        (("--fingerprint", "SHA256:other", "--yes"), "The fingerprint is not SHA256:other. Nothing was written."),
    ):
        result = _trust("web1", *arguments)
        assert result.exit_code == 1
        assert sentence in result.output
    assert path.read_text() == text


def test_a_changed_key_is_warned_of_with_both_fingerprints(sshd: Sshd) -> None:
    path = _bot(sshd, f'host_key = "{OLD}"  # since May')
    result = _trust("web1", "--yes")
    assert result.exit_code == 0, result.output
    assert "SECURITY WARNING: this is not the pinned key" in result.output
    assert fingerprint_of(OLD) in result.output
    assert fingerprint_of(sshd.host_key) in result.output
    assert OLD not in path.read_text()
    assert "# since May" in path.read_text()


def test_at_a_terminal_a_person_is_asked(sshd: Sshd) -> None:
    for answer, code in ((b"n\n", 1), (b"y\n", 0)):
        path = _bot(sshd)
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        done = subprocess.run(
            [sys.executable, "-m", "deploybot", "trust", "web1"],
            check=False,
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=90,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        os.close(ours)
        os.close(theirs)
        assert done.returncode == code, done.stderr
        assert "Does the server itself show this fingerprint?" in done.stdout
        assert ("host_key" in path.read_text()) is (code == 0)


def test_a_server_behind_a_jump_host_is_reached_through_it(sshds: Callable[[int], list[Sshd]]) -> None:
    first, second = sshds(2)
    inner = f'[servers.inner]\nssh = "{second.ssh_target}"\nkey = {{ file = "{second.client_key}" }}\njump = "web1"'
    path = _bot(first, f'host_key = "{first.host_key}"', inner)
    result = _trust("inner", "--fingerprint", fingerprint_of(second.host_key))
    assert result.exit_code == 0, result.output
    assert load(path, {}).servers["inner"].host_key == (" ".join(second.host_key.split()[:2]),)


def test_a_server_that_is_not_there_or_unknown_is_one_sentence(sshd: Sshd) -> None:
    _bot(sshd)
    result = _trust("wbe1")
    assert result.exit_code == 1
    assert result.output == 'unknown server "wbe1", did you mean "web1"?\nServers: web1.\n'
    sshd.stop()
    result = _trust("web1")
    assert result.exit_code == 1
    assert "web1 cannot be reached" in result.output
