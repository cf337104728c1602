"""Parses the output of `compose_config.sh`, and finds the files and profiles that Compose uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deploybot.domain import Container
from deploybot.strategies.compose.compose_model import ComposeConfig, parse_config
from deploybot.strategies.compose.compose_reading import LONGEST, ComposeUnreadable
from deploybot.strategies.compose.config_hash import compose_hashes
from deploybot.untrusted_input import lines

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""The files that Compose looks for if it is given none, in its order."""
OVERRIDES = (
    *("compose.override.yml", "compose.override.yaml"),
    *("docker-compose.override.yml", "docker-compose.override.yaml"),
)
_MOST_BYTES = 4 * LONGEST
_WORKING_DIR = "com.docker.compose.project.working_dir"
_CONFIG_HASH = "com.docker.compose.config-hash"
_VERSION = "com.docker.compose.version"
_CONFIG_FILES = "com.docker.compose.project.config_files"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigAnswer:
    """The result of `docker compose config` in one folder. `text` contains environment values; never show it.

    `hashes` is the output of `config --hash`, for Compose versions without JSON output. `files` is the label of the
    containers that the answer is about. `gone` are those of these files that are not there: the answer is then about
    the release's files. `profiles` are those that a kept configuration was made with.
    """

    folder: str
    code: int
    text: str = field(default="", repr=False)
    errors: str = field(default="", repr=False)
    hashes: str = ""
    files: str = ""
    gone: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigAnswers:
    """The answer for the release's folder, and those for the folders of running containers.

    `found` are the names of files in the release's folder that Compose looks for. `env` are Compose's variables in the
    env file. `named` is the project's name in the server's own files. `raw` are the files themselves if Compose could
    not read them. `kept` are the bot's own copies of configurations that ran, by their hashes.
    """

    release: ConfigAnswer
    running: tuple[ConfigAnswer, ...] = ()
    found: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    named: str = ""
    raw: tuple[str, ...] = field(default=(), repr=False)
    kept: Mapping[str, ConfigAnswer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """The project as Compose reads it in the folder that containers were started from.

    `files` is their label with its files; empty if some are gone.
    `hashes` are the possible values of the label `com.docker.compose.config-hash`, for each service.
    """

    folder: str
    config: ComposeConfig
    hashes: Mapping[str, frozenset[str]]
    files: str = ""

    def is_of(self, container: Container) -> bool:
        """Return whether a container was started from this folder and these files."""
        return (container.label(_WORKING_DIR), container.label(_CONFIG_FILES)) == (self.folder, self.files)

    def recreates(self, container: Container, major: int) -> bool:
        """Return whether Compose would recreate a container here, by its own rule; False if that cannot be known.

        The hashes of Compose 1 and those of later versions cannot be compared. `major` is that of the server's Compose.
        """
        label, hashes = container.label(_CONFIG_HASH), self.hashes.get(container.service, frozenset())
        version = container.label(_VERSION).removeprefix("v")
        if not label or not hashes or not version or version.startswith("1.") != (major == 1):
            return False
        return label not in hashes


def running_folders(containers: Sequence[Container], ours: str) -> tuple[str, ...]:
    """Return lines for `DEPLOYBOT_RUNNING_FOLDERS`: the folders of containers without the label `ours`."""
    lines: list[str] = []
    for one in containers:
        folder, files = one.label(_WORKING_DIR), one.label(_CONFIG_FILES)
        if folder.startswith("/") and not one.oneoff and not one.label(ours) and "\n" not in folder + files:
            lines.append(f"{folder}\t{files}")
    return tuple(dict.fromkeys(lines))


def parse_answers(output: bytes) -> ConfigAnswers:
    """Parse the output of `compose_config.sh`. Raises ComposeUnreadable if it is cut off or invalid."""
    records = _records(output)
    if not records or records[-1] != ("END", ""):
        raise _unread()
    first = dict(records)
    folder = first.get("FOLDER", "")
    return ConfigAnswers(
        release=_answer(folder, first),
        running=tuple(_answer(group.get("RUNNING", ""), group) for group in _groups(records, "RUNNING")),
        kept={group.get("KEPT", ""): _answer(folder, group) for group in _groups(records, "KEPT")},
        found=tuple(lines(first.get("FOUND", ""))),
        env=_env(first.get("ENV", "")),
        named=first.get("NAMED", "").partition(" #")[0].strip(" \t\r\"'"),
        raw=tuple(value for name, value in records if name == "RAW"),
    )


def _records(output: bytes) -> list[tuple[str, str]]:
    if len(output) > _MOST_BYTES or not output.endswith(b"\0"):
        raise _unread()
    fields = output.decode(errors="replace").split("\0")[:-1]
    if not all("=" in one for one in fields):
        raise _unread()
    return [(name, value) for name, _, value in (one.partition("=") for one in fields)]


def _groups(records: Sequence[tuple[str, str]], start: str) -> list[dict[str, str]]:
    """Return the records whose names begin with a word, without it. The bare word begins each group."""
    groups: list[dict[str, str]] = []
    for name, value in records:
        if name == start:
            groups.append({})
        if name.startswith(start):
            if not groups:
                raise _unread()
            groups[-1][name.removeprefix(f"{start}_")] = value
    return groups


def _answer(folder: str, given: Mapping[str, str]) -> ConfigAnswer:
    code = given.get("CODE", "")
    if not folder.startswith("/") or not (code.isascii() and code.isdecimal() and len(code) <= len("255")):
        raise _unread()
    return ConfigAnswer(
        folder=folder,
        code=int(code),
        text=given.get("CONFIG", ""),
        errors=given.get("ERRORS", ""),
        hashes=given.get("HASHES", ""),
        files=given.get("FILES", ""),
        gone=tuple(given.get("GONE", "").splitlines()),
        profiles=tuple(filter(None, given.get("PROFILES", "").split(","))),
    )


def _unread() -> ComposeUnreadable:
    return ComposeUnreadable("The server's answer about its Compose files is cut off or malformed.")


def _env(text: str) -> dict[str, str]:
    found = {}
    for line in lines(text):
        name, _, value = line.strip().removeprefix("export ").partition("=")
        found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    for quote in "\"'":
        if value.startswith(quote) and quote in value[1:]:
            return value[1 : value.index(quote, 1)]
    return value.partition(" #")[0].rstrip()


def compose_files(
    given: Sequence[str], environment: Mapping[str, str], answers: ConfigAnswers, *, where: str = ""
) -> tuple[str, ...]:
    """Return the files that Compose reads, relative to the release's folder or absolute, in order of precedence.

    `given` is bot.toml's `compose.files`, `environment` is the environment of Compose. `where` is the folder of the
    files if the release does not bring them. Raises ComposeUnreadable if there is no file.
    """
    if given:
        return tuple(given)
    variables = {**answers.env, **environment}
    if named := variables.get("COMPOSE_FILE"):
        parts = named.split(variables.get("COMPOSE_PATH_SEPARATOR") or ":")
        return tuple(part.strip() for part in parts if part.strip())
    first = [name for name in NAMES if name in answers.found]
    if not first:
        raise ComposeUnreadable(
            f"There is no compose.yaml in {where or 'this release'}.",
            hint="Set compose.files in bot.toml to where it is.",
        )
    return (first[0], *[name for name in OVERRIDES if name in answers.found][:1])


def active_profiles(given: Sequence[str], environment: Mapping[str, str], answers: ConfigAnswers) -> tuple[str, ...]:
    """Return the active profiles: bot.toml's, else those of COMPOSE_PROFILES in the environment or the env file."""
    if given:
        return tuple(given)
    named = environment.get("COMPOSE_PROFILES") or answers.env.get("COMPOSE_PROFILES", "")
    return tuple(one.strip() for one in named.split(",") if one.strip())


def read_elsewhere(
    answer: ConfigAnswer, containers: Sequence[Container], *, profiles: Sequence[str], project: str
) -> Elsewhere | None:
    """Parse the answer for a folder of running containers; None if Compose could not read its files."""
    if answer.code:
        return None
    ids: dict[str, list[str]] = {}
    for one in sorted(containers, key=lambda one: one.name):
        ids.setdefault(one.service, []).append(one.id)
    try:
        config = parse_config(answer.text, profiles=profiles, project=project, folders=(answer.folder,))
        hashes = compose_hashes(answer.text, ids) or _printed(answer.hashes)
    except ComposeUnreadable:
        return None
    return Elsewhere(folder=answer.folder, config=config, hashes=hashes, files="" if answer.gone else answer.files)


def _printed(hashes: str) -> dict[str, frozenset[str]]:
    pairs = [line.rpartition(" ") for line in lines(hashes)]
    return {name.strip(): frozenset({value.strip()}) for name, _, value in pairs if name.strip()}
