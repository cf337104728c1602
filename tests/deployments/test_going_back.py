"""Which Compose files a release is gone back to with: those that it ran with, whatever bot.toml names by now."""

from __future__ import annotations

from dataclasses import replace

from deploybot.deployments.target_inspection import going_back
from tests.strategies.sites import NEW, OLD, manifest, ran, site_of

RECORD = manifest(ran("web", "1"))


def test_recorded_files_are_taken() -> None:
    assert going_back(site_of(manifests={OLD.id: RECORD}), OLD).files == ("compose.yaml",)


def test_without_a_record_bot_toml_counts() -> None:
    site = site_of(manifests={NEW.id: RECORD})
    assert going_back(site, OLD) is site


def test_files_of_another_folder_are_no_files_of_the_release() -> None:
    site = site_of(manifests={OLD.id: replace(RECORD, folder="/home/me/shop")})
    assert going_back(site, OLD) is site
