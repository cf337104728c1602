"""Accounts of several forges of one kind, whose numbers are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.check import CheckState, check
from deploybot.domain import Author, Event, Identity, ImagePushed, Push
from deploybot.events.forge_accounts import ForgeAccounts
from deploybot.settings import Settings
from deploybot.testing import FakeRefs
from tests.kit.settings import bot_settings
from tests.test_check import Links

THREE = Identity("gitlab", "3")
BEN = Author("ben", THREE)
OWN = "git.example.com"
OTHER = "gitlab.example.org"


def settings(*repos: str, **keys: object) -> Settings:
    """An app for each repository, `a0`, `a1` and so on. Any GitLab and GitHub may call."""
    apps = {
        f"a{number}": {"repo": repo, "strategy": "script", "script": "deploy.sh", **keys}
        for number, repo in enumerate(repos)
    }
    hooks = {sender: {"secret": {"env": "SECRET"}} for sender in ("github", "gitlab")}
    return bot_settings(apps=apps, values={"SECRET": "5f8c1c0e7b6f4b0d9a64c7d23e0f9b18a1"}, hooks=hooks, http={})


def pushed(url: str = "", by: Author = BEN) -> Push:
    return Push(sender="gitlab", repository="acme/shop", url=url, by=by, branch="main")


def whose(made: Settings, app: str, event: Event | None = None) -> Identity | None:
    return ForgeAccounts(made).told_apart(app, event or pushed()).by.identity


@pytest.mark.parametrize(
    "repos",
    [
        (f"git@{OWN}:acme/shop.git",),
        (f"git@{OWN}:acme/shop.git", f"https://{OWN}/acme/blog.git", f"ssh://git@ssh.{OWN}:22/acme/wiki.git"),
        ("git@gitlab.com:acme/shop.git", "git@github.com:acme/blog.git", "/srv/git/wiki.git"),
        (f"git@{OTHER}:acme/shop.git", "git@github.com:acme/blog.git", "git@bitbucket.org:acme/wiki.git"),
    ],
)
def test_with_one_forge_of_a_kind_a_number_is_enough(repos: tuple[str, ...]) -> None:
    made = settings(*repos)
    assert "gitlab" not in ForgeAccounts(made).several
    assert {whose(made, app) for app in made.apps} == {THREE}


def test_with_several_a_bare_number_is_of_the_public_host() -> None:
    made = settings("git@gitlab.com:acme/shop.git", f"git@{OTHER}:acme/blog.git", f"git@gitlab.{OWN}:acme/wiki.git")
    assert ForgeAccounts(made).several == {"gitlab": ["gitlab.com", OTHER, f"gitlab.{OWN}"]}
    found = [whose(made, app) for app in ("a0", "a1", "a2")]
    assert found == [THREE, Identity("gitlab", "3", OTHER), Identity("gitlab", "3", f"gitlab.{OWN}")]


def test_two_forges_of_ones_own_have_no_bare_numbers() -> None:
    made = settings(f"git@{OTHER}:acme/shop.git", f"git@gitlab.{OWN}:acme/blog.git")
    assert [whose(made, app) for app in ("a0", "a1")] == [
        Identity("gitlab", "3", OTHER),
        Identity("gitlab", "3", f"gitlab.{OWN}"),
    ]


def test_a_host_that_does_not_say_its_kind_may_be_each_that_calls() -> None:
    made = settings("git@gitlab.com:acme/shop.git", f"git@{OWN}:acme/blog.git")
    assert ForgeAccounts(made).several == {"gitlab": [OWN, "gitlab.com"]}
    forge = {"kind": "gitea", "token": {"env": "SECRET"}}
    gitea = settings(f"git@{OTHER}:acme/shop.git", f"git@{OWN}:acme/blog.git", forge=forge)
    assert ForgeAccounts(gitea).several == {"gitea": [OWN, OTHER]}


def kinds_of(hooks: dict[str, tuple[str, ...]], shared: tuple[str, ...], forge: str = "") -> ForgeAccounts:
    """Read apps by their repository, each with hooks of its own, and `forge` as the kind of the first one's host."""
    secret = {"secret": {"env": "SECRET"}}
    apps: dict[str, dict[str, object]] = {
        f"a{number}": {"repo": repo, "strategy": "script", "script": "deploy.sh", "hooks": dict.fromkeys(own, secret)}
        for number, (repo, own) in enumerate(hooks.items())
    }
    if forge:
        apps["a0"]["forge"] = {"kind": forge, "token": {"env": "SECRET"}}
    values = {"SECRET": "5f8c1c0e7b6f4b0d9a64c7d23e0f9b18a1"}
    return ForgeAccounts(bot_settings(apps=apps, values=values, hooks=dict.fromkeys(shared, secret), http={}))


