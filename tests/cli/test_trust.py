"""`deploybot trust`: the fingerprint is shown, a person says yes, and nothing but one key changes in bot.toml."""

from __future__ import annotations

import tomllib

import pytest

from deploybot.cli.common import Failure
from deploybot.cli.trust import fingerprint_of, pinned

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
