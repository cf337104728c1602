"""What forges show of deployments, on doubles that refuse what their documents do not allow."""

from __future__ import annotations

import pytest

from deploybot.domain import OWN, ArtifactSource, CommitWithImages, ImagesSource, Kind, Release, ReleaseSource, State
from deploybot.errors import Unreachable
from deploybot.ports import ChatFinding
from deploybot.reporting.report_http import Caller
from deploybot.reporting.report_targets import connected
from deploybot.reporting.reporter_port import ReportTools
from deploybot.store.database import Database
from tests.kit.settings import bot_settings
from tests.reporting.doubles import LOST, REPOSITORY, TOKEN, Fault, Gitea, GitHub, GitLab
from tests.reporting.reporting_bot import ReportingBot, reporting_settings, sha

Forges = tuple[GitHub, GitLab, Gitea]


@pytest.fixture
def forges(github: GitHub, gitlab: GitLab, gitea: Gitea) -> Forges:
    """All of them."""
    return github, gitlab, gitea


async def test_github_has_a_deployment_with_its_states_and_a_status_of_the_commit(
    store: Database, github: GitHub
) -> None:
    bot = ReportingBot(store, reporting_settings(forge=("github", github.url)))
    deployment = await bot.deploy(reason="a fix")
    await bot.told()
    (made,) = github.deployments
    assert (made["ref"], made["environment"], made["task"]) == (sha(), "production", "deploy")
    assert (made["auto_merge"], made["required_contexts"]) == (False, [])
    assert made["payload"] == {OWN: {"app": "shop", "deployment": deployment.number, "created": deployment.created}}
    assert str(made["description"]).split()[0] == OWN
    assert github.states == {1000: ["queued", "in_progress", "success"]}
    assert [body["state"] for _, body in github.statuses] == ["pending", "pending", "success"]
    assert {body["context"] for _, body in github.statuses} == {f"{OWN}/production"}
    assert str(github.statuses[-1][1]["description"]).startswith("#1 succeeded after ")


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ((State.RUNNING, State.FAILED), ("failure", "failure", "failed", "failed", "failure")),
        ((State.RUNNING, State.RESTORING, State.RESTORED), ("failure", "failure", "failed", "failed", "failure")),
        ((State.RUNNING, State.CANCELLED), ("inactive", "error", "canceled", "canceled", "warning")),
        ((State.RUNNING, State.UNKNOWN), ("error", "error", "failed", "failed", "error")),
        ((State.CANCELLED,), ("inactive", "error", "", "canceled", "warning")),
    ],
)
async def test_each_end_has_its_word_on_each_forge(
    store: Database, forges: Forges, states: tuple[State, ...], told: tuple[str, str, str, str, str]
) -> None:
    github, gitlab, gitea = forges
    for kind, url in (("github", github.url), ("gitlab", gitlab.url), ("forgejo", gitea.url)):
        bot = ReportingBot(store, reporting_settings(forge=(kind, url)))
        await bot.deploy(states)
        await bot.told()
    moves = [moves[-1] for moves in gitlab.moves.values()]
    assert (
        github.states[1000][-1],
        github.statuses[-1][1]["state"],
        moves[0] if moves else "",
        gitlab.statuses[sha(), f"{OWN}/production"][-1],
        gitea.statuses[-1][1]["state"],
    ) == told


async def test_a_success_makes_the_one_before_inactive_there_and_no_other(store: Database, github: GitHub) -> None:
    bot = ReportingBot(store, reporting_settings(forge=("github", github.url)))
    await bot.deploy(number=1)
    await bot.deploy(number=1, environment="staging")
    await bot.deploy((State.RUNNING, State.FAILED), number=2)
    await bot.deploy(number=3, kind=Kind.ROLLBACK)
    await bot.told()
    ends = {number: states[-1] for number, states in github.states.items()}
    assert ends == {1000: "inactive", 1001: "success", 1002: "failure", 1003: "success"}
    assert github.deployments[3]["task"] == "rollback"


@pytest.mark.parametrize("kind", [Kind.RESTART, Kind.TASK])
async def test_what_releases_nothing_is_not_reported_to_a_forge(store: Database, github: GitHub, kind: Kind) -> None:
    bot = ReportingBot(store, reporting_settings(forge=("github", github.url)))
    await bot.deploy(kind=kind)
    await bot.deploy(app="blog")
    assert await bot.waiting() == 0


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
@pytest.mark.parametrize("source", [ArtifactSource("a" * 64), ImagesSource((), "b" * 64)])
async def test_a_forge_gets_no_report_of_a_release_without_a_commit(
    store: Database, forges: Forges, kind: str, source: ReleaseSource
) -> None:
    url = next(one.url for one in forges if type(one).__name__.lower() == kind)
    bot = ReportingBot(store, reporting_settings(forge=(kind, url)))
    await bot.deploy(release=Release(source))
    assert await bot.waiting() == 0
    await bot.deploy(release=Release(CommitWithImages(sha(), (), "f" * 12)))
    assert await bot.waiting() == 3


