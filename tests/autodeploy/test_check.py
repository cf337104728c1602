"""`deploybot check` asks what a look asks, and says what it finds."""

from __future__ import annotations

from pathlib import Path

from deploybot.check import CheckState, Row
from deploybot.check.app_checks import try_auto
from deploybot.settings import App
from deploybot.testing import FakeRefs
from tests.autodeploy.conftest import auto_settings


async def rows(app: App, refs: FakeRefs) -> list[Row]:
    return [row async for row in try_auto(app, refs)]


async def test_what_is_there_is_said_and_what_is_not_has_a_cure(tmp_path: Path) -> None:
    staging, production = {"auto": {"branch": "develop", "tag": "v*"}}, {"auto": {"branch": "main"}}
    app = auto_settings(tmp_path, staging, production).apps["shop"]
    refs = FakeRefs(tmp_path)
    refs.branches = {"develop": "1" * 40}
    refs.tags = {"v1.9": "2" * 40, "v1.10": "3" * 40}
    good, bad = await rows(app, refs)
    assert (good.what, good.state, good.text) == (
        "auto staging",
        CheckState.OK,
        "develop is 1111111111, the newest tag is v1.10",
    )
    assert (bad.what, bad.state, bad.text) == (
        "auto production",
        CheckState.FAILED,
        "the repository has no branch main",
    )
    assert bad.fix == "Push one, or change apps.shop.environments.production.auto."


async def test_a_repository_that_does_not_answer_is_one_row(tmp_path: Path) -> None:
    app = auto_settings(tmp_path, {"auto": {"branch": "develop"}}).apps["shop"]
    refs = FakeRefs(tmp_path)
    refs.down = "nothing listens there"
    (row,) = await rows(app, refs)
    assert (row.state, row.text) == (CheckState.FAILED, "nothing listens there")


async def test_matching_tags_that_do_not_count_are_named_with_the_reason(tmp_path: Path) -> None:
    app = auto_settings(tmp_path, {"auto": {"tag": "v*"}}).apps["shop"]
    refs = FakeRefs(tmp_path)
    refs.tags = dict.fromkeys(("v1.9", "v2.0-rc.1", "vnext", "other-app-v3"), "2" * 40)
    (row,) = await rows(app, refs)
    ignored = "vnext: it is not a version, but other tags are; v2.0-rc.1: it is a pre-release, and `v*` has no `-`"
    assert row.text == f"the newest tag is v1.9 (ignored: {ignored})"
    refs.tags = {"v2.0-rc.1": "2" * 40}
    (row,) = await rows(app, refs)
    assert row.text == "no tag v* yet (ignored: v2.0-rc.1: it is a pre-release, and `v*` has no `-`)"