def test_two_forges_of_different_kinds_keep_their_bare_numbers() -> None:
    repos = (f"git@{OWN}:acme/shop.git", "git@code.example.com:acme/blog.git")
    own = kinds_of({repos[0]: ("gitlab",), repos[1]: ("gitea",)}, ("gitlab", "gitea"))
    assert (own.several, own.unclear) == ({}, {}), "the hooks of the apps come first"
    other = f"git@{OWN}:acme/wiki.git"
    third = kinds_of({other: (), repos[0]: ("gitlab",), repos[1]: ("gitea",)}, ("gitlab", "gitea"))
    assert third.several == {}, "another app on the same host says its kind"
    stated = kinds_of({other: (), repos[0]: (), repos[1]: ("gitea",)}, ("gitlab", "gitea"), forge="gitlab")
    assert stated.several == {}, "so does the forge of another app"
    named = kinds_of({"git@gitlab.example.com:a/b.git": (), "git@gitea.example.com:a/c.git": ()}, ("gitlab", "gitea"))
    assert named.several == {}


def gitea_push(found: ForgeAccounts, app: str, host: str) -> Identity | None:
    gitea = Author("ben", Identity("gitea", "3"))
    event = Push(sender="gitea", repository="a/shop", url=f"https://{host}/a/shop", by=gitea, branch="main")
    return found.told_apart(app, event).by.identity


@pytest.mark.parametrize("other", [(), ("github",)])
def test_a_hook_of_another_kind_does_not_mix_up_two_forges(other: tuple[str, ...]) -> None:
    """Such as for builds of a mirror: the pushes still come by the hook of all apps."""
    shop, blog = "git.acme.com", "code.acme.com"
    found = kinds_of({f"git@{shop}:a/shop.git": ("github",), f"git@{blog}:a/blog.git": other}, ("gitea",))
    assert found.several["gitea"] == [blog, shop]
    assert found.unclear[shop] == ["gitea", "github"]
    assert gitea_push(found, "a0", shop) == Identity("gitea", "3", shop)
    assert gitea_push(found, "a1", blog) == Identity("gitea", "3", blog)


def test_a_push_that_shows_its_host_is_never_of_the_other_forge() -> None:
    """Even if the other host is known to be the only one of that kind."""
    shop, blog = "git.acme.com", "code.acme.com"
    found = kinds_of({f"git@{shop}:a/shop.git": ("github",), f"git@{blog}:a/blog.git": ("gitea",)}, ("gitea",))
    assert (found.several, found.unclear) == ({}, {})
    assert gitea_push(found, "a0", shop) == Identity("gitea", "3", shop)
    assert gitea_push(found, "a1", blog) == Identity("gitea", "3")


