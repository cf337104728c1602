"""Apps without a repository: copies of what their files on the server said, which may come back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from deploybot.domain import NO_RELEASE, Manifest
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.strategies.compose import step_values
from deploybot.strategies.compose.release_study import (
    kept_config,
    kept_configs,
    kept_wanted,
    named_images_of,
    study_of,
    with_restorable,
)
from deploybot.strategies.compose.server_files import configuration_of
from tests.kit.settings import bot_settings
from tests.strategies.sites import FACTS, OLD, PROJECT, answered, configured, manifest, ran, site_of

Services = Mapping[str, Mapping[str, object]]
NOW: Services = {"web": {"image": "acme/web:1"}}
BEFORE: Services = {"web": {"image": "acme/web:1", "environment": {"HERE": "/srv/shop/conf"}}}
APP = bot_settings(apps={"shop": {"repo": None, "strategy": "compose", "directory": "/srv/shop"}}).apps["shop"]


def said(services: Services) -> str:
    return json.dumps({"name": PROJECT, "services": services})


def site(services: Services = NOW, copies: Mapping[str, tuple[Services, int]] | None = None, **more: object) -> Site:
    """The server's files say `services`; `copies` are those that the bot kept, with the code of Compose."""
    text = configured(NO_RELEASE, services).removesuffix(b"END=\0")
    for name, (there, code) in (copies or {}).items():
        records = (
            f"KEPT={name}",
            "KEPT_PROFILES=a,b",
            f"KEPT_CONFIG={said(there)}",
            "KEPT_ERRORS=",
            f"KEPT_CODE={code}",
        )
        text += "".join(f"{one}\0" for one in records).encode()
    made = answered(site_of(app=APP), NO_RELEASE, text + b"END=\0")
    return replace(made, **more)  # type: ignore[arg-type]


def hash_of(services: Services) -> str:
    """The hash of files that say this."""
    study = study_of(site(services), NO_RELEASE)
    return configuration_of(study.config, study.facts)


def test_only_copies_that_compose_reads_come_back() -> None:
    assert {*kept_configs(site(copies={"a": (BEFORE, 0), "b": (BEFORE, 15)}))} == {"a"}


def test_a_copy_counts_only_while_it_says_what_its_hash_says() -> None:
    name, facts = hash_of(BEFORE), study_of(site(), NO_RELEASE).facts
    there = kept_config(site(copies={name: (BEFORE, 0)}), facts, name)
    assert there is not None
    assert configuration_of(there, facts) == name
    assert kept_config(site(copies={name: (NOW, 0)}), facts, name) is None
    assert kept_config(site(), facts, name) is None


def test_settings_that_the_files_lost_come_back_from_the_copy() -> None:
    name = hash_of(BEFORE)
    study = study_of(site(copies={name: (BEFORE, 0)}, configuration=name), NO_RELEASE)
    assert (study.kept, study.profiles) == (name, ("a", "b"))
    assert study.files == (f"/srv/shop/.deploybot/.deploybot/configurations/{name}.json",)
    assert configuration_of(study.config, study.facts) == name
    assert study.answers.release.text == said(NOW)
    assert step_values.kept_values(site(), study) == {}, "a copy is not copied again"


@pytest.mark.parametrize("wanted", ["", hash_of(NOW), "f" * 64])
def test_files_that_say_what_is_wanted_are_used_themselves(wanted: str) -> None:
    copies = {hash_of(NOW): (NOW, 0), "f" * 64: (BEFORE, 0)}
    study = study_of(site(copies=copies, configuration=wanted), NO_RELEASE)
    assert (study.kept, study.files) == ("", ("compose.yaml",))


def test_a_step_is_told_what_to_keep() -> None:
    app = APP.model_copy(update={"compose": APP.compose.model_copy(update={"profiles": ("x", "y")})})
    there = site(app=app)
    study = study_of(there, NO_RELEASE)
    assert step_values.kept_values(there, study) == {
        "DEPLOYBOT_KEEP_AS": hash_of(NOW),
        "DEPLOYBOT_SUM": hashlib.sha256(said(NOW).encode()).hexdigest(),
        "DEPLOYBOT_PROFILES": "x,y",
    }
    assert step_values.kept_values(site_of(), study) == {}


@pytest.mark.parametrize(
    ("services", "code", "is_spare"), [(BEFORE, 0, True), (BEFORE, 15, False), (NOW, 0, False), (None, 0, False)]
)
def test_a_restore_has_a_spare_copy_of_what_the_files_say(
    services: Services | None, code: int, *, is_spare: bool
) -> None:
    """A person may edit the files meanwhile."""
    name = hash_of(BEFORE)
    copies = {} if services is None else {name: (BEFORE, code)}
    there = site(services or BEFORE, copies, configuration=name, manifests={OLD.id: manifest(ran("web", "1"))})
    given = step_values.restore_values(there, study_of(there, NO_RELEASE), OLD)
    assert given.get("DEPLOYBOT_SPARE") == (name if is_spare else None)
    assert given.get("DEPLOYBOT_SUM") == (hashlib.sha256(said(BEFORE).encode()).hexdigest() if is_spare else None)


def test_copies_of_what_runs_and_of_a_way_back_are_wanted() -> None:
    def record(name: str) -> Manifest:
        return replace(manifest(ran("web", "1")), configuration=name)

    records = {"one": record("b"), "two": record("c")}
    there = site(configuration="a", running="one", facts=replace(FACTS, current="two"), manifests=records)
    assert kept_wanted(there) == ("a", "b", "c")
    assert kept_wanted(replace(there, attempt=record("d"), configuration="")) == ("d", "b", "c")
    assert kept_wanted(replace(there, attempt=record("a"), manifests={})) == ("a",)
    assert kept_wanted(replace(there, app=site_of().app)) == ()


def test_a_service_that_the_files_lost_is_not_restored() -> None:
    records = {OLD.id: manifest(ran("web", "1"), ran("db", "2")), "lost": manifest(ran("db", "2"))}
    there = site(manifests=records)
    study = study_of(there, NO_RELEASE)
    left = with_restorable(there, study, OLD)
    assert [one.service for one in left.manifests[OLD.id].services] == ["web"]
    assert left.manifests["lost"] == records["lost"]
    assert with_restorable(there, None, OLD) == there
    other = replace(there, app=site_of().app)
    assert with_restorable(other, study, OLD) == other


def test_files_that_compose_refuses_name_no_images() -> None:
    assert named_images_of(site()) == {"web": "acme/web:1"}
    refused = answered(site_of(app=APP), NO_RELEASE, configured(NO_RELEASE, code=15, errors="web.biuld is no key"))
    with pytest.raises(UserError) as caught:
        named_images_of(refused)
    assert caught.value.sentence.startswith("Compose cannot read the files in /srv/shop on ")
    assert "web.biuld is no key" in caught.value.sentence
    assert caught.value.hint == ("Put a compose.yaml there, or fix it. An app with a repository needs apps.shop.repo.")
