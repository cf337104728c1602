"""`deploybot init`: a commented bot.toml to begin with, from three questions or from flags."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deploybot.cli.command_base import Failure, Options, Wrong, problems_text, write
from deploybot.cli.server_discovery import RunningProject, known_key, running_projects, same_app
from deploybot.cli.trust_command import fingerprint_of
from deploybot.errors import ConfigError, DeploybotError
from deploybot.part_tables import STRATEGY_TABLE

if TYPE_CHECKING:
    from deploybot.settings import Settings

_SERVER = "web1"
_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(frozen=True, slots=True)
class InitAnswers:
    """The answers from which the file is made."""

    server: str
    repo: str
    strategy: str
    app: str
    directory: str
    key: str
    data: str
    host_key: str = ""
    project: RunningProject | None = None


@click.command(short_help="Write a first bot.toml.")
@click.option("--server", metavar="USER@HOST", help="The server, as for ssh; USER@HOST:PORT for another port.")
@click.option("--repo", metavar="URL", help="The repository of the app.")
@click.option("--strategy", type=click.Choice([*STRATEGY_TABLE]), help="How the app gets onto the server.")
@click.option("--app", metavar="NAME", help="The app's name. Default: the repository's name.")
@click.option("--directory", metavar="PATH", help="The app's directory on the server. Default: /srv/NAME.")
@click.option("--key", metavar="PATH", help="The SSH key to log in with. Default: your usual key, or the agent.")
@click.option("--data", metavar="PATH", help="The bot's own folder. Default: /var/lib/deploybot for root, else ./data.")
@click.option("--offline", is_flag=True, help="Do not ask the server what runs there.")
@click.option("--force", is_flag=True, help="Replace an existing bot.toml.")
@click.pass_obj
def init(
    options: Options,
    *,
    server: str | None,
    repo: str | None,
    strategy: str | None,
    app: str | None,
    directory: str | None,
    key: str | None,
    data: str | None,
    offline: bool,
    force: bool,
) -> None:
    """Write a first bot.toml with comments. It asks for missing options. Without a terminal, they are required.

    If your own `ssh` knows the server's host key, that key is pinned. A Compose app that already runs there is
    recognised.

    \b
    Examples:
      deploybot init
      deploybot init --server deploy@203.0.113.10 --repo /srv/git/shop.git --strategy compose
    """
    path = options.config or Path("bot.toml")
    if path.exists() and not force:
        raise Failure(
            f"{path} already exists. Nothing was written.", hint="--force replaces it, --config writes another."
        )
    server, repo, strategy = _ask(server, repo, strategy)
    app = app or _name(repo)
    answers = InitAnswers(
        server=server,
        repo=repo,
        strategy=strategy,
        app=app,
        directory=directory or f"/srv/{app}",
        key=key if key is not None else _key(),
        data=data or ("/var/lib/deploybot" if os.geteuid() == 0 else "data"),
    )
    settings = _understood(path, render(answers))
    answers = replace(answers, host_key=known_key(settings.servers[_SERVER]))
    if strategy == "compose" and answers.host_key and not offline:
        answers = replace(answers, project=_running(_understood(path, render(answers)), answers))
    text = render(answers)
    settings = _understood(path, text)
    write(path, text)
    click.echo(f"Wrote {path}. It defines what the bot may do. Read it, and correct what is wrong.\n")
    click.echo("\n".join(_next(options, settings)))


def _running(settings: Settings, answers: InitAnswers) -> RunningProject | None:
    """Look for the app among the Compose projects that run on the server, and report what was found."""
    try:
        projects = asyncio.run(running_projects(settings, _SERVER))
    except DeploybotError as problem:
        click.echo(f"Could not check what runs on the server: {problem}\n")
        return None
    found = same_app(projects, (answers.app, _name(answers.repo)))
    if found is not None:
        services = ", ".join(found.services)
        click.echo(f"The app already runs there: project {found.name} has {services}. deploybot takes it over.\n")
    elif projects:
        names = ", ".join(one.name for one in projects)
        click.echo(f"Compose projects that run there: {names}. If one is this app, set compose.project to its name.\n")
    return found


def _ask(server: str | None, repo: str | None, strategy: str | None) -> tuple[str, str, str]:
    """Ask for the three answers that have no default."""
    given = {"--server": server, "--repo": repo, "--strategy": strategy}
    missing = [flag for flag, value in given.items() if not value]
    if missing and not sys.stdin.isatty():
        raise click.UsageError(f"no terminal to ask on: give {', '.join(missing)}")
    from deploybot.settings.address_values import Repository, SshTarget

    server = server or click.prompt("Which server? (user@host, as for ssh)", value_proc=_fitting(SshTarget))
    repo = repo or click.prompt("Which repository? (its git URL)", value_proc=_fitting(Repository))
    if not strategy:
        for name, entry in STRATEGY_TABLE.items():
            click.echo(f"  {name:8} {entry.about}")
        strategy = click.prompt(
            "How does the app get onto the server?", type=click.Choice([*STRATEGY_TABLE]), default="compose"
        )
    return str(server).strip(), str(repo).strip(), str(strategy)


def _fitting(shape: Any) -> Callable[[str], str]:  # noqa: ANN401  an annotation can be anything
    """Return a check of an answer by a type of bot.toml. For a wrong answer, click shows the error and asks again."""
    from pydantic import TypeAdapter, ValidationError

    def read(text: str) -> str:
        try:
            TypeAdapter[str](shape).validate_python(text.strip(), context={"base": str(Path.cwd())})
        except ValidationError as error:
            found = error.errors(include_url=False)[0]
            raise click.UsageError(str(found.get("ctx", {}).get("error") or found["msg"])) from None
        return text.strip()

    return read


def _name(repo: str) -> str:
    """Return a name for the app, from the end of the repository's address."""
    last = re.split(r"[/:]", repo.rstrip("/"))[-1].removesuffix(".git")
    return re.sub(r"[^a-z0-9_-]+", "-", last.lower()).strip("-_")[:40] or "app"


