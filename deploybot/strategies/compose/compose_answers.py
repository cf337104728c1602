"""What `compose_config.sh` prints, and which files and profiles Compose takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deploybot.domain import Container
from deploybot.strategies.compose.compose_model import ComposeConfig, parse_config
from deploybot.strategies.compose.compose_reading import LONGEST, ComposeUnreadable
from deploybot.strategies.compose.config_hash import compose_hashes

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""What Compose looks for where it is given no files, in its order."""
OVERRIDES = (
    *("compose.override.yml", "compose.override.yaml"),
    *("docker-compose.override.yml", "docker-compose.override.yaml"),
)
_MOST_BYTES = 4 * LONGEST
_WORKING_DIR = "com.docker.compose.project.working_dir"
_CONFIG_FILES = "com.docker.compose.project.config_files"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigAnswer:
    """What `docker compose config` said in one folder. `text` holds values of the environment: it is never shown.

    `hashes` is what `config --hash` printed, where Compose knows no JSON.
    """

    folder: str
    code: int
    text: str = field(default="", repr=False)
    errors: str = field(default="", repr=False)
    hashes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigAnswers:
    """The answer for the release's folder, and those for folders that running containers come from.

    `found` are the names there of files that Compose looks for. `env` are the variables of Compose in the env file.
    `raw` are the files themselves where Compose could not read them.
    """

    release: ConfigAnswer
    running: tuple[ConfigAnswer, ...] = ()
    found: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    raw: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """How Compose understands the project in the folder that containers were started from.

    `hashes` are the values that the label `com.docker.compose.config-hash` may have, for each service.
    """

    folder: str
    config: ComposeConfig
    hashes: Mapping[str, frozenset[str]]


def running_folders(containers: Sequence[Container], ours: str) -> tuple[str, ...]:
    """Lines for `DEPLOYBOT_RUNNING_FOLDERS`: where containers without the label `ours` come from."""
    lines: dict[str, None] = {}
    for one in containers:
        folder, files = one.label(_WORKING_DIR), one.label(_CONFIG_FILES)
        if folder.startswith("/") and not one.oneoff and not one.label(ours) and "\n" not in folder + files:
            lines[f"{folder}\t{files}"] = None
    return tuple(lines)


def parse_answers(output: bytes) -> ConfigAnswers:
    """Read what `compose_config.sh` printed. ComposeUnreadable where it is cut off or no such answer."""
    records = _records(output)
    if not records or records[-1] != ("END", ""):
        raise _unread()
    first = dict(records)
    groups: list[dict[str, str]] = []
    for name, value in records:
        if name == "RUNNING":
            groups.append({})
        if name.startswith("RUNNING"):
            if not groups:
                raise _unread()
            groups[-1][name.removeprefix("RUNNING_")] = value
    return ConfigAnswers(
        release=_answer(first.get("FOLDER", ""), first),
        running=tuple(_answer(group.get("RUNNING", ""), group) for group in groups),
        found=tuple(first.get("FOUND", "").splitlines()),
        env=_env(first.get("ENV", "")),
        raw=tuple(value for name, value in records if name == "RAW"),
    )


def _records(output: bytes) -> list[tuple[str, str]]:
    if len(output) > _MOST_BYTES or not output.endswith(b"\0"):
        raise _unread()
    fields = output.decode(errors="replace").split("\0")[:-1]
    if not all("=" in one for one in fields):
        raise _unread()
    return [(name, value) for name, _, value in (one.partition("=") for one in fields)]


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
    )


def _unread() -> ComposeUnreadable:
    return ComposeUnreadable("The server's answer about its Compose files is cut off or is no such answer.")


def _env(lines: str) -> dict[str, str]:
    found = {}
    for line in lines.splitlines():
        name, _, value = line.strip().removeprefix("export ").partition("=")
        found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    for quote in "\"'":
        if value.startswith(quote) and quote in value[1:]:
            return value[1 : value.index(quote, 1)]
    return value.partition(" #")[0].rstrip()


def compose_files(given: Sequence[str], environment: Mapping[str, str], answers: ConfigAnswers) -> tuple[str, ...]:
    """The files that Compose reads, relative to the release's folder or absolute, in the order in which they count.

    `given` is bot.toml's `compose.files`, `environment` what Compose is started with. ComposeUnreadable where there is
    none.
    """
    if given:
        return tuple(given)
    variables = {**answers.env, **environment}
    named = variables.get("COMPOSE_FILE", "")
    if named:
        parts = named.split(variables.get("COMPOSE_PATH_SEPARATOR") or ":")
        return tuple(part.strip() for part in parts if part.strip())
    first = [name for name in NAMES if name in answers.found]
    if not first:
        raise ComposeUnreadable(
            "There is no compose.yaml in this release.", hint="Set compose.files in bot.toml to where it is."
        )
    return (first[0], *[name for name in OVERRIDES if name in answers.found][:1])


def active_profiles(given: Sequence[str], environment: Mapping[str, str], answers: ConfigAnswers) -> tuple[str, ...]:
    """The profiles that are active: bot.toml's, else those of the variable COMPOSE_PROFILES or the env file."""
    if given:
        return tuple(given)
    named = environment.get("COMPOSE_PROFILES") or answers.env.get("COMPOSE_PROFILES", "")
    return tuple(one.strip() for one in named.split(",") if one.strip())


def read_elsewhere(
    answer: ConfigAnswer, containers: Sequence[Container], *, profiles: Sequence[str], project: str
) -> Elsewhere | None:
    """Read the answer for a folder that containers come from; None where Compose could not read its files."""
    if answer.code or not answer.text:
        return None
    ids: dict[str, list[str]] = {}
    for one in sorted(containers, key=lambda one: one.name):
        ids.setdefault(one.service, []).append(one.id)
    try:
        config = parse_config(answer.text, profiles=profiles, project=project, folders=(answer.folder,))
        hashes = compose_hashes(answer.text, ids) or _printed(answer.hashes)
    except ComposeUnreadable:
        return None
    return Elsewhere(folder=answer.folder, config=config, hashes=hashes)


def _printed(hashes: str) -> dict[str, frozenset[str]]:
    pairs = [line.rpartition(" ") for line in hashes.splitlines()]
    return {name.strip(): frozenset({value.strip()}) for name, _, value in pairs if name.strip()}
