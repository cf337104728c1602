"""The rule for builds, case by case: what is one thing, which is newer, where it comes from, and what follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploybot.domain import Build, BuildState
from deploybot.events.build_verdicts import (
    AHEAD,
    KEPT_NAMES,
    BuildIdentity,
    BuildOrigin,
    BuildVerdict,
    Light,
    counted,
    dated,
    identity,
    is_newer,
    is_own,
    joined,
    judge,
    judge_all,
    judge_named,
    origin,
    serial,
    series,
    standing,
)
from deploybot.settings import Auto
from deploybot.settings.build_senders import Check, check_of, forge_named, forge_of
from tests.events.channel import settings

NOON = 1_800_014_400.0
QUEUED, RUNNING, PASSED, FAILED, CANCELLED, SKIPPED = BuildState
CI = Auto(branch="main", after="ci")


def run(name: str = "tests", state: BuildState = PASSED, number: int = 0, **more: Any) -> Build:  # noqa: ANN401  it is passed on
    """A run of a workflow that has a number, or of what has none."""
    given: dict[str, Any] = {"sender": "github", "key": f"{name}-{number}", "run": number, "number": number} | more
    return Build(name=name, state=state, **given)


def light(*builds: Build, ref: str = "main") -> str:
    return judge_all(builds, ref).light.value


def test_two_workflows_of_one_name_are_two() -> None:
    red = run("CI", FAILED, 7, workflow="1 .github/workflows/a.yml")
    green = run("CI", PASSED, 8, workflow="2 .github/workflows/b.yml")
    assert identity(red) != identity(green)
    assert light(red, green) == "red"
    assert light(replace(red, workflow=green.workflow), green) == "green"


@pytest.mark.parametrize(
    "other",
    [{"sender": "jenkins"}, {"workflow": "2 b.yml"}, {"stage": "deploy"}, {"job": "unit"}],
)
def test_another_sender_workflow_stage_or_job_is_another_thing(other: dict[str, str]) -> None:
    red = run("CI", FAILED, 41, workflow="1 a.yml")
    assert light(red, run("CI", PASSED, 42, workflow="1 a.yml")) == "green"
    assert light(red, run("CI", PASSED, 42, **{"workflow": "1 a.yml", **other})) == "red"


def test_a_commit_that_is_built_again_heals_and_sickens() -> None:
    red, green = run("shop", FAILED, 41, sender="jenkins"), run("shop", PASSED, 42, sender="jenkins")
    assert light(red, green) == light(green, red) == "green"
    assert light(replace(red, run=43), green) == "red"
    assert light(run("shop", RUNNING, 43, sender="jenkins"), red, green) == "waits"


def test_what_has_no_number_is_one_of_its_own() -> None:
    assert identity(run(key="a")) == BuildIdentity("github", "tests", "", "", "a")
    assert light(run(state=FAILED, key="a"), run(key="b")) == "red"
    assert identity(run(number=4)).key == ""
    assert (serial(run(number=4, run=0)), serial(run(number=4, run=9)), serial(run())) == (4, 9, 0)


def test_twins_of_one_number_count_both() -> None:
    assert light(run(state=FAILED, number=7, key="py311"), run(number=7, key="py312")) == "red"


def test_the_branch_itself_counts_before_others() -> None:
    """The same workflow may do less on another branch."""
    here, there = run(state=FAILED, number=7, branch="main"), run(number=8, branch="lax")
    assert (light(here, there), light(here, there, ref="lax"), light(here, there, ref="")) == ("red", "green", "green")
    assert light(there) == "green"
    assert light(run(state=FAILED, number=9, tag="v1"), there, ref="v1") == "red"


def test_cancelled_twins_on_other_branches_do_not_count_against() -> None:
    twin = run(state=CANCELLED, number=9, branch="feature")
    assert light(run(number=8, branch="main"), twin) == "green"
    assert light(run("lint", number=1, branch="main"), twin) == "green"
    assert light(twin) == "waits"
    assert light(twin, ref="feature") == "red"
    assert light(replace(twin, branch="", tag="v1")) == "waits"
    assert light(twin, ref="") == "red"
    # A run that was cancelled elsewhere hides no failure before it.
    assert light(twin, run(state=FAILED, number=8, branch="feature")) == "red"


def test_what_was_skipped_says_nothing() -> None:
    skipped = run(state=SKIPPED, number=9, branch="main")
    assert light(skipped) == "waits"
    assert light(skipped, run(number=8, branch="feature")) == "green"
    assert light(skipped, run(state=FAILED, number=8, branch="main")) == "red"


@pytest.mark.parametrize("fork", [{"fork": True}, {"branch": "ana:main"}, {"branch": "fork:#12"}])
def test_what_may_be_for_a_fork_counts_for_neither(fork: dict[str, Any]) -> None:
    green, red = run(number=9, **fork), run(state=FAILED, number=9, **fork)
    assert origin(green) is BuildOrigin.FORK
    assert light(green) == light(red) == "waits"
    assert light(run(number=8, branch="main"), red) == "green"
    assert light(run(state=FAILED, number=8, branch="main"), green) == "red"
    assert judge_all([green], "main") == BuildVerdict(
        Light.WAITS,
        "No build has been reported as passed (tests passed, perhaps for a fork, which does not count)",
        unreported=True,
    )


def test_a_run_stands_for_its_parts_and_says_where_they_come_from() -> None:
    whole = run("CI", PASSED, 5, workflow="1 a.yml", within="80", branch="main")
    check = run("unit", FAILED, run=900, job="unit", within="80", workflow="suite 80", fork=True)
    suite = run("GitHub Actions", FAILED, run=80, within="80", whole=True, workflow="suite 80", fork=True)
    assert counted([whole, check, suite], "main") == counted([suite, check, whole], "main") == (whole,)
    assert light(whole, replace(check, fork=False), replace(suite, fork=False)) == "green"
    assert light(replace(check, fork=False)) == light(replace(suite, fork=False)) == "red"
    named = judge_named([Check("github", "unit")], [whole, check], "main")
    assert named.why == "Required builds are not green: unit failed"
    # A later run of the workflow has a later job, though the job of the first was run again since.
    later = replace(whole, key="6", run=6, number=6, within="81")
    healed = replace(check, key="c2", state=PASSED, within="81", run=850, workflow="suite 81")
    assert judge_named([Check("github", "unit")], [whole, check, later, healed], "main").light is Light.GREEN
    other = replace(later, workflow="2 b.yml")
    assert judge_named([Check("github", "unit")], [whole, check, other, healed], "main").light is Light.RED
    foreign = [replace(whole, fork=True), replace(check, fork=False, state=PASSED)]
    assert judge_named([Check("github", "unit")], foreign, "main").light is Light.WAITS


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        (run(number=8, at=1.0), run(state=FAILED, number=7, attempt=9, at=9.0)),
        (run(number=7, attempt=2, at=1.0), run(state=FAILED, number=7, at=9.0)),
        (run(at=9.0), run(state=FAILED, at=1.0)),
        (run(state=RUNNING, at=9.0), run(at=1.0)),
        (run(at=5.0), run(state=RUNNING, at=5.0)),
        (run(state=RUNNING, at=5.0), run(state=QUEUED, at=5.0)),
        (run(), run(state=RUNNING, at=5.0)),
        (run(at=5.0), run(state=RUNNING)),
    ],
)
def test_which_of_two_states_is_newer_whatever_came_first(newer: Build, older: Build) -> None:
    assert is_newer(newer, older)
    assert not is_newer(older, newer)


def test_at_a_tie_the_last_that_came_counts() -> None:
    one, two = run(at=5.0), run(state=FAILED, at=5.0)
    assert (joined(one, two).state, joined(two, one).state) == (FAILED, PASSED)
    # What has no number is not older than what has one.
    assert is_newer(run(), run(number=7))


def test_times_from_the_future_are_not_believed() -> None:
    far = run(finished=NOON + 1000 * 365 * 86400, started=NOON - 5)
    assert dated(far, NOON) == replace(far, at=NOON - 5)
    ahead = run(at=NOON + AHEAD)
    assert dated(ahead, NOON) == ahead
    assert dated(run(at=NOON + AHEAD + 1), NOON).at == 0.0
    assert [dated(run(started=3.0, finished=4.0, at=at), NOON).at for at in (0.0, 9.0)] == [4.0, 9.0]
    assert dated(run(at=NOON * 2, finished=4.0, started=3.0), NOON).at == 4.0
    # It blocks nothing that comes after it.
    assert joined(dated(run(state=FAILED, at=NOON * 2), NOON), dated(run(at=NOON), NOON)).state is PASSED


@pytest.mark.parametrize(
    "only", [{"number": 31}, {"run": 7}, {"workflow": "1 a.yml"}, {"path": "a.yml"}, {"within": "80"}, {"fork": True}]
)
def test_a_run_keeps_what_only_one_of_its_states_reports(only: dict[str, Any]) -> None:
    begun, ended = run("CI", RUNNING, at=5.0), run("CI", FAILED, at=9.0)
    for one, two in ((replace(begun, **only), ended), (begun, replace(ended, **only))):
        assert joined(one, two) == joined(two, one) == replace(ended, **only)
    assert joined(None, begun) == begun


def test_the_failed_jobs_of_one_attempt_are_reported_together() -> None:
    states = [run("CI", RUNNING, at=5.0, failed=(name,)) for name in ("unit", "browser", "types", "docs")]
    first = joined(joined(joined(states[0], states[1]), states[2]), states[3])
    assert first.failed == ("browser", "docs", "types", "unit")
    again = run("CI", PASSED, at=9.0, attempt=2)
    assert joined(first, again).failed == joined(again, first).failed == ()
    many = replace(first, failed=tuple(f"job-{number:02}" for number in range(KEPT_NAMES)))
    assert joined(many, states[0]).failed == many.failed


def test_jobs_of_any_run_are_one_series_and_workflows_go_by_their_id() -> None:
    one, two = run("unit", job="unit", workflow="suite 80"), run("unit", job="unit", workflow="suite 81")
    assert series(one) == series(two)
    assert series(run("CI", workflow="1 a.yml")) != series(run("CI", workflow="2 b.yml"))
    assert series(run("CI")) == ("github", "CI", "")


def test_the_bots_own_statuses_are_known() -> None:
    assert [is_own(run(name)) for name in ("deploybot", "deploybot/staging", "deploybots")] == [True, True, False]


@pytest.mark.parametrize(
    ("builds", "why"),
    [
        ((run("a"), run("b", FAILED), run("c", CANCELLED)), "Its builds are not green: b failed, c cancelled"),
        ((run("a"), run("b", QUEUED), run("c", RUNNING)), "Its builds have not ended: b queued, c running"),
        ((run("a", SKIPPED),), "No build has been reported as passed (a skipped)"),
        ((), "No build has been reported as passed"),
        ((run("a"), run("b", SKIPPED)), ""),
    ],
)
def test_every_build_is_waited_for(builds: tuple[Build, ...], why: str) -> None:
    verdict = judge(CI, builds, "main", "github")
    assert (verdict.why, verdict.unreported) == (why, not builds)
    assert judge(Auto(branch="main"), builds, "main", "github").light is Light.GREEN


def test_a_check_belongs_to_its_sender() -> None:
    """GitHub says failed; a script says passed, in a thousand years."""
    red, script = run("tests", FAILED), run("tests", sender="event", at=NOON * 20)
    auto = Auto(branch="main", checks=("tests",))
    assert judge(auto, [red, script], "main", "github").light is Light.RED
    assert judge(auto, [script], "main", "github") == BuildVerdict(
        Light.WAITS,
        'github:tests has not been reported yet. event reports a build of that name: write checks = ["event:tests"].',
        unreported=True,
    )
    assert judge(Auto(branch="main", checks=("event:tests",)), [red, script], "main", "github").light is Light.GREEN


@pytest.mark.parametrize(
    ("builds", "verdict"),
    [
        ((run(),), (Light.GREEN, "")),
        ((run(state=RUNNING),), (Light.WAITS, "Required builds have not ended: tests running")),
        ((run(state=SKIPPED),), (Light.RED, "Required builds are not green: tests skipped")),
        ((run(state=CANCELLED),), (Light.RED, "Required builds are not green: tests cancelled")),
        ((run(workflow="1 a"), run(workflow="2 b", state=FAILED)),
         (Light.RED, "Required builds are not green: tests failed")),
        ((run(workflow="1 a", number=1), run(workflow="2 b", number=2, state=SKIPPED)), (Light.GREEN, "")),
        ((run("CI", path="tests"),), (Light.GREEN, "")),
        ((), (Light.WAITS, "github:tests has not been reported yet.")),
        ((run(fork=True),), (Light.WAITS, "The only reports of github:tests may be for a fork, so they do not count.")),
    ],
)  # fmt: skip
def test_what_a_named_check_says(builds: tuple[Build, ...], verdict: tuple[Light, str]) -> None:
    found = judge_named([Check("github", "tests")], (run("docs", FAILED), *builds), "main")
    assert (found.light, found.why) == verdict


def test_a_job_with_a_number_is_no_run() -> None:
    pipeline = run("pipeline", PASSED, 5, sender="gitlab", workflow="pipeline", within="5", whole=True, branch="main")
    jobs = [
        run(name, FAILED, number, sender="gitlab", workflow="jobs", job=name, within="5", branch="main")
        for number, name in ((7, "audit"), (8, "unit"))
    ]
    assert counted([pipeline, *jobs], "main") == counted([*jobs, pipeline], "main") == (pipeline,)
    assert counted(jobs, "main") == (*jobs,)
    assert counted([replace(pipeline, within="6"), *jobs], "main") == (replace(pipeline, within="6"), *jobs)


@pytest.mark.parametrize(("whole", "part"), [({"branch": "main"}, {"branch": "x"}), ({"tag": "main"}, {"branch": "x"})])
def test_a_part_is_where_its_run_is(whole: dict[str, Any], part: dict[str, Any]) -> None:
    builds = [run("CI", within="80", number=5, **whole), run("unit", CANCELLED, job="unit", within="80", **part)]
    (found,) = (one for one in standing(builds, "main") if one.job)
    assert (found.branch, found.tag) == (whole.get("branch", ""), whole.get("tag", ""))


def test_the_branch_is_asked_for_everywhere() -> None:
    here, there = run(state=FAILED, number=7, branch="main"), run(number=8, branch="lax")
    for auto in (CI, Auto(branch="main", checks=("tests",))):
        assert [judge(auto, [here, there], ref, "github").light.value for ref in ("main", "lax")] == ["red", "green"]


def test_where_nothing_counts_only_forks_are_named() -> None:
    elsewhere, fork = run("lint", CANCELLED, branch="feature"), run("docs", FAILED, fork=True)
    verdict = judge_all([elsewhere, fork], "main")
    assert verdict.unreported
    assert verdict.why.endswith("(docs failed, perhaps for a fork, which does not count)")
    assert judge_all([elsewhere], "main").unreported


def test_each_check_without_a_sender_is_named() -> None:
    senders = [run("lint", sender=name) for name in ("jenkins", "gitlab", "forgejo", "gitea", "event")]
    asked = [Check("github", "tests"), Check("github", "lint")]
    assert judge_named(asked, senders, "main").why == (
        "github:tests has not been reported yet. "
        'github:lint has not been reported yet. event reports a build of that name: write checks = ["event:lint"].'
    )


def test_what_stands_is_kept_for_other_names() -> None:
    assert standing([run("a", number=1), run("a", number=2), run("b", fork=True)], "") == (run("a", number=2),)


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("tests", Check("github", "tests")),
        ("jenkins:shop/main", Check("jenkins", "shop/main")),
        ("event: a b", Check("event", "a b")),
        ("ci/circleci: build", Check("github", "ci/circleci: build")),
        ("travis:x", Check("github", "travis:x")),
        ("jenkins:shop: test", Check("jenkins", "shop: test")),
        ("event", Check("github", "event")),
    ],
)
def test_whose_a_check_is(text: str, check: Check) -> None:
    assert check_of(text, "github") == check
    assert (str(check), str(Check("", "tests"))) == (f"{check.sender}:{check.name}", "tests")


@pytest.mark.parametrize(
    ("repo", "kind", "callers", "forge"),
    [
        ("git@github.com:acme/shop.git", "", {"github", "gitlab"}, "github"),
        ("ssh://git@ssh.github.com:443/acme/shop", "", {"github", "gitlab"}, "github"),
        ("https://gitlab.com/acme/shop", "", {"gitlab", "jenkins"}, "gitlab"),
        ("git@git.example.com:acme/shop.git", "gitea", {"gitea", "github"}, "gitea"),
        ("git@git.example.com:acme/shop.git", "", {"gitlab", "jenkins"}, "gitlab"),
        ("git@github.com:acme/shop.git", "", {"gitlab", "jenkins"}, "gitlab"),
        ("/srv/git/shop.git", "", {"jenkins"}, "jenkins"),
        ("git@github.com:acme/shop.git", "", {"jenkins", "event"}, "github"),
        ("/srv/git/shop.git", "", {"jenkins", "event"}, ""),
        ("file:///srv/git/shop.git", "", {"jenkins", "event"}, ""),
        ("https://ana:x@altssh.gitlab.com:443/acme/shop", "", {"gitlab", "github"}, "gitlab"),
        ("https://www.bitbucket.org/acme/shop", "", {"bitbucket", "github"}, "bitbucket"),
        ("git@git.example.com:acme/shop.git", "github", {"jenkins", "event"}, "github"),
        ("/srv/git/shop.git", "", {"github", "gitlab"}, ""),
    ],
)
def test_whom_a_bare_name_means(repo: str, kind: str, callers: set[str], forge: str) -> None:
    assert forge_of(repo, kind, callers) == forge


def test_whom_an_apps_checks_mean() -> None:
    hook = {"secret": {"env": "HOOK"}}

    def meant(callers: tuple[str, ...] = (), **app: object) -> str:
        return forge_named(settings(**app).apps["shop"], callers)

    assert meant() == ""
    assert meant(hooks={"gitlab": hook}) == meant(("gitlab",)) == "gitlab"
    assert meant(("github",), hooks={"gitlab": hook}) == ""
    assert meant(("github",), hooks={"gitlab": hook}, repo="git@github.com:acme/shop.git") == "github"
    forge = {"kind": "gitea", "token": {"env": "TOKEN"}}
    assert meant(("github", "gitea"), forge=forge) == "gitea"