def _key() -> str:
    """Return the usual SSH key of this user; empty if there is none, so that the agent is used."""
    folder = Path.home() / ".ssh"
    return next((str(folder / name) for name in _KEYS if (folder / name).exists()), "")


def _understood(path: Path, text: str) -> Settings:
    """Read the text as bot.toml, from a file beside the one to write. Raises Failure if an answer is wrong."""
    import tempfile

    from deploybot.config import load

    with tempfile.NamedTemporaryFile("w", dir=path.absolute().parent, prefix=".bot.toml.", encoding="utf-8") as draft:
        draft.write(text)
        draft.flush()
        try:
            return load(Path(draft.name), os.environ, outside=False)
        except ConfigError as error:
            raise Wrong(problems_text(error), hint="Nothing was written.") from error


def _next(options: Options, settings: Settings) -> list[str]:
    """Return the next steps, in order."""
    flag = f" --config {options.config}" if options.config else ""
    lines = ["Next:"]
    for server in settings.servers.values():
        if server.key and not server.key.file.exists():
            lines.append(f"  create the key {server.key.file}, and put its public half on the server")
        if server.host_key:
            shown = fingerprint_of(server.host_key[0])
            lines.append(f"  (pinned: the host key {shown}, which your own ssh trusts for {server.host})")
        else:
            lines.append(f"  deploybot{flag} trust {server.name:10} pin the server's host key")
    lines += [
        f"  deploybot{flag} check            test everything",
        f"  deploybot{flag} allow NAME admin make yourself the first administrator",
        f"  deploybot{flag} run              start the bot, and in another terminal",
        f"  deploybot{flag} chat             talk to it: `deploy {next(iter(settings.apps))}`",
    ]
    return lines


def render(answers: InitAnswers) -> str:
    """Return the text of the file."""
    docker = answers.strategy == "compose"
    login = (
        f"key = {{ file = {_text(answers.key)} }}"
        if answers.key
        else 'agent = true                   # the keys of the SSH agent; or key = { file = "PATH" }'
    )
    parts = [
        "# bot.toml defines everything that deploybot may do. All keys: bot.example.toml and",
        "# docs/configuration.md. `deploybot check` tests everything and shows what is wrong.",
        '# Never write a secret here: { env = "NAME" } or { file = "PATH" }.',
        "",
        "[bot]",
        f"data = {_text(answers.data)}",
        "",
        f"[servers.{_SERVER}]",
        f"ssh = {_text(answers.server)}",
        login,
        *(['docker = "/var/run/docker.sock"   # the Docker Engine\'s socket over there'] if docker else []),
        _host_key(answers),
        "",
        f"[apps.{_key_of(answers.app)}]",
        f"repo = {_text(answers.repo)}",
        '# branch = "main"               # deployed without a ref; default: the repository\'s',
        *([_REPO_HOST_KEY] if "@" in answers.repo else []),
        f"strategy = {_text(answers.strategy)}",
        f"directory = {_text(answers.directory)}",
        *STRATEGY_TABLE[answers.strategy].example,
        *_shared(answers.project),
        '# secrets = { DATABASE_URL = { env = "DATABASE_URL" } }   # in every step\'s environment, masked',
        '# tasks = { migrate = "./migrate" }                       # the commands of `run APP NAME`',
        "",
        *_compose(answers),
        f"[apps.{_key_of(answers.app)}.environments.production]",
        f'servers = ["{_SERVER}"]',
        "",
    ]
    return "\n".join(parts)


def _key_of(name: str) -> str:
    """Return a name as a key of TOML. A wrong name is quoted, so that the error is about the name."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _host_key(answers: InitAnswers) -> str:
    if answers.host_key:
        return f"host_key = {_text(answers.host_key)}   # from your own known_hosts"
    return f"# host_key: `deploybot trust {_SERVER}` shows the fingerprint and writes it here"


def _shared(project: RunningProject | None) -> list[str]:
    """Return a suggestion for `shared`, in a comment: only a person knows which files are not in the repository."""
    if project is None or not project.folder:
        return []
    paths = ", ".join(map(_text, dict.fromkeys((*project.mounted, ".env"))))
    return [
        "# Files of the app's folder that are not in the repository stay there; see docs/taking-over.md:",
        f"# shared = {{ from = {_text(project.folder)}, paths = [{paths}] }}",
    ]


def _compose(answers: InitAnswers) -> list[str]:
    """Return the table of a project that already runs."""
    project = answers.project
    if project is None:
        return []
    origin = f", started from {project.folder}" if project.folder else ""
    return [
        f"[apps.{_key_of(answers.app)}.compose]",
        f"# It already runs there: {', '.join(project.services)}{origin}.",
        f"project = {_text(project.name)}",
        "",
    ]


_REPO_HOST_KEY = (
    '# repo_host_key = "ssh-ed25519 AAAA…"   '
    "# its host's public key; not needed for github.com, gitlab.com, bitbucket.org and codeberg.org"
)


def _text(value: str) -> str:
    """Return a text as TOML. A JSON string is also a TOML string (toml.io/en/v1.0.0, String)."""
    return json.dumps(value, ensure_ascii=False)
