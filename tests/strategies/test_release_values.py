"""The variables by which steps and Compose files know a release; pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import NO_RELEASE, ImagesSource, Pin, Release, Step
from deploybot.strategies import STRATEGIES
from deploybot.strategies.release_values import SINCE_TAGS, lacking_values, release_values
from tests.strategies.conftest import make_app
from tests.strategies.sites import NEW, OLD, answered, site_of

COMMIT = "0123456789abcdef" * 2 + "01234567"
V1 = replace(Release.of_commit(COMMIT, "v1"), committed=1_700_000_000.5, tag="v1")


def test_a_step_knows_its_release_by_every_name() -> None:
    assert release_values(V1) == {
        "DEPLOYBOT_RELEASE": COMMIT,
        "DEPLOYBOT_COMMIT": COMMIT,
        "DEPLOYBOT_SHORT": "0123456789",
        "DEPLOYBOT_REF": "v1",
        "DEPLOYBOT_TAG": "v1",
        "DEPLOYBOT_COMMIT_TIME": "2023-11-14T22:13:20Z",
    }
    assert release_values(replace(V1, ref=COMMIT, tag="", known_as="main"))["DEPLOYBOT_REF"] == "main"


@pytest.mark.parametrize(
    "release", [NO_RELEASE, Release(ImagesSource((Pin("web", "shop", "1", "sha256:" + "0" * 64),)))]
)
def test_what_a_release_does_not_have_is_empty_but_there(release: Release) -> None:
    assert release_values(release) == {**dict.fromkeys(release_values(V1), ""), "DEPLOYBOT_RELEASE": release.id}


@pytest.mark.parametrize("time", [0.0, 1e300, -1e300, 9e15, 253_402_300_800.0])
def test_a_time_that_is_none_is_empty(time: float) -> None:
    assert release_values(replace(V1, committed=time))["DEPLOYBOT_COMMIT_TIME"] == ""


def test_an_early_time_has_four_digits_of_the_year() -> None:
    assert release_values(replace(V1, committed=-60_000_000_000))["DEPLOYBOT_COMMIT_TIME"] == "0068-09-03T13:20:00Z"


def test_what_compose_is_asked_with_is_what_up_and_a_restore_get() -> None:
    compose = STRATEGIES["compose"]
    new, old = replace(NEW, tag="v2", committed=2.0), replace(OLD, tag="v1", committed=1.0)
    site = replace(site_of(good=frozenset({OLD.id})), app=make_app("compose"))
    asked = compose.ask(site, new)
    assert asked
    plan = compose.deploy(answered(site, NEW), new, old)
    for step in plan.steps:
        assert {name: dict(step.env)[name] for name in SINCE_TAGS} == {
            name: dict(asked.env)[name] for name in SINCE_TAGS
        }
    assert {dict(step.env)["DEPLOYBOT_TAG"] for step in plan.restore} <= {"v1"}


def test_a_step_of_the_version_before_gets_what_it_lacks() -> None:
    step = Step(name="up", script="compose_up", env=(("DEPLOYBOT_REF", "v1"), ("DEPLOYBOT_RELEASE", COMMIT)))
    lacks = {name: value for name, value in release_values(V1).items() if name in SINCE_TAGS}
    assert lacking_values(step, (NEW, V1)) == lacks
    has = replace(step, env=(*step.env, *((name, "") for name in SINCE_TAGS)))
    assert lacking_values(has, (NEW, V1)) == {}
    unknown = lacking_values(step, (NEW,))
    assert unknown == {"DEPLOYBOT_SHORT": "0123456789", "DEPLOYBOT_TAG": "", "DEPLOYBOT_COMMIT_TIME": ""}
    assert lacking_values(replace(step, env=()), (NEW,)) == dict.fromkeys(SINCE_TAGS, "")


@pytest.mark.parametrize("name", ["x$(id)", "a b", "a;b", "-x", "a'b", "ü", "x" * 201])
def test_a_name_that_nobody_could_type_reaches_no_step(name: str) -> None:
    """A default branch may have such a name: no person types it, and it triggers nothing."""
    values = release_values(Release.of_commit(COMMIT, name))
    assert (values["DEPLOYBOT_REF"], values["DEPLOYBOT_TAG"]) == (COMMIT, "")
    values = release_values(replace(V1, tag=name, known_as=name))
    assert (values["DEPLOYBOT_REF"], values["DEPLOYBOT_TAG"]) == (COMMIT, "")