async def test_hosts_of_unclear_kind_are_reported_with_what_to_do(tmp_path: Path) -> None:
    unclear = kinds_of({f"git@{OWN}:acme/shop.git": (), f"git@{OTHER}:acme/blog.git": ()}, ("gitlab", "github"))
    assert unclear.unclear == {OWN: ["github", "gitlab"]}
    assert unclear.warning == f"The kind of a forge is not clear: {OWN} may be github or gitlab"
    made = settings(f"git@{OWN}:acme/shop.git", f"git@{OTHER}:acme/blog.git")
    found = await check(made, Links([]), FakeRefs(tmp_path, main="1" * 40))
    (text,) = [row.text for row in found if row.what == "forge accounts"]
    assert text == (
        f"The kind of a forge is not clear: {OWN} may be github or gitlab. "
        "Set `kind` in [apps.APP.forge], or add [apps.APP.hooks.KIND], for an app on each of these hosts. Or link "
        f"accounts with their host: `github:{OWN}/ID:NAME` or `gitlab:{OWN}/ID:NAME`."
    )
    clear = kinds_of({f"git@{OWN}:acme/shop.git": ()}, ("gitlab", "github"))
    assert (clear.unclear, clear.warning) == ({}, ""), "with one host, numbers are clear"


def test_an_unknown_host_never_keeps_the_bare_number() -> None:
    """Not even of a Gitea, which has no public host."""
    forge = {"kind": "gitea", "token": {"env": "SECRET"}}
    hosts = (f"git@{OTHER}:acme/shop.git", f"git@{OWN}:acme/blog.git")
    apps = {
        f"a{number}": {"repo": repo, "strategy": "script", "script": "deploy.sh"} | ({"forge": forge} if number else {})
        for number, repo in enumerate(("/srv/git/wiki.git", *hosts))
    }
    made = bot_settings(apps=apps, values={"SECRET": "5f8c1c0e7b6f4b0d9a64c7d23e0f9b18a1"}, http={})
    gitea = Identity("gitea", "3")
    event = Push(sender="gitea", repository="acme/wiki", url="", by=Author("ben", gitea), branch="main")
    assert whose(made, "a1", event) == Identity("gitea", "3", OTHER)
    assert whose(made, "a0", event) is None


def test_an_event_of_another_forge_than_the_apps_shows_its_own_host() -> None:
    """Such as an image that GitHub has for an app whose code is at a GitLab."""
    made = settings("git@gitlab.com:acme/shop.git", f"git@{OTHER}:acme/blog.git", "git@github.com:acme/wiki.git")
    assert whose(made, "a2", pushed(f"https://{OTHER}/acme/wiki")) == Identity("gitlab", "3", OTHER)
    assert whose(made, "a2", pushed("https://gitlab.com/acme/wiki")) == THREE
    assert whose(made, "a2", pushed()) is None, "nothing shows which GitLab it is"
    image = ImagePushed(sender="github", image="ghcr.io/acme/shop", tag="v1", by=Author("ben", Identity("github", "3")))
    assert whose(made, "a0", image) == Identity("github", "3")


@pytest.mark.parametrize("identity", [None, Identity("bitbucket", "{5}"), Identity("github", "3")])
def test_other_accounts_stay_as_they_are(identity: Identity | None) -> None:
    made = settings("git@gitlab.com:acme/shop.git", f"git@{OTHER}:acme/blog.git")
    assert whose(made, "a1", pushed(by=Author("ben", identity))) == identity


async def test_check_names_the_form_of_accounts(tmp_path: Path) -> None:
    async def rows(*repos: str) -> list[tuple[CheckState, str]]:
        found = await check(settings(*repos), Links([]), FakeRefs(tmp_path, main="1" * 40))
        return [(row.state, row.text) for row in found if row.what == "gitlab accounts"]

    assert await rows(f"git@{OTHER}:acme/shop.git") == []
    one = await rows("git@gitlab.com:acme/shop.git", f"git@{OTHER}:acme/blog.git")
    assert one == [
        (
            CheckState.OK,
            (
                f"gitlab.com, {OTHER}: an account without a host, such as gitlab:3, counts only on gitlab.com. "
                f"Link the others as `gitlab:{OTHER}/ID:NAME`"
            ),
        )
    ]
    ((_, text),) = await rows(f"git@{OTHER}:acme/shop.git", f"git@gitlab.{OWN}:acme/blog.git")
    assert text.endswith(
        "such as gitlab:3, counts on none of them. "
        f"Link the others as `gitlab:{OTHER}/ID:NAME` or `gitlab:gitlab.{OWN}/ID:NAME`"
    )
