"""What `compose` restores if a release fails, and what it does not replace because it could not restore it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from deploybot.domain import (
    NO_RELEASE,
    Container,
    Effect,
    EffectKind,
    Manifest,
)
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.strategies.compose.config_hash import compose_hashes
from tests.strategies.conftest import env_of, make_app
from tests.strategies.sites import (
    COMPOSE,
    DIRECTORY,
    FACTS,
    NEW,
    OLD,
    RECORD,
    SERVICES,
    answered,
    configured,
    container,
    image_id,
    manifest,
    observed,
    ran,
    recorded,
    running,
    site_of,
)


def test_what_ran_before_the_bot_came_is_gone_back_to() -> None:
    files = {"com.docker.compose.project.config_files": "/home/me/shop/compose.yaml"}
    files["com.docker.compose.project.working_dir"] = "/home/me/shop"
    web = container("web", "9", labels=files)
    site = site_of(web, facts=replace(FACTS, current="", releases=()))
    plan = COMPOSE.deploy(answered(site, NEW, configured(NEW, running={"/home/me/shop": SERVICES})), NEW, None)
    assert plan.before == Manifest(
        services=(ran("web", "9", name="web", settings=""),),
        files=("/home/me/shop/compose.yaml",),
        folder="/home/me/shop",
    )
    find, up = plan.restore
    assert (find.name, find.script, up.name, up.script) == ("find images", "compose_images", "restore", "compose_up")
    assert env_of(up)["DEPLOYBOT_FOLDER"] == "/home/me/shop"
    assert (env_of(up)["DEPLOYBOT_RELEASE"], env_of(find)["DEPLOYBOT_RELEASE"]) == ("", "")
    assert (up.switches, up.bind) == (True, "restore")


def came_from(folder: str, said: bytes, files: str = "/home/me/shop/compose.yaml") -> Site:
    """What a person started, and what Compose says about its folder."""
    labels = {"com.docker.compose.project.config_files": files, "com.docker.compose.project.working_dir": folder}
    site = site_of(container("web", "9", labels=labels), facts=replace(FACTS, current="", releases=()))
    return answered(site, NEW, said)


def answer_for(folder: str, *, code: int = 0, errors: str = "", gone: str = "") -> bytes:
    said = configured(NEW, running={folder: SERVICES}).removesuffix(b"END=\0")
    said = said.replace(b"RUNNING_CODE=0", f"RUNNING_CODE={code}".encode())
    return (
        said.replace(b"RUNNING_ERRORS=", f"RUNNING_ERRORS={errors}".encode()) + f"RUNNING_GONE={gone}\0END=\0".encode()
    )


HOME = "/home/me/shop"
GONE: dict[str, tuple[Site, str]] = {
    "no folder": (
        came_from("/data/compose/3", answer_for("/data/compose/3", code=1, errors="The folder cannot be entered.")),
        "The folder cannot be entered.",
    ),
    "no file": (
        came_from(HOME, answer_for(HOME, gone=f"{HOME}/compose.yaml")),
        f"{HOME}/compose.yaml does not exist.",
    ),
    "from a pipe": (came_from(HOME, answer_for(HOME, gone="-"), "-"), "- does not exist."),
    "no folder of this system": (came_from("C:\\shop", configured(NEW)), ""),
}


@pytest.mark.parametrize(("site", "why"), GONE.values(), ids=GONE.keys())
def test_what_could_not_be_restored_is_not_replaced(site: Site, why: str) -> None:
    with pytest.raises(UserError, match="They could not be restored if the release fails") as caught:
        COMPOSE.deploy(site, NEW, None)
    assert caught.value.sentence.endswith(why)
    assert "docker rm -f shop-production-web-1" in caught.value.hint


def test_files_of_another_start_and_folders_of_releases_do_not_matter() -> None:
    assert COMPOSE.deploy(came_from(HOME, answer_for(HOME, gone="/home/me/other.yaml")), NEW, None).before
    assert COMPOSE.deploy(came_from(f"{DIRECTORY}/releases/{OLD.id}", configured(NEW)), NEW, None).before


def test_where_nothing_runs_there_is_nothing_to_go_back_to() -> None:
    plan = COMPOSE.deploy(answered(site_of(), NEW), NEW, None)
    assert (plan.before, plan.restore, plan.replaces) == (None, (), None)
    assert plan.effects == (Effect("db", EffectKind.NEW), Effect("web", EffectKind.NEW))


PROFILED = {"profiles": ["app"], "env_file": "env/prod.env"}
GIVEN = ("COMPOSE_PROFILES", "COMPOSE_ENV_FILES")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"env_file": "", "profiles": ("web",)}, ["web", None]),
        ({"env_file": "old.env", "profiles": ()}, [None, "old.env"]),
        ({}, ["app", "env/prod.env"]),
        ({"env_file": "", "profiles": (), "folder": "/home/me"}, ["app", "env/prod.env"]),
    ],
    ids=["without an env file", "without profiles", "not recorded", "before the bot came"],
)
def test_what_is_restored_has_the_env_file_and_the_profiles_it_ran_with(
    more: dict[str, object], expected: list[str | None]
) -> None:
    app = make_app("compose", compose=PROFILED, tasks={"migrate": "true"})
    record = replace(RECORD, **more)  # type: ignore[arg-type]
    site = running(app=app, manifests={OLD.id: record})
    plan = COMPOSE.deploy(answered(site, NEW), NEW, OLD)
    for step in plan.restore:
        assert [env_of(step).get(name) for name in GIVEN] == expected
    for step in plan.steps[1:]:
        assert [env_of(step).get(name) for name in GIVEN] == ["app", "env/prod.env"]
    # What runs is restarted, and has its tasks run, the same way.
    for one in (COMPOSE.restart(site, OLD), COMPOSE.task(site, OLD, "migrate")):
        assert [env_of(one.steps[0]).get(name) for name in GIVEN] == expected


def test_a_release_is_recorded_with_the_settings_it_is_prepared_with() -> None:
    site = answered(running(app=make_app("compose", compose=PROFILED)), NEW)
    made = COMPOSE.manifest(site, NEW, {"web": (image_id("1"), ""), "db": (image_id("2"), "")})
    assert (made.env_file, made.profiles) == ("env/prod.env", ("app",))


def test_files_that_are_gone_are_fetched_for_the_way_back() -> None:
    site = running(facts=replace(FACTS, releases=()))
    plan = COMPOSE.deploy(answered(site, NEW), NEW, OLD)
    assert [one.name for one in plan.restore] == ["fetch", "find images", "restore", "restored"]
    assert env_of(plan.restore[0])["DEPLOYBOT_RELEASE"] == OLD.id
    # Of a release that the bot did not record it puts back nothing.
    assert COMPOSE.deploy(answered(running(manifests={}), NEW), NEW, OLD).restore == ()


def test_a_variable_that_is_blank_now_as_well_is_a_warning() -> None:
    said = 'time="x" level=warning msg="The \\"TOKEN\\" variable is not set. Defaulting to a blank string."'
    config = configured(NEW, errors=said, running={"/home/me": {}})
    with pytest.raises(UserError, match="The Compose files use TOKEN, which is not set and would be blank"):
        COMPOSE.deploy(answered(running(), NEW, config), NEW, OLD)
    before = config.replace(b"RUNNING_ERRORS=", f"RUNNING_ERRORS={said}".encode())
    (warning,) = COMPOSE.deploy(answered(running(), NEW, before), NEW, OLD).warnings
    assert warning.startswith("The Compose files use TOKEN, which is not set and would be blank. Set it in")


HASH, VERSION = "com.docker.compose.config-hash", "com.docker.compose.version"
FOLDER, FILES = "com.docker.compose.project.working_dir", "com.docker.compose.project.config_files"
BLANK = 'time="x" level=warning msg="The \\"TOKEN\\" variable is not set. Defaulting to a blank string."'
THERE = {"web": {"image": "shop:1"}, "db": {"image": "postgres:16", "restart": "always"}}
FITS = min(compose_hashes(json.dumps({"services": THERE}), {})["db"])


def started(*containers: Container, errors: str = "", files: Sequence[str] = ("compose.yaml",)) -> Site:
    """Containers that a person started in HOME, where Compose reads the services of `THERE` with any of the files."""
    said = configured(NEW, errors=errors, running={str(number): THERE for number in range(len(files))})
    for number, one in enumerate(files):
        group = f"RUNNING={HOME}\0RUNNING_FILES={one}\0"
        said = said.replace(f"RUNNING={number}\0".encode(), group.encode())
    said = said.replace(b"RUNNING_ERRORS=", f"RUNNING_ERRORS={errors}".encode())
    return answered(site_of(*containers), NEW, said)


def by_hand(label: str = FITS, version: str = "2.26.1", file: str = "compose.yaml") -> Container:
    labels = {FOLDER: HOME, FILES: file, HASH: label, VERSION: version}
    return container("db", "2", image="postgres:16", labels=labels)


def test_a_variable_that_a_shell_may_have_had_is_not_blank_now() -> None:
    sentence = "The Compose files use TOKEN, which is not set and would be blank."
    with pytest.raises(UserError) as caught:
        COMPOSE.deploy(started(by_hand("other"), errors=BLANK), NEW, None)
    assert caught.value.sentence == sentence
    # By Compose's own rule it runs with a blank one, or that cannot be known.
    for one in (by_hand(), by_hand("other", "1.29.2"), by_hand(""), by_hand("other", "")):
        (warning,) = COMPOSE.deploy(started(one, errors=BLANK), NEW, None).warnings
        assert warning.startswith(sentence)


def test_what_would_be_restored_with_other_settings_is_a_warning() -> None:
    (warning,) = COMPOSE.deploy(started(by_hand("other")), NEW, None).warnings
    assert warning == (
        f"`docker compose up` in {HOME} would recreate db, too: the variables, the files or Compose changed since the "
        "start. If the release fails, what Compose reads there now is restored. Put variables of a shell into "
        f"{HOME}/.env and {DIRECTORY}/shared/.env first."
    )
    for one in (by_hand(), by_hand("other", "1.29.2"), by_hand("other", file="another.yaml")):
        assert COMPOSE.deploy(started(one), NEW, None).warnings == ()


def test_what_was_started_from_other_files_than_the_newest_is_not_replaced() -> None:
    newest = replace(by_hand(), id="id-web", name="shop-web-1", service="web", created=200.0)
    both = ("compose.yaml", "compose.yaml,x.yaml")
    with pytest.raises(UserError, match="db could not be restored if the release fails") as caught:
        COMPOSE.deploy(started(newest, by_hand("other", file=both[1]), files=both), NEW, None)
    assert "docker rm -f shop-production-db-1" in caught.value.hint
    for one in (by_hand(file=both[1]), by_hand("other", "1.29.2", both[1]), by_hand("other")):
        assert COMPOSE.deploy(started(newest, one, files=both), NEW, None).before


def test_containers_of_a_person_are_asked_for_in_their_folder() -> None:
    home = {"com.docker.compose.project.working_dir": "/home/me/shop"}
    home["com.docker.compose.project.config_files"] = "/home/me/shop/compose.yaml"
    config = COMPOSE.ask(site_of(container("web", "1", labels=home)), NEW)
    assert config
    assert env_of(config)["DEPLOYBOT_RUNNING_FOLDERS"] == "/home/me/shop\t/home/me/shop/compose.yaml"


def test_a_release_that_is_gone_back_to_has_its_own_compose_files() -> None:
    site = running(app=make_app("compose", compose={"files": ["ops/compose.yaml"]}), files=("a.yaml", "b.yaml"))
    config = COMPOSE.ask(site, OLD)
    assert config
    assert env_of(config)["DEPLOYBOT_COMPOSE_FILES"] == "a.yaml\nb.yaml"
    plan = COMPOSE.deploy(answered(site, OLD, configured(OLD)), OLD, OLD)
    assert COMPOSE.bind(plan.steps[2], answered(site, OLD), OLD)["DEPLOYBOT_COMPOSE_FILES"] == "a.yaml\nb.yaml"


def test_what_does_not_serve_is_restored_only_where_it_was_good() -> None:
    stopped = observed(container("web", "1", state="exited", exit_code=1))
    web, db = RECORD.services
    before = replace(RECORD, services=(replace(web, unwell=True), db))
    assert COMPOSE.deploy(answered(running(observed=stopped), NEW), NEW, OLD).before == before
    never = running(observed=stopped, good=frozenset())
    plan = COMPOSE.deploy(answered(never, NEW), NEW, OLD)
    assert (plan.before, plan.restore) == (None, ())


def test_a_restore_compares_what_runs_right_before_with_what_ran() -> None:
    there = (container("web", "3"), container("db", "2", labels={"deploybot.settings": "s-1"}))
    site = answered(recorded(observed=observed(*there)), OLD, configured(OLD))
    restore = COMPOSE.deploy(answered(site, NEW), NEW, OLD).restore[1]
    values = COMPOSE.bind(restore, site, OLD)
    assert (values["DEPLOYBOT_CHANGED"], values["DEPLOYBOT_COMPOSE_FILES"]) == ("web", "compose.yaml")
    assert OLD.id in values["DEPLOYBOT_OVERRIDE"]
    nobody = NO_RELEASE
    site = site_of(*there, manifests={"": manifest(ran("web", "1"), folder="/home/me")})
    values = COMPOSE.bind(restore, site, nobody)
    assert "deploybot.release" not in values["DEPLOYBOT_OVERRIDE"]
    assert COMPOSE.bind(replace(restore, bind=""), site, nobody) == {}
