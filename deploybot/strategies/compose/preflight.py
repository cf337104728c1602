"""Everything that stands against deploying a release, found before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass

from deploybot.ports import Site
from deploybot.strategies.compose.answers import ConfigAnswer
from deploybot.strategies.compose.values import Study


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing, and what to do about it."""

    sentence: str
    hint: str = ""


def problems_of(site: Site, answer: ConfigAnswer, study: Study | None) -> tuple[Problem, ...]:
    """Find all of it."""
    if study is None:
        return (Problem(f"Compose refuses the files on {site.server}: {answer.error}"),)
    return ()
