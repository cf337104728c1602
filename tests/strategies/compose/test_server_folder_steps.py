"""The steps of an app without a repository: its Compose files lie on the server, and its releases are images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from deploybot.domain import NO_RELEASE, Container, EffectKind, Manifest, Pin, Release
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.settings import App
from deploybot.strategies.compose.release_study import study_of
from deploybot.strategies.compose.server_files import CONFIGURATION
from deploybot.strategies.compose.settings_label import IMAGE_LABEL, SETTINGS_LABEL, settings_of
from tests.kit.settings import bot_settings
from tests.strategies.conftest import env_of
from tests.strategies.sites import (
    COMPOSE,
    DIRECTORY,
    FACTS,
    PROJECT,
    answered,
    configured,
    container,
    image,
    manifest,
    observed,
    ran,
    site_of,
)

FROM = "com.docker.compose.project.working_dir"
DIGEST, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
OLD = Release.of_images((Pin("web", "acme/web", "1", OTHER),))
NEW = Release.of_images((Pin("web", "acme/web", "1", DIGEST),))
WEB: Mapping[str, Mapping[str, object]] = {"web": {"image": "acme/web:1"}}
MORE: Mapping[str, Mapping[str, object]] = {"web": {"image": "acme/web:1", "environment": {"A": "1"}}}


def made() -> App:
    given = {"repo": None, "strategy": "compose", "directory": DIRECTORY}
    return bot_settings(apps={"shop": given}).apps["shop"]


def site(services: Mapping[str, Mapping[str, object]] = WEB, **more: object) -> Site:
    """The old release runs; the server's files say this now."""
    seen = site_of(
        container("web", "2", labels={FROM: "/srv/other"}),
        app=made(),
        facts=replace(FACTS, current=OLD.id, releases=(OLD.id,), have=()),
        good=frozenset({OLD.id}),
        running=OLD.id,
        manifests={OLD.id: manifest(ran("web", "2", digest=f"acme/web@{OTHER}"))},
        images=(image("2", digests=[f"acme/web@{OTHER}"]),),
    )
    return answered(replace(seen, **more), NEW, configured(NEW, services))  # type: ignore[arg-type]


def test_a_server_is_asked_what_its_files_say() -> None:
    step = COMPOSE.look(site())
    assert step is not None
    assert (step.name, step.script) == ("compose_config", "compose_config")
    env = env_of(step)
    assert (env["COMPOSE_PROJECT_NAME"], env["DEPLOYBOT_COMPOSE"]) == (PROJECT, "docker compose")
    assert (env["DEPLOYBOT_RELEASE"], env["DEPLOYBOT_PREVIOUS"]) == ("", "")
    assert COMPOSE.named_images(answered(site(), NO_RELEASE, configured(NO_RELEASE, WEB))) == {"web": "acme/web:1"}
    with pytest.raises(UserError, match="has no Docker Compose"):
        COMPOSE.look(site(facts=replace(FACTS, compose=())))


def test_an_app_with_a_repository_is_not_asked() -> None:
    assert COMPOSE.look(site_of()) is None


def test_nothing_is_fetched_the_folder_is_made() -> None:
    fetch = COMPOSE.fetch(site(), NEW, again=True)
    assert (fetch.name, fetch.script, fetch.uploads) == ("fetch", "compose_folder", ())
    plan = COMPOSE.deploy(site(), NEW, OLD)
    assert [(one.name, one.script) for one in plan.steps] == [
        ("fetch", "compose_folder"),
        ("build", "compose_build"),
        ("up", "compose_up"),
        ("switch", "switch"),
    ]


def test_the_settings_that_were_shown_are_those_that_run() -> None:
    there = site()
    plan = COMPOSE.deploy(there, NEW, OLD)
    up = plan.steps[2]
    assert len(plan.configuration) == 64
    assert env_of(up)[CONFIGURATION] == plan.configuration
    record = COMPOSE.manifest(there, NEW, {"web": ("sha256:" + "1" * 64, DIGEST)})
    assert record.configuration == plan.configuration
    there = replace(there, manifests={**there.manifests, NEW.id: record})
    values = COMPOSE.bind(up, there, NEW)
    assert values["DEPLOYBOT_KEEP_AS"] == plan.configuration
    edited = answered(there, NEW, configured(NEW, MORE))
    with pytest.raises(UserError, match=r"Compose files in /srv/shop on web1 changed since this was planned"):
        COMPOSE.bind(up, edited, NEW)
    # Without an approved image, nothing starts, even if the files did not change.
    other = Release.of_images((Pin("side", "acme/side", "1", DIGEST),))
    with pytest.raises(UserError, match="has no image for web, which is a service"):
        COMPOSE.bind(up, replace(there, manifests={other.id: record}), other)


