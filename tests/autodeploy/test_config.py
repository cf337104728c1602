"""bot.toml's `auto`: what does not fit together is said, each in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.config import load
from deploybot.errors import ConfigError

BASE = """
[http]
[servers.web1]
ssh = "deploy@web1"
key = {{ file = "key" }}
[apps.shop]
repo = "/srv/git/shop.git"
strategy = "compose"
directory = "/srv/shop"
{app}
[apps.shop.environments.staging]
servers = ["web1"]
auto = {auto}
{more}
"""
HOOK = '[apps.shop.hooks.{}]\nsecret = {{ env = "SECRET" }}'
AUTO = "apps.shop.environments.staging.auto"


def problems(tmp_path: Path, auto: str, *, app: str = "", hook: str = "", more: str = "") -> list[str]:
    path = tmp_path / "bot.toml"
    hooks = HOOK.format(hook) if hook else ""
    path.write_text(BASE.format(app=app, auto=auto, more=f"{hooks}\n{more}"))
    try:
        load(path, {}, outside=False)
    except ConfigError as error:
        return list(error.problems)
    return []


@pytest.mark.parametrize(
    ("auto", "said"),
    [
        ("{ ask = true }", f"{AUTO}: has no trigger: give branch, tag, release or image"),
        ("{ image = true }", f"{AUTO}.image: needs images, but apps.shop.images is empty"),
        (
            '{ branch = "main", after = "ci", checks = "test" }',
            f'{AUTO}.checks: is redundant beside after = "ci", which requires all checks; keep one',
        ),
    ],
)
def test_what_does_not_fit(tmp_path: Path, auto: str, said: str) -> None:
    assert problems(tmp_path, auto, hook="github") == [said]


def test_builds_and_releases_need_a_sender(tmp_path: Path) -> None:
    (builds,) = problems(tmp_path, '{ branch = "main", after = "ci" }')
    assert builds.startswith(f"{AUTO}.after: waits for builds, but no webhook reports them")
    (release,) = problems(tmp_path, "{ release = true }", hook="dockerhub")
    assert release.startswith(f"{AUTO}.release: waits for releases, but no forge's webhook reports them")
    assert problems(tmp_path, "{ release = true }", hook="gitea") == []


def test_a_check_is_a_senders_that_may_call(tmp_path: Path) -> None:
    auto = '{ branch = "main", checks = ["test", "jenkins:shop"] }'
    (said,) = problems(tmp_path, auto, hook="github")
    assert said == (
        f"{AUTO}.checks: waits for jenkins:shop, but jenkins has no webhook: add [apps.shop.hooks.jenkins], "
        "or name another sender"
    )
    jenkins, event = HOOK.format("jenkins"), HOOK.format("event")
    assert problems(tmp_path, auto, hook="github", more=jenkins) == []
    (unclear,) = problems(tmp_path, '{ branch = "main", checks = "test" }', hook="jenkins", more=event)
    assert unclear == f'{AUTO}.checks: names no sender for test: write, for example, "event:test"'
    assert problems(tmp_path, '{ branch = "main", checks = "test" }', hook="jenkins") == []


def test_an_image_has_no_builds_and_no_paths(tmp_path: Path) -> None:
    images = '[apps.shop.images.web]\nimage = "acme/shop"'
    said = problems(tmp_path, '{ image = true, checks = "test", paths = "a/**" }', hook="github", more=images)
    assert [line.partition(": ")[0] for line in said] == [f"{AUTO}.checks", f"{AUTO}.paths"]
    assert problems(tmp_path, '{ image = true, branch = "main", paths = "a/**" }', more=images) == []


def test_a_poll_is_neither_idle_nor_a_flood(tmp_path: Path) -> None:
    (fast,) = problems(tmp_path, '{ branch = "main" }', app='poll = "1s"')
    assert fast.startswith('apps.shop.poll: should be at least "10s"')
    text = BASE.format(app='poll = "1m"', auto="{}", more="").replace("auto = {}\n", "")
    (tmp_path / "bot.toml").write_text(text)
    with pytest.raises(ConfigError, match="no environment has `auto`"):
        load(tmp_path / "bot.toml", {}, outside=False)
