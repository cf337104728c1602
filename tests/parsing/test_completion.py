"""What completion proposes while a line is typed."""

from __future__ import annotations

import pytest

from deploybot import Deployment, Release
from deploybot.domain import Kind, Plan, State
from deploybot.parsing import (
    complete,
)
from tests.kit.command_bot import EVERYTHING, SETTINGS
from tests.parsing.reading import COMMANDS, FORMS

# While it is typed


@pytest.mark.parametrize(
    ("line", "count", "words"),
    [
        ("", 0, (*COMMANDS,)),
        ("de", 2, ("deny", "deploy")),
        ("Dep", 3, ("deploy",)),
        ("deploy ", 0, ("shop", "blog", "wiki")),
        ("deploy s", 1, ("shop",)),
        ("deploy shop", 4, ("shop",)),
        ("deploy shop@", 0, (":current", ":previous")),
        ("deploy shop@:p", 2, (":previous",)),
        ("deploy shop@v1", 0, ()),
        ("deploy nothing@v1", 0, ()),
        ("deploy shop ", 0, ("to", "--dry-run", "--remove-orphans", "--at", "--in", "--break-glass", "code")),
        ("deploy shop -", 1, ("--dry-run", "--remove-orphans", "--at", "--in", "--break-glass")),
        ("deploy shop to ", 0, ("staging", "production")),
        ("deploy shop to prod", 4, ("production",)),
        ("deploy shop to production/", 0, ("web1", "web2")),
        ("deploy shop to production/web1,", 0, ("web1", "web2")),
        ("deploy shop to production/web1,web2", 4, ("web2",)),
        ("deploy shop to production --", 2, ("--dry-run", "--remove-orphans", "--at", "--in", "--break-glass")),
        ("status ", 0, ("shop", "blog", "wiki")),
        ("status shop ", 0, ("staging", "production")),
        ("run shop ", 0, ("migrate", "reindex")),
        ("run shop migrate p", 1, ("production",)),
        ("allow @ana d", 1, ("deployer",)),
        ("allow @ana deployer ", 0, ("on", "for", "code")),
        ("allow @ana deployer on shop/st", 2, ("staging",)),
        ("logs shop from ", 0, ("staging", "production")),
        ("logs shop t", 1, ("tail",)),
        ("deploy shop nonsense ", 0, ()),
        ("deploy shop because ", 0, ()),
        ("deploy shop because st", 0, ()),
        ('logs shop grep "two ', 0, ()),
        ("xyzzy ", 0, ()),
        ("cancel ", 0, ()),
    ],
)
def test_complete(line: str, count: int, words: tuple[str, ...]) -> None:
    assert complete(FORMS, line, SETTINGS, EVERYTHING) == (count, words)


def deployed(number: int, state: State, environment: str = "production", *, asked: bool = False) -> Deployment:
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment=environment, release=Release.of_commit("a" * 40), servers=())
    return Deployment(number=number, plan=plan, state=state, requester=1, requester_name="ana", needs_approval=asked)


@pytest.mark.parametrize(
    ("line", "count", "words"),
    [
        ("cancel ", 0, ("#44", "#43")),
        ("cancel #4", 2, ("#44", "#43")),
        ("cancel 44", 2, ("#44",)),
        ("cancel 7", 0, ()),
        ("approve ", 0, ("#44",)),
        ("reject #", 1, ("#44",)),
        ("rollback shop to #", 1, ("#41", "#40")),
        ("rollback shop from production to ", 0, (":current", ":previous", "#41")),
        ("deploy shop@#4", 2, ("#41", "#40")),
        ("deploy wiki@#", 0, ()),
    ],
)
def test_numbers_are_proposed_where_they_make_sense(line: str, count: int, words: tuple[str, ...]) -> None:
    there = [
        deployed(44, State.WAITING, asked=True),
        deployed(43, State.RUNNING),
        deployed(42, State.FAILED),
        deployed(41, State.SUCCEEDED),
        deployed(40, State.SUCCEEDED, "staging"),
    ]
    assert complete(FORMS, line, SETTINGS, EVERYTHING, there) == (count, words)
    shown = complete(FORMS, line, SETTINGS, frozenset({("wiki", "one")}), there)[1]
    assert not any(word.startswith("#") for word in shown)


def test_completion_shows_nothing_that_one_may_not_see() -> None:
    visible = frozenset({("shop", "staging")})
    assert complete(FORMS, "deploy ", SETTINGS, visible) == (0, ("shop",))
    assert complete(FORMS, "deploy shop to ", SETTINGS, visible) == (0, ("staging",))
    assert complete(FORMS, "deploy shop to production/", SETTINGS, visible) == (0, ())
    assert complete(FORMS, "run blog ", SETTINGS, visible) == (0, ())
