"""The log of a deployment: its steps in order, while it runs and afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.applogs import deployment_logs as module
from deploybot.domain import Deployment, Kind, Plan, Release, State
from tests.status.scene import Scene, settings


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(settings(tmp_path))
    made.deployments.parts = [("web1 fetch", tmp_path / "a.log"), ("web1 build", tmp_path / "b.log")]
    (tmp_path / "a.log").write_text("one\ntwo\n")
    (tmp_path / "b.log").write_text("three\nfour\n")
    put(made, State.RUNNING)
    return made


def put(scene: Scene, state: State) -> Deployment:
    plan = Plan(
        kind=Kind.DEPLOY, app="shop", environment="production", release=Release.of_commit("1" * 40, "v1"), servers=()
    )
    made = Deployment(number=7, plan=plan, state=state, requester=1, requester_name="ana")
    scene.deployments.rows[7] = made
    return made


def read(path: str) -> str:
    return Path(path).read_text()


def build_of(scene: Scene) -> Path:
    return scene.deployments.parts[1][1]


async def test_each_step_is_named_above_its_lines(scene: Scene) -> None:
    card = await scene.of_deployment(scene.deployments.rows[7])
    assert card.code == ("== web1 fetch ==", "one", "two", "== web1 build ==", "three", "four")
    assert card.title == "Log of #7 shop/production · running"
    assert card.hint == "`logs #7 follow` shows what comes next."
    assert (await scene.of_deployment(put(scene, State.SUCCEEDED))).hint == ""


async def test_the_last_lines_over_all_steps(scene: Scene) -> None:
    card = await scene.of_deployment(scene.deployments.rows[7], lines=3)
    assert card.code == ("== web1 fetch ==", "two", "== web1 build ==", "three", "four")
    assert card.footer == "The last 3 lines; `logs #7 file` has all of them."


async def test_search(scene: Scene) -> None:
    assert (await scene.of_deployment(scene.deployments.rows[7], grep="THREE")).code == ("== web1 build ==", "three")
    card = await scene.of_deployment(scene.deployments.rows[7], grep="nothing")
    assert (card.code, card.text) == ((), "No line contains “nothing”.")


async def test_a_deployment_that_has_not_begun_says_so(scene: Scene) -> None:
    scene.deployments.parts = []
    assert (await scene.of_deployment(put(scene, State.WAITING))).text == "No step has written anything yet."
    card = await scene.of_deployment(put(scene, State.SUCCEEDED), file=True)
    assert (card.text, card.files) == ("No step of it wrote anything, or its log is not kept any more.", ())


async def test_all_of_it_is_a_file(scene: Scene) -> None:
    for query in ({"file": True, "lines": 200_000}, {"lines": 1001}):
        (file,) = (await scene.of_deployment(scene.deployments.rows[7], **query)).files
        assert file.name == "deployment-7.txt"
        assert read(file.path) == "one\ntwo\nthree\nfour\n"


async def test_following_ends_with_the_deployment_and_loses_no_line(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line comes together with the end, and without a line end."""
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    task = asyncio.create_task(scene.of_deployment(scene.deployments.rows[7], lines=1, follow=True))
    await scene.until(lambda: "four" in scene.lines)
    assert scene.lines == ["== web1 build ==", "four"]
    assert scene.logs.following("log-1") is not None
    with build_of(scene).open("a") as file:
        file.write("five\nsi")
    await scene.until(lambda: "five" in scene.lines)
    with build_of(scene).open("a") as file:
        file.write("x\nseven")
    put(scene, State.FAILED)
    card = await task
    assert scene.lines == ["== web1 build ==", "four", "five", "six", "seven"]
    assert (card.title, card.final) == ("log-1: #7 shop/production · failed", True)
    assert scene.logs.following("log-1") is None


async def test_following_can_be_stopped(scene: Scene) -> None:
    task = asyncio.create_task(scene.of_deployment(scene.deployments.rows[7], follow=True))
    await scene.until(lambda: "four" in scene.lines)
    assert scene.logs.stop("log-1")
    assert (await task).title == "log-1: stopped following the log of #7"


async def test_a_log_that_a_crash_cut_back_goes_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    task = asyncio.create_task(scene.of_deployment(scene.deployments.rows[7], lines=9, follow=True))
    await scene.until(lambda: "four" in scene.lines)
    build_of(scene).write_text("three\n")
    seen = len(scene.cards)
    put(scene, State.FAILED)
    await task
    assert len(scene.cards) == seen
    assert replace(scene.deployments.rows[7]).state is State.FAILED


async def test_a_long_line_is_cut(scene: Scene) -> None:
    build_of(scene).write_text("x" * 100_000 + "\ny\n")
    card = await scene.of_deployment(scene.deployments.rows[7], lines=2)
    assert [len(line) for line in card.code] == [len("== web1 build =="), 2002, 1]
