"""Which images a release of `compose` runs: those that were recorded, while they exist, else new ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import (
    Effect,
    EffectKind,
    Pin,
    Release,
    Step,
)
from deploybot.errors import UserError
from deploybot.strategies.compose.service_images import images_below
from tests.strategies.conftest import env_of, make_app
from tests.strategies.sites import (
    BELOW,
    COMPOSE,
    HERE,
    NEW,
    OLD,
    RECORD,
    answered,
    configured,
    container,
    image,
    image_id,
    manifest,
    observed,
    ran,
    recorded,
    running,
)


def test_a_release_that_ran_well_takes_its_recorded_images() -> None:
    plan = COMPOSE.deploy(answered(recorded(), NEW), NEW, OLD)
    assert [one.name for one in plan.steps] == ["fetch", "images", "up", "switch"]
    assert plan.steps[1].script == "compose_images"
    assert env_of(plan.steps[1])["DEPLOYBOT_IMAGES"].splitlines()[0] == (
        f"web {image_id('3')} - {BELOW}/web:333333333333"
    )
    assert (plan.made, plan.steps[1].bind) == (False, "")
    # What it would change is known by the images' ids.
    assert Effect("db", EffectKind.RECREATED, "settings") in plan.effects
    assert Effect("web", EffectKind.RECREATED, "image, settings") in plan.effects


def test_a_release_that_never_ran_well_is_made_again() -> None:
    site = replace(recorded(), good=frozenset({OLD.id}))
    for back in (False, True):
        assert COMPOSE.deploy(answered(site, NEW), NEW, OLD, back=back).made


def test_images_that_are_gone_are_made_again_but_not_for_going_back() -> None:
    site = answered(replace(recorded(), images=HERE), NEW)
    assert COMPOSE.deploy(site, NEW, OLD).made
    with pytest.raises(UserError, match="its image of web is not on web1 any more") as caught:
        COMPOSE.deploy(site, NEW, OLD, back=True)
    assert caught.value.hint == f"Build it again: deploy shop@{NEW.id} to production"


def test_images_that_a_registry_has_are_not_gone() -> None:
    kept = manifest(ran("web", "3", digest="acme/web@sha256:" + "3" * 64), ran("db", "2"))
    site = replace(recorded(), images=HERE, manifests={OLD.id: RECORD, NEW.id: kept})
    assert not COMPOSE.deploy(answered(site, NEW), NEW, OLD, back=True).made
    assert not COMPOSE.deploy(answered(site, NEW), NEW, OLD).made


def test_tags_are_asked_again_only_for_what_runs() -> None:
    app = make_app("compose", compose={"source": "images"})
    config = {"web": {"image": "shop:1"}, "db": {"image": "postgres:16"}}

    def made(release: Release, *, back: bool = False, app: object = app) -> bool:
        site = answered(recorded(app=app), release, configured(release, config))
        return COMPOSE.deploy(site, release, OLD, back=back).made

    assert made(OLD)
    assert not made(OLD, back=True)
    assert not made(NEW)
    assert not made(OLD, app=make_app("compose"))


def test_the_same_commit_by_another_ref_has_the_images_that_its_files_name_now() -> None:
    kept = replace(manifest(ran("web", "3", name="shop:latest"), ran("db", "2", name="postgres:16")), profiles=())
    site = replace(recorded(), manifests={OLD.id: RECORD, NEW.id: kept})

    def made(tag: str, *, back: bool = False) -> bool:
        config = configured(NEW, {"web": {"image": f"shop:{tag}"}, "db": {"image": "postgres:16"}})
        return COMPOSE.deploy(answered(site, NEW, config), NEW, OLD, back=back).made

    assert not made("latest")
    assert made("v1")
    # A rollback runs what was recorded, whatever it is called.
    assert not made("v1", back=True)


def test_a_release_with_images_of_its_own_is_the_same_again() -> None:
    app = make_app("compose", compose={"source": "images"})
    release = OLD.with_images([Pin("web", "shop", "1", f"sha256:{'1' * 64}")])
    site = recorded(app=app, running=release.id, good=frozenset({release.id}), manifests={release.id: RECORD})
    assert not COMPOSE.deploy(answered(site, release, configured(release)), release, release).made


LACKING = {"web": {"image": "shop:1"}}


def test_a_recorded_service_that_the_profiles_of_now_hide_is_not_run_with_another_image() -> None:
    site = answered(recorded(), NEW, configured(NEW, LACKING))
    assert COMPOSE.deploy(site, NEW, OLD).made
    with pytest.raises(UserError, match="The release ran db, which its Compose files do not have") as caught:
        COMPOSE.deploy(site, NEW, OLD, back=True)
    assert "compose.profiles" in caught.value.hint
    with pytest.raises(UserError, match="The release ran db"):
        COMPOSE.bind(Step(name="restore", script="compose_up", bind="restore"), site, NEW)


def test_tags_that_stay_are_those_of_releases_that_are_kept_and_of_what_runs() -> None:
    site = recorded(observed=observed(container("web", "8"), container("db", "2")))
    (prune,) = COMPOSE.prune(site, (NEW.id,))
    kept = COMPOSE.bind(prune, site, NEW)["DEPLOYBOT_IMAGES_KEEP"].split("\n")
    assert kept == [f"{BELOW}/web:333333333333", f"{BELOW}/db:222222222222", f"{BELOW}/web:888888888888"]


def test_repositories_for_images_are_valid_and_never_shared() -> None:
    assert images_below("shop-production") == "deploybot/shop-production"
    assert images_below("a_b__c--d") == "deploybot/a_b__c--d"
    odd = ["shop-", "shop_-x", "shop___x", "shop_", "shop--_"]
    assert len({images_below(name) for name in odd}) == len(odd)
    for name in odd:
        assert images_below(name).startswith("deploybot/shop")
        assert "." in images_below(name)


def test_a_pinned_image_is_recorded_by_the_digest_that_was_approved() -> None:
    pin = Pin("web", "shop", "1", f"sha256:{'1' * 64}")
    release = NEW.with_images([pin])
    site = answered(running(), release, configured(release))
    found = {"web": (image_id("5"), "mirror/shop@sha256:" + "7" * 64), "db": (image_id("6"), "postgres@sha256:6")}
    made = COMPOSE.manifest(site, release, found)
    assert [(one.service, one.image, one.digest) for one in made.services] == [
        ("db", image_id("6"), "postgres@sha256:6"),
        ("web", image_id("5"), pin.reference),
    ]
    assert made.files == ("compose.yaml",)


def test_a_name_that_only_the_server_knows_is_no_digest_of_a_registry() -> None:
    """Docker's containerd image store has a digest for each local name, also of images that were built."""
    ours = [f"{BELOW}/{service}@sha256:{number * 64}" for service, number in (("web", "5"), ("db", "6"))]
    postgres = f"postgres@sha256:{'6' * 64}"
    web = image("5", digests=[ours[0], f"acme/web@sha256:{'5' * 64}"])
    db = image("6", digests=[f"copy@sha256:{'6' * 64}", ours[1], postgres])
    site = answered(running(images=(web, db)), NEW, configured(NEW))
    found = {"web": (image_id("5"), ours[0]), "db": (image_id("6"), ours[1])}
    assert [(one.service, one.digest) for one in COMPOSE.manifest(site, NEW, found).services] == [
        ("db", postgres),
        ("web", ""),
    ]
    unknown = COMPOSE.manifest(replace(site, images=()), NEW, found)
    assert [one.digest for one in unknown.services] == ["", ""]


