"""What Compose reads from files that a server has itself: its hash, and what is said about changes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deploybot.domain import Manifest, Pin, Release, ServerFacts, ServiceImage
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.strategies.compose.compose_model import ComposeConfig, parse_config
from deploybot.strategies.compose.mounted_paths import PathFact, PathFacts, PathKind
from deploybot.strategies.compose.server_files import (
    CONFIGURATION,
    configuration_of,
    has_same_services,
    insist_on_configuration,
    insist_on_images,
    is_of_app,
    named_by,
    notices,
    restorable,
)
from tests.kit.settings import bot_settings

DIGEST = f"sha256:{'1' * 64}"
FACTS = PathFacts(directory="/srv/web/.deploybot", release=PathFact(path="/r", kind=PathKind.FOLDER, real="/r"))
RELEASE = Release.of_images((Pin("web", "acme/web", "1", DIGEST),))


def config(**services: object) -> ComposeConfig:
    return parse_config(json.dumps({"name": "web", "services": services}))


@pytest.fixture
def site() -> Site:
    app = bot_settings(apps={"web": {"repo": None, "strategy": "compose"}}).apps["web"]
    return Site(app=app, environment=app.environments["production"], facts=ServerFacts(home="/", server="web1"))


PROVIDED = {"provider": {"type": "model"}}
BASE = {"image": "acme/web:1", "environment": {"A": "1"}, "ports": [{"target": 80, "published": "8000"}]}


@pytest.mark.parametrize(
    "other",
    [
        {**BASE, "image": "acme/web:2"},
        {**BASE, "environment": {"A": "2"}},
        {**BASE, "ports": [{"target": 80, "published": "8001"}]},
        {**BASE, "scale": 2},
        {**BASE, "volumes": [{"type": "bind", "source": "/srv/web/data", "target": "/data"}]},
        {**BASE, "privileged": True},
        {**BASE, "depends_on": {"db": {"condition": "service_started"}}},
    ],
)
def test_whatever_compose_reads_changes_the_hash(other: dict[str, object]) -> None:
    assert configuration_of(config(web=BASE), FACTS) != configuration_of(config(web=other), FACTS)


def test_how_a_service_depends_on_another_one_is_part_of_it() -> None:
    ways: tuple[dict[str, object], ...] = (
        {},
        {"restart": True},
        {"required": False},
        {"restart": True, "required": False},
    )
    plain = {"condition": "service_started"}
    found = [configuration_of(config(web={**BASE, "depends_on": {"db": {**plain, **way}}}), FACTS) for way in ways]
    assert len(set(found)) == len(ways)
    usual = {**BASE, "depends_on": {"db": {**plain, "restart": False, "required": True}}}
    assert configuration_of(config(web=usual), FACTS) == found[0], "versions of Compose print what is usual, or not"


def test_a_mounted_path_is_part_of_it_and_a_new_service_too() -> None:
    one, two = (
        {**BASE, "volumes": [{"type": "bind", "source": f"/srv/web/{name}", "target": "/data"}]} for name in "ab"
    )
    assert configuration_of(config(web=one), FACTS) != configuration_of(config(web=two), FACTS)
    assert configuration_of(config(web=BASE), FACTS) != configuration_of(config(web=BASE, db=BASE), FACTS)
    assert configuration_of(config(web=BASE), FACTS) == configuration_of(config(web={**BASE}), FACTS)


def test_images_are_named_by_the_files(site: Site) -> None:
    assert named_by(config(web=BASE, side={"image": f"acme/side@{DIGEST}"}), site) == {
        "web": "acme/web:1",
        "side": f"acme/side@{DIGEST}",
    }


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ({}, "have no service to run"),
        ({"web": {"build": {"context": "/x"}}}, "give web no image, and without a repository nothing is built"),
        ({"web": {"image": "acme/web:1 --privileged"}}, "The image of web in .* is no valid name"),
        (
            {"web": {"image": "acme/web", "build": {"context": "/x"}}},
            "set `build`, or `pull_policy: never` or `build`, for web. ",
        ),
        (
            {"web": {"image": "acme/web", "pull_policy": "never"}},
            "set `build`, or `pull_policy: never` or `build`, for web. ",
        ),
        ({f"s{at}": {"image": f"acme/s{at}"} for at in range(101)}, "name more than 100 images"),
        ({"web": {"image": "-x"}}, "no valid name"),
        ({"web": {"image": "acme/web@sha256:12"}}, "no valid name"),
    ],
)
def test_files_without_usable_images_are_refused(site: Site, services: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        named_by(config(**services), site)


def test_a_service_without_an_image_in_the_release_never_runs(site: Site) -> None:
    insist_on_images(config(web=BASE), RELEASE, site)
    with pytest.raises(
        UserError, match="has no image for side, which is a service in the Compose files in /srv/web on web1"
    ):
        insist_on_images(config(web=BASE, side=BASE), RELEASE, site)


def test_only_what_was_planned_runs(site: Site) -> None:
    insist_on_configuration({CONFIGURATION: "a"}, "a", site)
    for values, now in (({CONFIGURATION: "a"}, "b"), ({}, "a")):
        with pytest.raises(UserError, match="The Compose files in /srv/web on web1 changed since this was planned"):
            insist_on_configuration(values, now, site)


def test_changes_since_are_said(site: Site) -> None:
    ran = replace(site, running="r1", manifests={"r1": Manifest(configuration="a"), RELEASE.id: Manifest()})
    assert list(notices(ran, RELEASE, "a", back=False, kept=True)) == []
    assert list(notices(site, RELEASE, "b", back=False, kept=True)) == []
    (said,) = notices(ran, RELEASE, "b", back=False, kept=True)
    assert said.startswith("The Compose files in /srv/web changed since the last deployment.")
    assert said.endswith("the old images and settings are restored.")
    (said,) = notices(ran, RELEASE, "b", back=False, kept=False)
    assert said.endswith("If the settings are the cause, the app stays down.")
    old = replace(ran, configuration="c", manifests={**ran.manifests, RELEASE.id: Manifest(configuration="c")})
    (said,) = notices(old, RELEASE, "a", back=True, kept=True)
    assert said.endswith(f"The rollback brings back the images of {RELEASE}, with the current settings.")
    (said,) = notices(old, RELEASE, "c", back=True, kept=True)
    assert said.startswith(f"The rollback also brings back the settings that {RELEASE} ran with.")


def test_settings_that_cannot_come_back_are_no_success(site: Site) -> None:
    same = replace(site, running=RELEASE.id, manifests={RELEASE.id: Manifest(configuration="b")}, configuration="c")
    with pytest.raises(UserError, match="runs on web1 already, and the bot has no copy of its old settings") as refused:
        list(notices(same, RELEASE, "b", back=True, kept=True))
    assert refused.value.hint == (
        "Undo the change in /srv/web on web1, then: deploy web to production. Or go further back, to a number of "
        "`history web`: rollback web from production to #N"
    )
    (said,) = notices(same, RELEASE, "c", ["c"], back=True, kept=True)
    assert said.startswith(f"The rollback also brings back the settings that {RELEASE} ran with.")
    # Planned again, it wants what the first plan found. That are not the settings of then.
    again = replace(same, running="r1", manifests={**same.manifests, "r1": Manifest(configuration="d")})
    (said,) = notices(again, RELEASE, "c", back=True, kept=True)
    assert said.endswith(f"The rollback brings back the images of {RELEASE}, with the current settings.")


def test_services_are_compared_and_those_that_are_gone_are_not_restored() -> None:
    both = Manifest(services=(ServiceImage(service="side", image="i"), ServiceImage(service="web", image="i")))
    here = config(web=BASE)
    assert has_same_services(config(web=BASE, side=BASE), both)
    assert not has_same_services(here, both)
    kept = restorable(both, here)
    assert kept is not None
    assert [one.service for one in kept.services] == ["web"]
    assert restorable(replace(both, folder="/srv/web"), here) == replace(both, folder="/srv/web")
    assert restorable(both, config(other=BASE)) is None
    assert restorable(None, here) is None


KEPT = "617789658a73d77d8809fb3abbf5d2fc9fbdb1ff59746178eb0164391bf0e7a7"


def test_a_hash_that_databases_have_stays_the_same() -> None:
    """The order of what Compose prints does not matter."""
    after = {
        "db": {"condition": "service_healthy", "restart": True},
        "cache": {"condition": "service_started", "required": False},
    }
    mounts = [{"type": "bind", "source": f"/srv/{name}", "target": f"/{name}"} for name in "ab"]
    web = {**BASE, "depends_on": after, "volumes": mounts}
    turned = {**BASE, "depends_on": dict(reversed(after.items())), "volumes": mounts[::-1]}
    for one in (web, turned):
        assert configuration_of(config(web=one, db={"image": "postgres:16"}), FACTS) == KEPT


WHERE = "The Compose files in /srv/web on web1"


@pytest.mark.parametrize(
    ("services", "sentence", "hint"),
    [
        ({"model": PROVIDED}, f"{WHERE} have no service to run.", "Are their profiles active?"),
        (
            {f"s{at}": {"image": f"acme/s{at}"} for at in range(101)},
            f"{WHERE} name more than 100 images.",
            "Split them into several apps.",
        ),
        (
            {"web": {"image": "acme/web", "pull_policy": "never"}},
            (
                f"{WHERE} set `build`, or `pull_policy: never` or `build`, for web. Without a repository, the bot only "
                "pulls images."
            ),
            "Remove these keys there, or set apps.web.repo in bot.toml.",
        ),
        (
            {"web": {"build": {"context": "/x"}}},
            f"{WHERE} give web no image, and without a repository nothing is built.",
            "Give it an image there, or set apps.web.repo in bot.toml.",
        ),
        (
            {"web": {"image": "-x"}},
            "The image of web in /srv/web on web1 is no valid name.",
            "Write it as registry/name:tag.",
        ),
    ],
)
def test_what_is_wrong_with_files_is_said_with_what_to_do(
    site: Site, services: dict[str, object], sentence: str, hint: str
) -> None:
    with pytest.raises(UserError) as refused:
        named_by(config(**services), site)
    assert (refused.value.sentence, refused.value.hint) == (sentence, hint)


def test_a_hundred_images_are_not_too_many_and_what_is_provided_needs_none(site: Site) -> None:
    many = {f"s{at}": {"image": f"acme/s{at}"} for at in range(100)}
    assert len(named_by(config(**many, model=PROVIDED), site)) == 100
    insist_on_images(config(web=BASE, model=PROVIDED), RELEASE, site)
    assert has_same_services(
        config(web=BASE, model=PROVIDED), Manifest(services=(ServiceImage(service="web", image="i"),))
    )
    with pytest.raises(UserError, match="has no image for a and b, which are services in") as refused:
        insist_on_images(config(web=BASE, a=BASE, b=BASE), RELEASE, site)
    assert refused.value.hint == "To deploy what the files name now: deploy web to production"


def test_only_a_way_back_brings_settings_back(site: Site) -> None:
    ran = replace(site, running="r1", manifests={"r1": Manifest(configuration="a")}, configuration="c")
    (said,) = notices(ran, RELEASE, "b", back=False, kept=True)
    assert said.startswith("The Compose files in /srv/web changed since the last deployment.")
    assert list(notices(ran, RELEASE, "a", back=False, kept=True)) == []
    # A release without a record of its own comes back with the copy that the bot has.
    (said,) = notices(ran, RELEASE, "c", ["c"], back=True, kept=True)
    assert said == (
        f"The rollback also brings back the settings that {RELEASE} ran with. The Compose files in /srv/web stay as "
        "they are: the next `deploy` uses them."
    )
    assert list(notices(replace(ran, running=""), RELEASE, "c", ["c"], back=True, kept=True)) == []
    same = replace(ran, running=RELEASE.id, manifests={RELEASE.id: Manifest(configuration="c")})
    (said,) = notices(same, RELEASE, "b", back=True, kept=True)
    assert said.endswith("with the current settings.")
    with pytest.raises(UserError, match=r"has no copy of its old settings\. The rollback would change nothing\."):
        list(notices(replace(same, manifests={}), RELEASE, "b", back=True, kept=True))


def test_releases_of_images_are_those_of_apps_without_a_repository(site: Site) -> None:
    commit = Release.of_commit("a" * 40).id
    assert [is_of_app(site, one) for one in ("", RELEASE.id, commit)] == [True, True, False]
    app = bot_settings(apps={"web": {"strategy": "compose"}}).apps["web"]
    other = Site(app=app, environment=app.environments["production"], facts=ServerFacts(home="/", server="web1"))
    assert [is_of_app(other, one) for one in ("", RELEASE.id, commit)] == [True, False, True]
