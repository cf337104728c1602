"""Finds what Compose started in a server's own folder under the name that it uses there by itself. Pure.

The bot's name for the project may be another one. Then a deployment would start a second copy, or new empty volumes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator

from deploybot.domain import Container, Observed
from deploybot.strategies.compose.blockers import ComposeProblem
from deploybot.strategies.compose.compose_answers import ConfigAnswers
from deploybot.strategies.compose.compose_model import ComposeConfig
from deploybot.strategies.compose.release_record import WORKING_FOLDER
from deploybot.strategies.compose.settings_label import IMAGE_LABEL, RELEASE_LABEL
from deploybot.wording import listed

_NOT_IN_NAMES = re.compile(r"[^-_a-z0-9]")


def own_name(folder: str, answers: ConfigAnswers) -> str:
    """Return the project's name that Compose uses in a folder if it is given none; empty if it cannot be known."""
    given = answers.env.get("COMPOSE_PROJECT_NAME") or answers.named or posixpath.basename(folder)
    return "" if "$" in given else _NOT_IN_NAMES.sub("", given.lower()).lstrip("-_")


def other_projects(
    config: ComposeConfig,
    observed: Observed,
    answers: ConfigAnswers,
    folder: str,
    project: str,
    *,
    known: Collection[str] = (),
) -> Iterator[ComposeProblem]:
    """Yield a problem if the app exists under another project's name than `project`, also if it is stopped.

    `known` are the projects that bot.toml has on this server.
    """
    others = [one for one in _from(observed, folder) if one.project not in {"", project, *known}]
    if observed.containers:
        yield from _beside(others, folder)
        return
    for name in sorted({one.project for one in others}):
        services = listed(sorted({one.service for one in others if one.project == name}))
        yield ComposeProblem(
            f"Project {name} has containers of {services} from {folder}. A second copy would start beside it.",
            _take_over(name, project),
        )
    name = own_name(folder, answers)
    if not name or name == project or name in known:
        return
    mine = [one.key for one in config.volumes if not one.external and one.name == f"{project}_{one.key}"]
    lost = [key for key in mine if f"{project}_{key}" not in observed.volumes and f"{name}_{key}" in observed.volumes]
    if lost:
        yield ComposeProblem(
            f"Compose calls this project {name} in {folder}, and {listed(f'{name}_{key}' for key in lost)} exists "
            f"here. Project {project} would start with new, empty volumes.",
            _take_over(name, project),
        )


def _beside(others: Collection[Container], folder: str) -> Iterator[ComposeProblem]:
    for name in sorted({one.project for one in others if one.state == "running"}):
        yield ComposeProblem(
            f"Project {name} runs from {folder}, too: a second copy of the app.",
            f"If that is not wanted, stop one of them: docker compose -p {name} down",
            warning=True,
        )


def _from(observed: Observed, folder: str) -> Iterator[Container]:
    """Yield the containers outside the project that a person started from a folder."""
    for one in observed.others:
        is_ours = one.label(RELEASE_LABEL) or one.label(IMAGE_LABEL)
        if one.label(WORKING_FOLDER) == folder and not one.oneoff and not is_ours:
            yield one


def _take_over(name: str, project: str) -> str:
    return f'To continue with {name}, set compose.project = "{name}" in bot.toml. For a new one, set "{project}" there.'
