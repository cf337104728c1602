"""Which images releases of the version before ran."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.deployments.legacy_releases import OldRelease, read_old
from deploybot.domain import Image, Manifest, Release, ServiceImage
from tests.lab import Repo
from tests.legacy.conftest import DIGEST, ONE, OTHER, TWO, LegacyServer, made_before, pins_of, runs, tagged


async def test_images_are_recorded_from_pins_and_from_what_runs(boxes: LegacyServer, repo: Repo) -> None:
    old = made_before(boxes.server, repo, "v1", pins=pins_of(repo.sha("v1"), web=ONE, db=f"{DIGEST} {OTHER}"))
    now = made_before(
        boxes.server, repo, "v2", current=True, pins=pins_of(repo.sha("v2"), web=TWO, db=f"{DIGEST} {OTHER}")
    )
    # The image of `web` now has lost its tag, and two containers run it.
    boxes.engine.all_images = [tagged("web", ONE), tagged("db", OTHER, DIGEST)]
    containers = [runs("web", TWO, now), runs("web", TWO, now, number=2), runs("db", OTHER, now, DIGEST)]
    boxes.engine.all = {"shop": containers}
    for one in (old, now):
        await boxes.deployed(one)
    part = await boxes.plan("v3")
    files = ("compose.yaml", "ops/more.yaml")
    db = ServiceImage(service="db", image=OTHER, name="deploybot/shop/db:333333333333", digest=DIGEST)
    web = ServiceImage(service="web", image=ONE, name="deploybot/shop/web:111111111111")
    two = ServiceImage(service="web", image=TWO, name="deploybot/shop/web:222222222222", replicas=2)
    assert await boxes.manifests() == {
        old: Manifest(services=(web, db), files=files),
        now: Manifest(services=(two, db), files=files),
    }
    assert await boxes.verified() == {old: True, now: True}
    assert part.replaces == Release.of_commit(now)
    assert [step.name for step in (await boxes.plan("v1", rollback=True)).steps] == ["switch"]
    marks = boxes.server.directory / ".deploybot/releases" / old
    assert (marks / "files").read_text().splitlines() == list(files)


@pytest.mark.parametrize("wrong", ["another image", "image gone", "by hand", "two images", "moved tag"])
async def test_images_that_are_not_sure_are_not_recorded(boxes: LegacyServer, repo: Repo, wrong: str) -> None:
    now = made_before(boxes.server, repo, "v1", current=True, pins=pins_of(repo.sha("v1"), web=ONE))
    runs_one, runs_two = runs("web", ONE, now), runs("web", TWO, now, number=2)
    boxes.engine.all = {
        "shop": {
            "another image": [replace(runs_two, labels=runs_one.labels)],
            "image gone": [],
            "by hand": [replace(runs_one, labels=())],
            "two images": [runs_one, replace(runs_two, labels=runs_one.labels)],
            "moved tag": [],
        }[wrong]
    }
    moved = Image(id=TWO, tags=tagged("web", ONE).tags)
    boxes.engine.all_images = [moved] if wrong == "moved tag" else []
    await boxes.deployed(now)
    assert (await boxes.site()).facts.releases == (now,)
    assert await boxes.manifests() == {}


def test_only_files_as_the_bot_writes_them_are_read() -> None:
    release, good = "a" * 40, pins_of("b" * 40, web=ONE)
    assert read_old(shown(release, good, "compose.yaml")) == {
        release: OldRelease(("compose.yaml",), read_old(shown(release, good))[release].pins)
    }
    assert read_old(b"") == {}
    assert read_old(f"release {release}\n".encode()) == {release: OldRelease()}
    wrong = (
        good.replace("deploybot/shop", "evil/shop"),
        good.replace("# Made by deploybot", "# Made by me"),
        good.replace("pull_policy: never", "privileged: true"),
        good + "    volumes: [/:/host]\n",
        good[:-30],
    )
    assert [read_old(shown(release, text)) for text in wrong] == [{}] * len(wrong)
    paths = ("/etc/passwd", "../other/compose.yaml", "-f", "a\tb")
    assert [read_old(shown(release, good, path)) for path in paths] == [{}] * len(paths)
    assert read_old(shown(release, good, *map(str, range(30)))) == {}


def shown(release: str, pins: str, *files: str) -> bytes:
    """What `adopt.sh` prints of a release."""
    lines = [f"release {release}", *(f"compose {one}" for one in files)]
    return "\n".join([*lines, *(f"pins {line}" for line in pins.splitlines()), ""]).encode()