def test_a_recorded_name_that_only_the_server_knew_is_gone_with_its_image() -> None:
    kept = manifest(ran("web", "3", digest=f"{BELOW}/web@sha256:{'3' * 64}"), ran("db", "2"))
    site = answered(replace(recorded(), images=HERE, manifests={OLD.id: RECORD, NEW.id: kept}), NEW)
    assert COMPOSE.deploy(site, NEW, OLD).made
    with pytest.raises(UserError, match="its image of web is not on web1 any more"):
        COMPOSE.deploy(site, NEW, OLD, back=True)
    here = replace(site, images=(*HERE, image("3")))
    (images,) = (one for one in COMPOSE.deploy(here, NEW, OLD, back=True).steps if one.name == "images")
    assert env_of(images)["DEPLOYBOT_IMAGES"].splitlines()[0] == f"web {image_id('3')} - {BELOW}/web:333333333333"


def test_up_compares_what_runs_right_before_with_the_recorded_images() -> None:
    same = settings_of_services(NEW)
    there = (
        container("web", "3", labels={"deploybot.settings": same["web"]}),
        container("db", "9", image="postgres:16", labels={"deploybot.settings": same["db"]}),
    )
    site = answered(recorded(observed=observed(*there)), NEW)
    up = COMPOSE.deploy(site, NEW, OLD).steps[2]
    values = COMPOSE.bind(up, site, NEW)
    assert (values["DEPLOYBOT_CHANGED"], values["DEPLOYBOT_START"]) == ("db", "")
    # The image that runs now keeps a tag while it may be needed again.
    assert f"{image_id('9')} {BELOW}/db:999999999999" in values["DEPLOYBOT_TAGS"].splitlines()


def settings_of_services(release: Release) -> dict[str, str]:
    """The label `deploybot.settings` of each service of a release."""
    site = answered(running(), release, configured(release))
    made = COMPOSE.manifest(site, release, {"web": ("", ""), "db": ("", "")})
    return {one.service: one.settings for one in made.services}