def test_files_on_servers_are_of_no_release_of_a_repository() -> None:
    record = COMPOSE.manifest(answered(site_of(), NEW, configured(NEW, WEB)), NEW, {})
    assert record.configuration == ""
    commit = Release.of_commit("a" * 40, "v1")
    there = replace(site(running=commit.id, good=frozenset({commit.id})), observed=observed(container("web", "2")))
    assert COMPOSE.deploy(there, NEW, commit).replaces is None, "it is restored like any containers"
    assert COMPOSE.deploy(replace(there, running=OLD.id), NEW, OLD).replaces == OLD


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ({**WEB, "side": {"image": "acme/side:1"}}, "has no image for side, which is a service"),
        ({**WEB, "a": {"image": "a"}, "b": {"image": "b"}}, "has no image for a and b, which are services"),
    ],
)
def test_a_service_without_an_approved_image_is_refused(
    services: Mapping[str, Mapping[str, object]], said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        COMPOSE.deploy(site(services), NEW, OLD)
    assert caught.value.hint == "To deploy what the files name now: deploy shop to production"


def test_containers_from_files_elsewhere_are_compared_with_those() -> None:
    """Unless the bot started them: then it knows what they run."""
    asked = replace(site(), answers={})
    step = COMPOSE.ask(asked, NEW)
    assert step is not None
    assert env_of(step)["DEPLOYBOT_RUNNING_FOLDERS"] == "/srv/other\t"
    known = replace(
        asked,
        observed=observed(
            container("web", "2", labels={FROM: "/x", "deploybot.settings": "s"}),
            container("db", "2", labels={FROM: "/y"}),
            container("job", "2", labels={FROM: "/z"}),
        ),
    )
    step = COMPOSE.ask(known, NEW)
    assert step is not None
    assert env_of(step)["DEPLOYBOT_RUNNING_FOLDERS"].split("\n") == ["/y\t", "/z\t"]
    # What ran when the app had a repository is none of the bot's releases of today.
    step = COMPOSE.ask(replace(known, running=Release.of_commit("a" * 40).id), NEW)
    assert step is not None
    assert env_of(step)["DEPLOYBOT_RUNNING_FOLDERS"].split("\n") == ["/x\t", "/y\t", "/z\t"]


def test_copies_of_settings_are_asked_for() -> None:
    before = Manifest(services=(ran("web", "2"),), files=("compose.yaml",), configuration="c" * 64)
    asked = replace(site(), answers={}, attempt=before, configuration="d" * 64)
    step = COMPOSE.ask(asked, NEW)
    assert step is not None
    assert {*env_of(step)["DEPLOYBOT_KEPT"].split("\n")} == {"c" * 64, "d" * 64}


def in_its_settings(there: Site, image: str) -> Container:
    """A container that the bot started with what the files say now."""
    study = study_of(there, NEW)
    (web,) = study.config.services
    labels = {IMAGE_LABEL: f"sha256:{image * 64}", SETTINGS_LABEL: settings_of(web, study.facts)}
    return container("web", image, labels=labels)


@pytest.mark.parametrize(
    ("digests", "effect"),
    [
        ((f"acme/web@{DIGEST}",), EffectKind.KEPT),
        ((f"mirror:5000/acme/web@{DIGEST}",), EffectKind.KEPT),
        ((f"acme/web@{OTHER}",), EffectKind.RECREATED),
        ((), EffectKind.RECREATED),
    ],
)
def test_what_runs_the_approved_digest_already_is_kept(digests: tuple[str, ...], effect: EffectKind) -> None:
    """Before anything is pulled, the plan knows the images only by their digests."""
    there = site(images=(image("3", digests=digests),))
    there = replace(there, observed=observed(in_its_settings(there, "3")))
    assert [one.kind for one in COMPOSE.deploy(there, NEW, OLD).effects] == [effect]


VOLUME: Mapping[str, Mapping[str, object]] = {
    "web": {"image": "acme/web:1", "volumes": [{"type": "volume", "source": "data", "target": "/data"}]}
}


def with_volume(app: App) -> Site:
    """Nothing runs, and Compose would call the project `shop` in its folder, where a volume has that name."""
    more = {"volumes": {"data": {"name": f"{PROJECT}_data"}}}
    seen = replace(observed(), volumes=("shop_data",))
    there = site_of(app=app, facts=replace(FACTS, current="", releases=(), have=()), observed=seen)
    return answered(there, NEW, configured(NEW, VOLUME, more=more))


def test_volumes_of_the_name_that_compose_uses_itself_are_not_left_behind() -> None:
    with pytest.raises(
        UserError, match="Compose calls this project shop in /srv/shop, and shop_data exists here"
    ) as one:
        COMPOSE.deploy(with_volume(made()), NEW, None)
    assert one.value.hint == (
        'To continue with shop, set compose.project = "shop" in bot.toml. For a new one, set "shop-production" there.'
    )
    named = made()
    named = named.model_copy(update={"compose": named.compose.model_copy(update={"project": PROJECT})})
    assert COMPOSE.deploy(with_volume(named), NEW, None).steps


def test_variables_are_set_where_the_files_are() -> None:
    errors = 'time="x" level=warning msg="The \\"KEY\\" variable is not set. Defaulting to a blank string."\n'
    there = answered(replace(site(), observed=observed()), NEW, configured(NEW, WEB, errors=errors))
    with pytest.raises(UserError, match="The Compose files use KEY, which is not set") as caught:
        COMPOSE.deploy(there, NEW, None)
    assert caught.value.hint.startswith("Set it in /srv/shop/.env, or as `env` or `secrets` in bot.toml.")


def test_files_that_compose_cannot_read_are_corrected_on_the_server() -> None:
    there = answered(site(), NEW, configured(NEW, WEB, code=1, errors="yaml: line 3: bad"))
    with pytest.raises(UserError, match="Compose cannot read the files in /srv/shop: yaml: line 3: bad") as caught:
        COMPOSE.deploy(there, NEW, OLD)
    assert caught.value.hint == "Fix that on the server."
