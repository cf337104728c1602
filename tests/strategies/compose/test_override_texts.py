"""What the override says: pinned images, labels, and only the mounts that changed; no Compose runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploybot.domain import Manifest, ServiceImage
from deploybot.errors import UserError
from deploybot.strategies.compose.compose_model import (
    ComposeService,
    ServiceFile,
    ServiceMount,
)
from deploybot.strategies.compose.compose_override import override_of, write_override
from deploybot.strategies.compose.mounted_paths import (
    PathKind,
)
from deploybot.strategies.compose.settings_label import same_content, same_settings, settings_of
from tests.strategies.compose.mounted import DIRECTORY, FOLDER, ONE, REAL, TWO, WEB, config, fact, facts

DB = ComposeService(name="db", base="d" * 64, files=(ServiceFile(kind="configs", key="c", target="/c", path="/etc/c"),))
CONF = fact(f"{FOLDER}/conf", PathKind.FOLDER, real=f"{REAL}/conf", digest=ONE)
PW = fact(f"{FOLDER}/pw", real=f"{REAL}/pw", digest=TWO)


def test_a_label_of_settings_has_their_hash_and_one_of_the_content() -> None:
    label = settings_of(WEB, facts(CONF, PW))
    assert label == "bbbbbbbbbbbb-9db0e0d540bb"
    assert settings_of(ComposeService(name="web", base="b" * 64), facts()) == "b" * 12
    moved = ComposeService(name="web", base="b" * 64, mounts=WEB.mounts[::-1], files=WEB.files[::-1])
    assert settings_of(moved, facts(CONF, PW)) == label
    changed = fact(f"{FOLDER}/conf", PathKind.FOLDER, real=f"{REAL}/conf", digest=TWO)
    other = settings_of(WEB, facts(changed, PW))
    assert (same_settings(label, other), same_content(label, other)) == (True, False)
    assert (same_settings("a-1", "b-1"), same_content("a-1", "b-1"), same_content("a", "b")) == (False, True, True)


def overridden(major: int = 2) -> dict[str, Any]:
    images = (
        ServiceImage(service="untagged", image="sha256:5"),
        ServiceImage(service="web", image="sha256:1"),
        ServiceImage(service="db", image="sha256:2", digest="postgres@sha256:3"),
    )
    services = (WEB, DB, ComposeService(name="untagged"))
    text = override_of(
        config(*services),
        manifest=Manifest(services=images),
        tags={"web": "ours/web:1", "db": "ours/db$:2"},
        facts=facts(CONF, PW),
        release="r1",
        major=major,
    )
    found: dict[str, Any] = json.loads(text)
    return found


def test_an_override_pins_labels_and_moves_what_changed_and_nothing_else() -> None:
    mounts = f"{DIRECTORY}/.deploybot/mounts"
    assert overridden() == {
        "version": "3.8",
        "services": {
            "web": {
                "image": "ours/web:1",
                "pull_policy": "never",
                "labels": {
                    "deploybot.release": "r1",
                    "deploybot.image": "sha256:1",
                    "deploybot.settings": settings_of(WEB, facts(CONF, PW)),
                },
                "volumes": [f"{mounts}/{ONE}:/conf/:ro"],
            },
            "db": {
                "image": "ours/db$$:2",
                "pull_policy": "never",
                "labels": {
                    "deploybot.release": "r1",
                    "deploybot.image": "postgres@sha256:3",
                    "deploybot.settings": settings_of(DB, facts(CONF, PW)),
                },
            },
        },
        "secrets": {"pw": {"file": f"{mounts}/{TWO}/pw"}},
    }


def test_a_recorded_service_that_the_files_lack_is_refused() -> None:
    lacking = Manifest(services=(ServiceImage(service="gone", image="sha256:4"),))
    with pytest.raises(UserError, match="The release ran gone, which its Compose files do not have"):
        override_of(config(WEB), manifest=lacking, tags={"gone": "x"}, facts=facts(CONF, PW), release="r1", major=2)


def test_docker_compose_1_has_no_policy_that_never_pulls() -> None:
    assert "pull_policy" not in overridden(1)["services"]["web"]
    assert overridden(5)["services"]["web"]["pull_policy"] == "never"


def test_a_long_mount_keeps_its_options() -> None:
    form = {"type": "bind", "source": f"{FOLDER}/conf", "target": "/conf", "bind": {"propagation": "rslave"}}
    long = ServiceMount(kind="bind", source=f"{FOLDER}/conf", target="/conf", form=json.dumps(form))
    service = ComposeService(name="web", mounts=(long,))
    image = Manifest(services=(ServiceImage(service="web", image="sha256:1"),))
    text = override_of(config(service), manifest=image, tags={"web": "t"}, facts=facts(CONF), release="r1", major=2)
    (written,) = json.loads(text)["services"]["web"]["volumes"]
    assert written == {**form, "source": f"{DIRECTORY}/.deploybot/mounts/{ONE}"}


def test_an_override_is_written_in_one_way() -> None:
    text = write_override({"b": {"x": ["$1", 2, None]}, "a": {"image": "ä"}}, files={"configs": {"c": "/p$"}})
    assert text == (
        '{\n "configs": {\n  "c": {\n   "file": "/p$$"\n  }\n },\n "services": {\n  "a": {\n   "image": "ä"\n  },\n'
        '  "b": {\n   "x": [\n    "$$1",\n    2,\n    null\n   ]\n  }\n }\n}\n'
    )
    assert write_override({}) == '{\n "services": {}\n}\n'
    assert json.loads(write_override({}, version="2.4")) == {"version": "2.4", "services": {}}
