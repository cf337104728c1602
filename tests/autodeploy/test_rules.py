"""The pure rules: patterns, versions, what is new, builds."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from deploybot.autodeploy.newest_tag import newest_tag
from deploybot.autodeploy.watched_sources import News, There, news, undated
from deploybot.domain import Build, BuildState, Heads, Pin
from deploybot.domain.versions import tag_version
from deploybot.events.build_verdicts import Light, judge
from deploybot.settings import Auto
from tests.store.examples import seeded

# The order of precedence as semver.org tells it, section 11, with what git tags look like besides.
ORDER = (
    "0.9",
    "v1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "shop-v1.0.0-beta.11",
    "1.0.0-rc.1",
    "v1",
    "v1.0.1",
    "shop/1.9",
    "v1.10",
    "release-2.0.0",
    "2.0.0.1",
    "v10",
)


def test_versions_have_their_order() -> None:
    dice = seeded()
    for one, later in itertools.combinations(ORDER, 2):
        assert tag_version(one) < tag_version(later), (one, later)  # type: ignore[operator]
    tags = dict.fromkeys(dice.sample(ORDER, len(ORDER)), "")
    assert newest_tag(tags, {}, early=True) == "v10"


@pytest.mark.parametrize("tag", ["", "v", "latest", "v1.x", "v1..2", "nightly-abc", "v1.2.3.4.5", "1.2-"])
def test_what_is_no_version(tag: str) -> None:
    assert tag_version(tag) is None


def test_build_metadata_has_no_order() -> None:
    assert tag_version("1.0.0+a") == tag_version("1.0.0+b")


def test_a_new_branch_of_a_pattern_is_new_and_the_first_ones_are_not() -> None:
    auto = Auto(branch="release/*")
    first = news(auto, There(Heads({"release/1": "a" * 40, "main": "b" * 40})), {}, {})
    assert (first.found, dict(first.first)) == ((), {"branch release/*": "", "heads/release/1": "a" * 40})
    heads = Heads({"release/1": "a" * 40, "release/2": "c" * 40})
    (found,) = news(auto, There(heads), first.first, {}).found
    assert (found.where, found.commit, found.before) == ("heads/release/2", "c" * 40, "")


def test_tags_that_are_no_versions_go_by_the_dates_of_their_commits() -> None:
    auto = Auto(tag="night-*")
    heads = Heads(tags={"night-b": "b" * 40, "night-a": "a" * 40})
    there = There(heads)
    assert set(undated(auto, there)) == {"a" * 40, "b" * 40}
    seen = {"tag night-*": "", "newest tag night-*": f"night-b {'b' * 40}"}
    dates = {"a" * 40: 2.0, "b" * 40: 1.0}
    (found,) = news(auto, there, seen, dates).found
    assert found.where == "tags/night-a"
    assert news(auto, there, seen, {"a" * 40: 1.0, "b" * 40: 2.0}).found == ()


def test_what_came_early_counts_where_the_pattern_says_so() -> None:
    tags = {"v1.0": "a", "v2.0-rc.1": "b"}
    assert (newest_tag(tags, {}, early=False), newest_tag(tags, {}, early=True)) == ("v1.0", "v2.0-rc.1")
    assert newest_tag({"v2.0-rc.1": "b"}, {}, early=False) == ""


def test_a_newest_tag_that_was_deleted_brings_no_older_one() -> None:
    auto = Auto(tag="v*")
    seen = {"tag v*": "", "newest tag v*": f"v2 {'b' * 40}"}
    fresh = news(auto, There(Heads(tags={"v1": "a" * 40})), seen, {})
    assert fresh.found == ()
    (left,) = fresh.left
    assert (left.where, left.gone) == ("tags/v1", "v2")
    both = There(Heads(tags={"v1": "a" * 40, "v2": "b" * 40}))
    assert news(auto, both, seen, {}) == News()


def test_a_registry_that_was_not_asked_says_nothing() -> None:
    auto = Auto(image=True)
    assert news(auto, There(), {}, {}).first == {}
    pin = Pin("web", "acme/shop", "latest", "sha256:" + "1" * 64)
    assert set(news(auto, There(images=(pin,)), {}, {}).first) == {"image", "images"}


def built(name: str, state: BuildState, **more: Any) -> Build:  # noqa: ANN401  it is passed on
    return Build(**({"sender": "github", "key": name, "name": name, "state": state} | more))


PASSED, FAILED, RUNNING, SKIPPED, CANCELLED = (
    BuildState.PASSED,
    BuildState.FAILED,
    BuildState.RUNNING,
    BuildState.SKIPPED,
    BuildState.CANCELLED,
)


@pytest.mark.parametrize(
    ("states", "light"),
    [
        ((), Light.WAITS),
        ((SKIPPED,), Light.WAITS),
        ((PASSED,), Light.GREEN),
        ((PASSED, SKIPPED), Light.GREEN),
        ((PASSED, RUNNING), Light.WAITS),
        ((PASSED, FAILED, RUNNING), Light.RED),
        ((PASSED, CANCELLED), Light.RED),
    ],
)
def test_all_that_is_known_has_to_be_green(states: tuple[BuildState, ...], light: Light) -> None:
    builds = [built(f"b{number}", state) for number, state in enumerate(states)]
    assert judge(Auto(branch="main", after="ci"), builds, "main", "github").light is light
    assert judge(Auto(branch="main"), builds, "main", "github").light is Light.GREEN


def test_each_named_check_has_to_be_green() -> None:
    auto = Auto(branch="main", checks=("test", "lint"))
    test = built("test", PASSED)
    for lint, light in ((None, Light.WAITS), (PASSED, Light.GREEN), (SKIPPED, Light.RED), (RUNNING, Light.WAITS)):
        builds = [test, built("docs", FAILED), *([built("lint", lint)] if lint else [])]
        assert judge(auto, builds, "main", "github").light is light
