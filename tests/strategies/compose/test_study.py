"""What the scripts said, put together: configuration, effects, and what stands against a release."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import Effect, EffectKind, ServerFacts
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.strategies.compose.release_study import config_of, effects_in, insist, study_of
from deploybot.strategies.compose.settings_label import settings_of
from deploybot.strategies.compose.step_values import ReleaseStudy
from tests.strategies.conftest import make_app
from tests.strategies.sites import (
    NEW,
    OLD,
    PROJECT,
    answered,
    configured,
    container,
    folder_of,
    looked,
    manifest,
    observed,
    ran,
    site_of,
)

WEB: dict[str, dict[str, object]] = {"web": {"image": "acme/web:1"}}
HOME = {"com.docker.compose.project.working_dir": "/home/me/web"}
GONE = ("path", f"{folder_of(NEW)}/pw.txt", "missing", f"{folder_of(NEW)}/pw.txt", "")


def effects(site: Site, **more: object) -> tuple[Effect, ...]:
    """What becomes of the services where the images are not made yet."""
    return effects_in(site, study_of(site, NEW), None, replace(NEW, **more))  # type: ignore[arg-type]


def test_files_that_compose_refuses_have_no_configuration() -> None:
    site = answered(site_of(), NEW, configured(NEW, code=15, errors="services.web.biuld is no key"))
    assert config_of(site, NEW) is None
    with pytest.raises(UserError, match=r"services\.web\.biuld is no key"):
        study_of(site, NEW)


def test_the_configuration_is_the_same_in_every_release() -> None:
    services = {"web": {"image": "x", "environment": {"HERE": folder_of(NEW)}}}
    there = {"web": {"image": "x", "environment": {"HERE": folder_of(OLD)}}}
    new = config_of(answered(site_of(), NEW, configured(NEW, services)), NEW)
    old = config_of(answered(site_of(), OLD, configured(OLD, there)), OLD)
    assert new
    assert old
    assert new.services[0].base == old.services[0].base


def test_files_are_bot_tomls_then_those_of_the_variables_then_composes_own() -> None:
    def files(**app: object) -> tuple[str, ...]:
        config = configured(NEW, env="COMPOSE_FILE=x.yaml:y.yaml")
        return study_of(answered(site_of(app=make_app("compose", **app)), NEW, config), NEW).files

    assert files(compose={"files": ["a.yaml"]}) == ("a.yaml",)
    assert files() == ("x.yaml", "y.yaml")
    assert files(env={"COMPOSE_FILE": "z.yaml"}) == ("z.yaml",)
    assert study_of(answered(site_of(), NEW), NEW).files == ("compose.yaml",)


def test_folders_that_containers_come_from_are_read_for_their_containers() -> None:
    site = site_of(container("web", "1", labels=HOME), container("db", "2", labels={}))
    site = answered(site, NEW, configured(NEW, WEB, running={"/home/me/web": WEB}))
    (elsewhere,) = study_of(site, NEW).elsewhere
    assert (elsewhere.folder, elsewhere.config.services[0].image) == ("/home/me/web", "acme/web:1")
    unread = answered(site, NEW, configured(NEW, WEB, running={"/home/me/web": {"web": {"image": ["no"]}}}))
    assert study_of(unread, NEW).elsewhere == ()


def test_what_compose_would_keep_in_its_own_folder_is_kept() -> None:
    config = configured(NEW, WEB, running={"/home/me/web": WEB})

    def labelled(value: str) -> Site:
        labels = HOME | {"com.docker.compose.config-hash": value}
        return answered(site_of(container("web", "1", image="acme/web:1", labels=labels)), NEW, config)

    (elsewhere,) = study_of(labelled(""), NEW).elsewhere
    (label, *_) = elsewhere.hashes["web"]
    assert [effects(labelled(value))[0].kind for value in (label, "other")] == [
        EffectKind.KEPT,
        EffectKind.RECREATED,
    ]


def test_images_that_are_not_made_yet_may_change() -> None:
    site = site_of(container("web", "1", image="acme/web:1", labels=HOME))
    hashed = configured(NEW, WEB, running={"/home/me/web": WEB})
    (effect,) = effects(answered(site, NEW, hashed))
    assert (effect.service, effect.kind) == ("web", EffectKind.RECREATED)
    assert effect.why == "settings"


def test_recorded_images_decide() -> None:
    site = answered(site_of(container("web", "1")), NEW, configured(NEW, WEB))
    study = study_of(site, NEW)
    kinds = [effects_in(site, study, manifest(ran("web", letter)), NEW)[0].why for letter in "12"]
    assert kinds == ["settings", "image, settings"]


def test_orphans_of_ours_go_and_others_only_when_agreed() -> None:
    ours = container("old", "1", labels={"deploybot.image": "x"})
    site = site_of(ours, container("theirs", "1"), container("last", "1"))
    site = replace(site, running=OLD.id, manifests={OLD.id: manifest(ran("last", "1"))})

    def kinds(*, agreed: bool) -> dict[str, EffectKind]:
        asked = replace(answered(site, NEW, configured(NEW, WEB)), remove_orphans=agreed)
        return {one.service: one.kind for one in effects(asked) if one.service != "web"}

    assert kinds(agreed=False) == {
        "old": EffectKind.REMOVED,
        "last": EffectKind.REMOVED,
        "theirs": EffectKind.LEFT,
    }
    assert {*kinds(agreed=True).values()} == {EffectKind.REMOVED}


def test_what_stands_against_a_release_is_raised_whole() -> None:
    services: dict[str, dict[str, object]] = {
        "web": {"image": "x", "secrets": ["pw"]},
        "ai": {"provider": {"type": "model"}, "image": "y"},
    }
    secrets = {"secrets": {"pw": {"file": f"{folder_of(NEW)}/pw.txt"}}}
    site = answered(site_of(), NEW, configured(NEW, services, more=secrets), looked(NEW, GONE))
    with pytest.raises(UserError) as caught:
        insist(site, study_of(site, NEW), effects(site), makes=True)
    assert caught.value.sentence == (
        "The secret pw of web needs pw.txt, which is not in the release.\n"
        "ai has a `provider` instead of an image, which deploybot does not run."
    )
    assert len(caught.value.hint.splitlines()) == len(caught.value.sentence.splitlines()) == 2


def test_room_for_images_is_needed_only_where_some_are_made() -> None:
    full = ServerFacts(home="/", docker_free=1, docker_inodes=10**9)
    site = site_of(observed=replace(observed(), facts=full))
    site = answered(site, NEW, configured(NEW, WEB))
    assert insist(site, study_of(site, NEW), effects(site), makes=False) == ()
    with pytest.raises(UserError, match="Docker is low on disk space"):
        insist(site, study_of(site, NEW), effects(site), makes=True)


def test_where_nothing_is_wrong_there_are_no_warnings() -> None:
    site = answered(site_of(), NEW, configured(NEW, WEB))
    assert insist(site, study_of(site, NEW), effects(site), makes=True) == ()


@pytest.mark.parametrize(
    ("repo", "project", "is_copy"),
    [
        ("git@example.com:ana/notes.git", "notes", True),
        ("https://example.com/ana/notes/", "notes", True),
        ("/srv/git/notes.git", "shop", True),
        ("/srv/git/notes.git", "blog", False),
    ],
)
def test_a_second_copy_is_known_by_the_name_of_the_app_or_its_repository(
    repo: str, project: str, is_copy: bool
) -> None:
    other = container("web", "1", project=project, name=f"{project}-web-1")
    site = site_of(app=make_app("compose", repo=repo), observed=replace(observed(), others=(other,)))
    site = answered(site, NEW, configured(NEW, WEB))
    if not is_copy:
        assert insist(site, study_of(site, NEW), effects(site), makes=True) == ()
        return
    with pytest.raises(UserError, match=f"project {project} has web") as caught:
        insist(site, study_of(site, NEW), effects(site), makes=True)
    assert f'compose.project = "{project}"' in caught.value.hint


def test_the_project_is_that_of_bot_toml_where_compose_does_not_name_it() -> None:
    config = configured(NEW, WEB).replace(f'"name": "{PROJECT}", '.encode(), b"")
    found = config_of(answered(site_of(), NEW, config), NEW)
    assert found
    assert (found.name, found.services[0].image) == (PROJECT, "acme/web:1")
    site = site_of(container("web", "1", labels=HOME))
    nameless = configured(NEW, WEB, running={"/home/me/web": WEB}).replace(f'"name": "{PROJECT}", '.encode(), b"")
    (elsewhere,) = study_of(answered(site, NEW, nameless), NEW).elsewhere
    assert elsewhere.config.name == PROJECT
    old = b"services: {web: {image: x, profiles: [debug]}, db: {image: y}}"
    there = b"RUNNING=/home/me/web\0RUNNING_CONFIG=" + old + b"\0RUNNING_ERRORS=\0RUNNING_CODE=0\0END=\0"
    said = configured(NEW, WEB).removesuffix(b"END=\0") + there
    for profiles, names in (([], ["db"]), (["debug"], ["db", "web"])):
        site = site_of(container("web", "1", labels=HOME), app=make_app("compose", compose={"profiles": profiles}))
        (elsewhere,) = study_of(answered(site, NEW, said), NEW).elsewhere
        assert [one.name for one in elsewhere.config.services] == names


@pytest.mark.parametrize(
    ("profiles", "env", "names"),
    [
        ([], "", ["db"]),
        (["debug"], "COMPOSE_PROFILES=other", ["db", "web"]),
        ([], "COMPOSE_PROFILES=debug", ["db", "web"]),
    ],
)
def test_profiles_of_bot_toml_come_before_those_of_the_env_file(
    profiles: list[str], env: str, names: list[str]
) -> None:
    text = "services: {web: {image: x, profiles: [debug]}, db: {image: y}}"
    said = f"FOLDER={folder_of(NEW)}\0FOUND=compose.yaml\0ENV={env}\0CONFIG={text}\0ERRORS=\0CODE=0\0END=\0".encode()
    site = site_of(app=make_app("compose", compose={"profiles": profiles}))
    found = config_of(answered(site, NEW, said), NEW)
    assert found is not None
    assert [one.name for one in found.services] == names


def test_content_that_is_mounted_decides() -> None:
    folder = folder_of(NEW)
    mount = {"type": "bind", "source": f"{folder}/conf", "target": "/conf"}
    config = configured(NEW, {"web": {"image": "x", "volumes": [mount]}})

    def study(letter: str) -> tuple[Site, ReleaseStudy]:
        paths = looked(NEW, ("path", f"{folder}/conf", "folder", f"{folder}/conf", letter * 64))
        site = answered(site_of(), NEW, config, paths)
        return site, study_of(site, NEW)

    _, old = study("a")
    label = {"deploybot.settings": settings_of(old.config.services[0], old.facts)}
    web = container("web", "1", labels=label)
    found = []
    for letter in "ab":
        site, new = study(letter)
        site = replace(site, observed=observed(web))
        found += [one.why or one.kind for one in effects_in(site, new, manifest(ran("web", "1")), NEW)]
    assert found == [EffectKind.KEPT, "mounted content"]
