"""Problems that can block a release from starting on a server."""

from __future__ import annotations

from dataclasses import dataclass

from deploybot.strategies.compose.compose_answers import ConfigAnswers
from deploybot.strategies.compose.compose_stderr import own_words, raw_paths
from deploybot.strategies.compose.mounted_paths import PathFacts, PathKind

GONE = frozenset({PathKind.MISSING, PathKind.LINK})
"""The kinds of paths that lead to nothing."""


@dataclass(frozen=True, slots=True)
class ComposeProblem:
    """A problem and its fix. A `warning` is shown but does not stop a deployment."""

    sentence: str
    advice: str
    warning: bool = False


def unresolved(answers: ConfigAnswers, facts: PathFacts, own_folder: str = "") -> tuple[ComposeProblem, ...]:
    """Return the problems of a release whose files Compose could not read: its error, and every missing file.

    `facts` are those of the paths from `raw_paths`.
    """
    missing = [
        missing_file(f"The {what}", path, facts)
        for what, path in raw_paths(answers)
        if (fact := facts.of(path)) and fact.kind in GONE
    ]
    words = own_words(answers.release.errors)
    problem = ComposeProblem(f"Compose cannot read the release's files: {words}", "Fix that in the repository.")
    if own_folder:
        problem = ComposeProblem(f"Compose cannot read the files in {own_folder}: {words}", "Fix that on the server.")
    return (problem, *missing)


def missing_file(what: str, path: str, facts: PathFacts) -> ComposeProblem:
    """Return the problem of a file that a part of the Compose files needs."""
    name = path
    for folder in facts.folders:
        name = name.removeprefix(f"{folder}/")
    if not facts.within(path):
        return ComposeProblem(f"{what} needs {path}, which is not on the server.", f"Create {path} there.")
    return ComposeProblem(
        f"{what} needs {name}, which is not in the release.",
        f"Create {facts.directory}/shared/{name}. It is linked into every release.",
    )
