"""Connect git to a repository, with settings in its environment and never in its arguments.

Settings of the bot's user are ignored: no system or user configuration, no ssh_config, no netrc, no prompt.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from deploybot import trusted_files
from deploybot.errors import UserError
from deploybot.settings import App

_SCP = re.compile(r"(?:[^@/\s]+@)?(\[[^\]]+\]|[^:/\s]+):(?!//)")
_FROM_OUTSIDE = (
    *("PATH", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
)
_CONFIG = (
    ("protocol.ext.allow", "never"),
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("gc.autoDetach", "false"),
    ("maintenance.autoDetach", "false"),
    ("tar.umask", "0022"),
    ("core.quotePath", "false"),
)
_HELPER = (
    """!f() { test "$1" = get && """
    """printf 'username=%s\\npassword=%s\\n' "$DEPLOYBOT_REPO_USER" "$DEPLOYBOT_REPO_TOKEN"; }; f"""
)
_ANY_USER = "x-token-auth"
"""Bitbucket requires exactly this name with an access token; GitHub, GitLab and Gitea accept any."""
_ALIAS = "deploybot"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

KNOWN_HOSTS = {
    "github.com": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    "gitlab.com": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf",
    "bitbucket.org": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIazEu89wgQZ4bqs3d63QSMzYVa0MuJ2e2gKTKqu+UUO",
    "codeberg.org": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIVIC02vnjFyL+I4RHfvIGNtOgJMe769VTF1VR4EB3ZB",
}
"""The host keys that the large forges publish; `repo_host_key` replaces them."""


@dataclass(frozen=True, slots=True)
class GitRemote:
    """A repository and how to reach it: `env` is git's whole environment, including credentials."""

    url: str
    env: Mapping[str, str] = field(repr=False)


def address_of(app: App) -> str:
    """Return the address of an app's repository. Raises UserError if it has none."""
    if not app.repo:
        raise UserError(
            f"{app.name} has no repository in bot.toml.",
            hint=f"Name an image tag or a digest, or deploy what its Compose files name: deploy {app.name}",
        )
    return app.repo


def remote_of(app: App, folder: Path) -> GitRemote:
    """Return how to reach an app's repository; `folder` is private and holds the files for ssh and git.

    Raises UserError if bot.toml lacks a setting that this kind of address needs.
    """
    url = address_of(app)
    if "://" not in url and _SCP.match(url) is None:
        return _local(url, url, folder)
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _local(url, parts.path, folder)
    if parts.scheme in {"http", "https"}:
        return _web(app, folder)
    return _ssh(app, folder)


def environment(folder: Path, *config: tuple[str, str], **more: str) -> dict[str, str]:
    """Return git's whole environment (git(1), ENVIRONMENT VARIABLES) with `config` and `more` added.

    `config` extends our own settings and is not visible in `ps`. `folder` is private: git finds no netrc and no
    configuration in it.
    """
    env = {name: os.environ[name] for name in _FROM_OUTSIDE if name in os.environ}
    env |= {
        "HOME": str(folder),
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
    pairs = (*_CONFIG, *config)
    env["GIT_CONFIG_COUNT"] = str(len(pairs))
    for number, (key, value) in enumerate(pairs):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env | more


def _local(url: str, path: str, folder: Path) -> GitRemote:
    # git refuses repositories of other users (safe.directory in git-config(1)) unless a configuration file
    # names them. It ignores this setting in the environment and in arguments.
    own = _keep(folder, "gitconfig", "".join(f"[safe]\n\tdirectory = {_quoted(one)}\n" for one in _at(path)))
    return GitRemote(url, environment(folder, GIT_CONFIG_GLOBAL=str(own)))


def _at(path: str) -> tuple[str, str]:
    """Return a repository's possible git folders: bare, or inside a working copy."""
    return path.rstrip("/"), path.rstrip("/") + "/.git"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _web(app: App, folder: Path) -> GitRemote:
    parts = urlsplit(address_of(app))
    host = parts.hostname or ""
    if app.repo_token is None:
        return GitRemote(address_of(app), environment(folder))
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise UserError(
            f"The token of {app.name}'s repository would be sent unencrypted.",
            hint=f"Use https:// in apps.{app.name}.repo.",
        )
    user, _, token = app.repo_token.reveal().rpartition(":")
    # The helper is for this address only: git does not use it after a redirect elsewhere.
    key = f"credential.{parts.scheme}://{parts.netloc}.helper"
    env = environment(folder, (key, _HELPER), DEPLOYBOT_REPO_USER=user or _ANY_USER, DEPLOYBOT_REPO_TOKEN=token)
    return GitRemote(address_of(app), env)


def _ssh(app: App, folder: Path) -> GitRemote:
    host = _ssh_host(address_of(app))
    pinned = app.repo_host_key or tuple(filter(None, (KNOWN_HOSTS.get(host),)))
    if not pinned:
        raise UserError(
            f"The host key of {host}, which holds {app.name}'s repository, is not pinned.",
            hint=f"Set apps.{app.name}.repo_host_key to what `ssh-keyscan {host}` prints, once you have compared it.",
        )
    known = _keep(folder, "known_hosts", "".join(f"{_ALIAS} {key}\n" for key in pinned))
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _ssh_path(known),
        "GlobalKnownHostsFile": os.devnull,
        "HostKeyAlias": _ALIAS,
        "CheckHostIP": "no",
        "UpdateHostKeys": "no",
        "ClearAllForwardings": "yes",
        "ControlPath": "none",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "3",
    }
    if app.repo_key is not None:
        key = app.repo_key.file
        try:
            trusted_files.verify(key, private=True)
        except OSError:
            raise UserError(
                f"The key of {app.name}'s repository, {key}, was not found.",
                hint=f"Put the deploy key there, or change apps.{app.name}.repo_key.",
            ) from None
        except trusted_files.UnsafeFileError as problem:
            raise UserError(f"The key of {app.name}'s repository is not used: {problem}.") from None
        options |= {"IdentityFile": _ssh_path(key), "IdentitiesOnly": "yes", "IdentityAgent": "none"}
    words = ["ssh", "-F", "none", *(f"-o{name}={value}" for name, value in options.items())]
    return GitRemote(address_of(app), environment(folder, GIT_SSH_COMMAND=shlex.join(words), GIT_SSH_VARIANT="ssh"))


def _ssh_host(url: str) -> str:
    if "://" in url:
        return urlsplit(url).hostname or ""
    match = _SCP.match(url)
    return match[1].strip("[]") if match else ""


def _ssh_path(path: Path) -> str:
    """Return a path in the syntax of ssh_config(5): quoted, with `%` doubled."""
    text = str(path)
    if {'"', "\\", "\n", "$"} & set(text):
        raise UserError(f"{text} cannot be given to ssh.", hint='Choose a path without ", \\ and $.')
    return '"' + text.replace("%", "%%") + '"'


def _keep(folder: Path, name: str, text: str) -> Path:
    """Write a small file named by its content, so no two apps write different content to one file."""
    path = folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if not path.exists():
        draft = folder / f"{path.name}.draft"
        draft.write_text(text)
        draft.replace(path)
    return path
