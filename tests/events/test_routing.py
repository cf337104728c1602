"""Which apps an event is about: however its repository is written."""

from __future__ import annotations

import pytest

from deploybot.domain import Alert, Build, BuildState, Event, ImagePushed, Push, Synced
from deploybot.events.app_matching import Routes, repository
from tests.kit.settings import bot_settings

_APPS = {
    "shop": "git@github.com:acme/shop.git",
    "till": "https://github.com/acme/shop",  # another app of the same repository
    "blog": "ssh://git@git.example.com:2222/Acme/Blog.git",
    "wiki": "/srv/git/wiki.git",
    "own": "https://gitlab.com/group/sub/own.git",
}


def _routes() -> Routes:
    apps: dict[str, dict[str, object]] = {
        name: {"repo": repo, "strategy": "compose", "environments": {"live": {}}} for name, repo in _APPS.items()
    }
    apps["shop"]["images"] = {"web": {"image": "registry.example.com:5000/acme/shop"}}
    apps["blog"]["images"] = {"web": {"image": "acme/blog"}}
    return Routes(bot_settings(apps=apps))


ROUTES = _routes()


def push(repository: str, url: str = "") -> Push:
    return Push(sender="github", repository=repository, url=url, branch="main")


def built(sender: str, url: str, host: str = "") -> Build:
    """A build of acme/shop, whose page is the CI's."""
    return Build(
        sender=sender, repository="acme/shop", url=url, host=host, key="7", name="tests", state=BuildState.PASSED
    )


def pushed(name: str) -> ImagePushed:
    return ImagePushed(sender="registry", image=name, tag="latest")


@pytest.mark.parametrize(
    "url",
    [
        "git@github.com:acme/shop.git",
        "git@github.com:/acme/shop",
        "github.com:acme/shop.git",
        "ssh://git@github.com/acme/shop.git",
        "ssh://git@ssh.github.com:443/acme/shop.git",
        "https://github.com/acme/shop",
        "https://github.com/acme/shop.git/",
        "https://user@GitHub.com:443/Acme/Shop.git",
        "git://www.github.com/acme/shop.git",
    ],
)
def test_a_repository_has_one_name(url: str) -> None:
    assert repository(url) == "github.com/acme/shop"


@pytest.mark.parametrize(
    ("event", "apps"),
    [
        (push("acme/shop", "https://github.com/acme/shop/commit/1"), ("shop", "till")),
        (push("Acme/Shop"), ("shop", "till")),
        (push("acme/shop", "https://gitlab.com/acme/shop"), ()),
        (push("acme/blog", "https://git.example.com/acme/blog"), ("blog",)),
        (push("group/sub/own", "https://gitlab.com/group/sub/own"), ("own",)),
        (push("sub/own", "https://gitlab.com/sub/own"), ()),
        (push("anybody/wiki", "http://forge.example.com/anybody/wiki"), ("wiki",)),
        (push(""), ()),
        (built("github", "https://ci.example.com/7", host="github.com"), ("shop", "till")),
        (built("gitlab", "https://ci.example.com/7", host="gitlab.com:443"), ()),
        (built("jenkins", "https://ci.example.com/job/shop/7"), ("shop", "till")),
        (built("jenkins", "https://ci.example.com/job/shop/7", host="gitlab.com"), ()),
        (built("event", "https://ci.example.com/7"), ("shop", "till")),
        (built("event", "https://gitlab.com/acme/shop/-/pipelines/7"), ()),
        (built("github", "https://ci.example.com/7", host="[not:a:host"), ("shop", "till")),
        (pushed("registry.example.com:5000/acme/shop"), ("shop",)),
        (pushed("docker.io/acme/blog"), ("blog",)),
        (pushed("registry.example.com/acme/shop"), ()),
        (Synced(sender="argocd", application="shop-live", state="Synced"), ("shop",)),
        (Synced(sender="argocd", application="nobodys", state="Synced"), ()),
        (Alert(sender="prometheus", key="a", name="HighLoad", firing=True), ()),
    ],
)
def test_an_address_of_all_apps_finds_those_that_are_meant(event: Event, apps: tuple[str, ...]) -> None:
    assert ROUTES.apps(event) == apps


@pytest.mark.parametrize(
    ("app", "event", "concerns"),
    [
        ("shop", push("acme/shop", "https://github.com/acme/shop"), True),
        ("shop", push("acme/shop", "https://code.example.com/acme/shop"), True),  # its pages have a host of their own
        ("shop", push("acme/blog", "https://github.com/acme/blog"), False),
        ("shop", pushed("registry.example.com:5000/acme/shop"), True),
        ("shop", pushed("acme/shop"), False),
        ("till", pushed("acme/anything"), True),  # it has no images of its own to compare with
        ("shop", Alert(sender="prometheus", key="a", name="HighLoad", firing=True), True),
    ],
)
def test_an_address_of_one_app_passes_over_what_is_anothers(app: str, event: Event, *, concerns: bool) -> None:
    assert ROUTES.concerns(app, event) is concerns