@pytest.mark.parametrize("kind", ["github", "gitlab"])
async def test_a_deployment_whose_answer_was_lost_is_found_again_and_not_made_twice(
    store: Database, github: GitHub, gitlab: GitLab, kind: str
) -> None:
    double: GitHub | GitLab = github if kind == "github" else gitlab
    lost = 0

    def lose(method: str, path: str) -> Fault:
        nonlocal lost
        if method == "POST" and path.endswith("/deployments") and not lost:
            lost += 1
            return LOST
        return None

    double.fault = lose
    bot = ReportingBot(store, reporting_settings(forge=(kind, double.url)))
    await bot.deploy()
    await bot.told()
    assert lost == 1
    assert len(double.deployments) == 1
    ends = github.states[1000] if kind == "github" else gitlab.moves[500]
    assert ends[-1] == "success"


async def test_gitlab_has_a_deployment_once_it_runs_and_each_of_its_states(store: Database, gitlab: GitLab) -> None:
    bot = ReportingBot(store, reporting_settings(forge=("gitlab", gitlab.url)))
    await bot.deploy()
    await bot.told()
    (made,) = gitlab.deployments
    assert (made["sha"], made["environment"], made["ref"]) == (sha(), "production", "v1")
    assert gitlab.moves == {500: ["running", "success"]}
    assert gitlab.statuses == {(sha(), f"{OWN}/production"): ["pending", "running", "success"]}


async def test_gitlab_may_get_a_state_that_it_has_already(store: Database, gitlab: GitLab) -> None:
    def lose_all_writes_once(method: str, path: str) -> Fault:
        first = gitlab.calls.count((method, path)) == 1
        return LOST if first and method in {"PUT", "POST"} else None

    gitlab.fault = lose_all_writes_once
    bot = ReportingBot(store, reporting_settings(forge=("gitlab", gitlab.url)))
    await bot.deploy()
    await bot.told()
    assert {fate for _, fate in await bot.fates()} == {"sent"}
    assert gitlab.moves == {500: ["running", "success"]}


async def check(
    kind: str, url: str, store: Database, *, token: str = TOKEN, repository: str = REPOSITORY
) -> list[ChatFinding]:
    settings = reporting_settings(forge=(kind, url), token=token, repository=repository)
    caller = Caller()
    try:
        (target,) = connected(settings, ReportTools(caller, store)).values()
        return [found async for found in target.check()]
    finally:
        await caller.close()


async def test_a_token_is_tried_by_reading_alone(store: Database, github: GitHub, gitlab: GitLab, gitea: Gitea) -> None:
    for kind, double in (("github", github), ("gitlab", gitlab), ("gitea", gitea)):
        (found,) = await check(kind, double.url, store)
        assert found.fix == ""
        assert {method for method, _ in double.calls} == {"GET"}
    gitea.push = False
    (found,) = await check("gitea", gitea.url, store)
    assert "write" in found.fix


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
async def test_a_token_that_does_not_open_it_is_reported_without_the_token(
    store: Database, forges: Forges, kind: str
) -> None:
    double = dict(zip(("github", "gitlab", "gitea"), forges, strict=True))[kind]
    with pytest.raises(Unreachable, match="401: Bad credentials") as caught:
        await check(kind, double.url, store, token="wrong-token-of-mine")
    assert "token" in caught.value.hint
    assert "wrong-token" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("kind", ["github", "gitlab", "forgejo"])
async def test_two_apps_of_one_repository_do_not_hide_each_other(store: Database, forges: Forges, kind: str) -> None:
    github, gitlab, gitea = forges
    url = {"github": github.url, "gitlab": gitlab.url, "forgejo": gitea.url}[kind]
    bot = ReportingBot(store, reporting_settings(forge=(kind, url), shared=True))
    failed = await bot.deploy((State.RUNNING,), app="shop")
    await bot.told()
    await bot.deploy(app="blog")
    await bot.deploy(app="blog", environment="live")
    await bot.told()
    await bot.move(failed.number, State.FAILED)
    await bot.told()
    named = {"shop/production", "blog/production", "live"}
    contexts = {f"{OWN}/{name}" for name in named}
    if kind == "github":
        assert {made["environment"] for made in github.deployments} == named
        assert {number: states[-1] for number, states in github.states.items()} == {
            1000: "failure",
            1001: "success",
            1002: "success",
        }
        assert {body["context"] for _, body in github.statuses} == contexts
    elif kind == "gitlab":
        assert {made["environment"] for made in gitlab.deployments} == named
        assert gitlab.moves[500] == ["running", "failed"]
        assert {context for _, context in gitlab.statuses} == contexts
    else:
        assert {body["context"] for _, body in gitea.statuses} == contexts


async def test_the_forge_of_artifacts_gets_no_reports(store: Database) -> None:
    """Nor does such an app change how another one of its repository is reported."""
    forge = {"kind": "github", "token": {"env": "T"}}
    repo = {"repo": "git@github.com:acme/shop.git", "forge": forge}
    settings = bot_settings(apps={"shop": repo, "site": {**repo, "artifact": {"actions": "site"}}})
    targets = connected(settings, ReportTools(Caller(), store))
    assert [*targets] == ["forge:shop"]
    assert type(targets["forge:shop"]).__name__ == "GitHubReporter"
