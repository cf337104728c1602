"""Which Compose files and settings a release is gone back to with: those it ran with, whatever bot.toml has by now."""

from __future__ import annotations

from dataclasses import replace

from deploybot.deployments.target_inspection import going_back
from tests.strategies.conftest import make_app
from tests.strategies.sites import NEW, OLD, manifest, ran, site_of

RECORD = manifest(ran("web", "1"))


def test_recorded_files_are_taken() -> None:
    assert going_back(site_of(manifests={OLD.id: RECORD}), OLD).files == ("compose.yaml",)


def test_a_recorded_env_file_and_profiles_are_taken() -> None:
    app = make_app("compose", compose={"profiles": ["app"], "env_file": "prod.env", "order": ["db"]})
    old = going_back(site_of(app=app, manifests={OLD.id: RECORD}), OLD).app.compose
    assert old == app.compose  # the record of the version before has neither
    record = replace(RECORD, env_file="", profiles=("web",))
    found = going_back(site_of(app=app, manifests={OLD.id: record}), OLD).app.compose
    assert (found.env_file or "", found.profiles, found.order) == ("", ("web",), ("db",))


def test_without_a_record_bot_toml_counts() -> None:
    site = site_of(manifests={NEW.id: RECORD})
    assert going_back(site, OLD) is site


def test_files_of_another_folder_are_no_files_of_the_release() -> None:
    site = site_of(manifests={OLD.id: replace(RECORD, folder="/home/me/shop")})
    assert going_back(site, OLD) is site
