"""The override file, merged by the three Composes."""

from __future__ import annotations

import json

import pytest

from deploybot.domain import Manifest, ServiceImage
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeService, parse_config
from deploybot.strategies.compose.compose_override import override_of
from deploybot.strategies.compose.mounted_paths import PathFacts
from deploybot.strategies.compose.settings_label import settings_of
from tests.strategies.compose.conftest import ONE, PROJECT, Flavour, Host, composed

FILES = {"conf/a": "x", "one.conf": "y", "pw.txt": "pw", "a$b/x": "d", ".env": "", "www/x": "1"}
YAML = """
services:
  web:
    build: .
    volumes:
      - ./conf:/conf:ro
      - ./one.conf:/one.conf
      - ./a$$b:/dollar
      - ./data:/data
      - .:/all
      - /srv/x:/x
      - named:/named
      - {type: bind, source: ./www, target: /www, read_only: true, bind: {propagation: rslave}}
    secrets: [pw]
    labels: {mine: "1"}
    depends_on: [db]
  db: {image: postgres}
volumes: {named: {}}
secrets: {pw: {file: ./pw.txt}}
"""
VERSIONS = {"3.8": 'version: "3.8"', "3": 'version: "3"', "none": ""}
DIGEST = "sha256:" + "d" * 64
MANIFEST = Manifest(
    services=(
        ServiceImage(service="web", image="sha256:" + "1" * 64),
        ServiceImage(service="db", image="sha256:" + "2" * 64, digest=f"postgres@{DIGEST}"),
    )
)
TAGS = {"web": "deploybot/shop/web:111111111111", "db": "deploybot/shop/db:222222222222"}


def merged(host: Host, flavour: Flavour, head: str) -> tuple[ComposeConfig, ComposeConfig, PathFacts, str]:
    """A release's configuration without and with the override, what is mounted, and Compose's own text."""
    folder = host.release("r1", {**FILES, "compose.yaml": f"{head}\n{YAML}"})
    (host.directory / "shared/data").mkdir(parents=True)
    (folder / "data").symlink_to(host.directory / "shared/data")
    config = host.config("r1", flavour)
    facts = host.facts("r1", config)
    text = override_of(config, manifest=MANIFEST, tags=TAGS, facts=facts, release="r1", major=flavour.major)
    override = host.directory / ".deploybot/releases/r1/override.yaml"
    override.write_text(text)
    shown = [] if flavour is ONE else ["--format", "json"]
    printed = composed(flavour, folder, "-f", "compose.yaml", "-f", str(override), "config", *shown)
    return config, parse_config(printed, project=PROJECT, folders=[str(folder)]), facts, printed


def of(config: ComposeConfig, name: str) -> ComposeService:
    found = config.of(name)
    assert found is not None
    return found


@pytest.mark.parametrize("head", VERSIONS.values(), ids=VERSIONS.keys())
def test_images_mounts_and_files_are_replaced_and_nothing_else(host: Host, flavour: Flavour, head: str) -> None:
    before, after, facts, printed = merged(host, flavour, head)
    folder, mounts = f"{host.directory}/releases/r1", f"{host.directory}/.deploybot/mounts/"
    assert [one.image for one in after.services] == [TAGS["db"], TAGS["web"]]
    sources = {one.target: one.source for one in of(after, "web").mounts}
    for target, path in (("/conf", "conf"), ("/one.conf", "one.conf"), ("/dollar", "a$b"), ("/www", "www")):
        assert sources[target] == facts.stable(f"{folder}/{path}")
        assert sources[target].startswith(mounts)
    kept = {"/data": f"{host.directory}/shared/data", "/all": folder, "/x": "/srv/x", "/named": "named"}
    assert {target: sources[target] for target in kept} == kept
    assert [one.path for one in of(after, "web").files] == [facts.stable(f"{folder}/pw.txt")]
    shape = [(one.kind, one.target, one.read_only) for one in of(before, "web").mounts]
    assert sorted(shape) == sorted((one.kind, one.target, one.read_only) for one in of(after, "web").mounts)
    assert "rslave" in printed
    assert of(after, "web").depends_on == of(before, "web").depends_on


def test_labels(host: Host, json_flavour: Flavour) -> None:
    before, _, facts, printed = merged(host, json_flavour, "")
    services = json.loads(printed)["services"]
    assert services["web"]["labels"] == {
        "mine": "1",
        "deploybot.release": "r1",
        "deploybot.image": "sha256:" + "1" * 64,
        "deploybot.settings": settings_of(of(before, "web"), facts),
    }
    assert services["db"]["labels"]["deploybot.image"] == f"postgres@{DIGEST}"
    assert {one["pull_policy"] for one in services.values()} == {"never"}


def test_the_settings_of_a_release_do_not_depend_on_its_override(host: Host, json_flavour: Flavour) -> None:
    before, after, _, _ = merged(host, json_flavour, "")
    assert of(before, "db").base == of(after, "db").base
