"""An app without `repo`: its Compose files are on the servers, and keys about commits are mistakes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot.config import load
from tests.config.conftest import APP, ENVIRONMENT, SERVER, Write

REPO = 'repo = "git@example.com:acme/shop.git"\n'
BARE = APP.replace(REPO, "")
WHY = "but apps.shop has no `repo`: remove `{key}`, or set `repo`"
BUILT = 'is "build", but apps.shop has no `repo`, so nothing is built: remove `source`, or set `repo`'


def test_compose_needs_no_repository(write: Write) -> None:
    app = load(write(f"{SERVER}{BARE}{ENVIRONMENT}auto = {{ image = true }}\n"), {}).apps["shop"]
    there = app.at("production")
    assert (app.repo, app.compose_source, app.has_images) == (None, "images", True)
    assert (there.server_folder, there.bot_folder) == ("/srv/shop", "/srv/shop/.deploybot")
    assert (there.environment, there.at("production")) == ("production", there)


def test_an_environment_may_have_another_folder(write: Write) -> None:
    app = load(write(f'{SERVER}{BARE}{ENVIRONMENT}directory = "/srv/other"\n'), {}).apps["shop"]
    assert app.at("production").bot_folder == "/srv/other/.deploybot"


def test_with_a_repository_everything_is_in_the_directory(write: Write) -> None:
    app = load(write(f"{SERVER}{APP}{ENVIRONMENT}"), {}).apps["shop"]
    assert (app.server_folder, app.bot_folder, app.compose_source) == ("", "/srv/shop", "build")
    assert app.has_images is False


@pytest.mark.parametrize("strategy", ["files", "script"])
def test_other_strategies_need_one(problems: Callable[..., list[str]], strategy: str) -> None:
    more = 'script = "deploy.sh"\n' if strategy == "script" else ""
    found = problems(f"{SERVER}{BARE.replace('compose', strategy)}{more}{ENVIRONMENT}")
    assert found == [
        f'apps.shop.repo: is missing: strategy "{strategy}" needs a repository; only "compose" works without one'
    ]


@pytest.mark.parametrize(
    ("app", "environment", "said"),
    [
        ('repo_key = { file = "key" }', "", f"apps.shop.repo_key: needs a repository, {WHY}"),
        ('branch = "main"', "", f"apps.shop.branch: needs a repository, {WHY}"),
        ('warn_paths = ["x"]', "", f"apps.shop.warn_paths: compares commits, {WHY}"),
        ("", 'branch = "main"', f"apps.shop.environments.production.branch: needs a repository, {WHY}"),
        ("", 'refs = ["main"]', f"apps.shop.environments.production.refs: limits which commits may run, {WHY}"),
        (
            "",
            'auto = { image = true, branch = "main" }',
            f"apps.shop.environments.production.auto.branch: deploys commits, {WHY}",
        ),
        (
            'compose = { source = "build" }',
            "",
            f"apps.shop.compose.source: {BUILT}",
        ),
        (
            "",
            'compose = { source = "build" }',
            f"apps.shop.environments.production.compose.source: {BUILT}",
        ),
    ],
)
def test_keys_about_commits_are_mistakes(
    problems: Callable[..., list[str]], app: str, environment: str, said: str
) -> None:
    found = problems(f"{SERVER}{BARE}{app}\n{ENVIRONMENT}{environment}\n")
    key = said.partition(":")[0].rpartition(".")[2]
    assert [one for one in found if "file not found" not in one] == [said.replace("{key}", key)]


def test_a_repository_that_is_a_mistake_is_not_a_missing_one(problems: Callable[..., list[str]]) -> None:
    found = problems(f'{SERVER}{BARE}repo = "-x"\nbranch = "main"\n{ENVIRONMENT}')
    assert [one.partition(":")[0] for one in found] == ["apps.shop.repo"]
