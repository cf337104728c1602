"""Hashes: Compose's own, as its versions printed them, and ours, which stays the same in every version of deploybot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from deploybot.strategies.compose.compose_model import ComposeUnreadable, parse_config
from deploybot.strategies.compose.config_hash import compose_hashes

DB: dict[str, Any] = {"command": None, "entrypoint": None, "image": "postgres", "networks": {"default": None}}
STARTED = {"condition": "service_started", "required": True}
AGAIN = {"condition": "service_started", "restart": True, "required": True}
MORE = {**DB, "image": "busybox", "volumes_from": ["db:ro", "container:old"], "depends_on": {"db": STARTED}}
SIDE: dict[str, Any] = {
    "command": None,
    "entrypoint": None,
    "image": "busybox",
    "ipc": "shareable",
    "network_mode": "service:db",
    "pid": "service:db",
    "depends_on": {"db": AGAIN},
}
WEB: dict[str, Any] = {
    "profiles": ["p"],
    "build": {"context": "/tmp/kg", "dockerfile": "Dockerfile"},
    "develop": {"watch": [{"path": "/tmp/kg", "action": "rebuild", "exec": {"command": None}}]},
    "command": ["sh", "-c", "echo <a> & b"],
    "depends_on": {"db": STARTED},
    "deploy": {"replicas": 2, "resources": {"limits": {"memory": "67108864"}}, "placement": {}},
    "entrypoint": None,
    "environment": {"A": "1", "B": ""},
    "image": "shop/web:1.2",
    "labels": {"one": "two"},
    "networks": {"default": None},
    "ports": [{"mode": "ingress", "target": 80, "published": "8000", "protocol": "tcp"}],
    "pull_policy": "always",
    "scale": 2,
    "volumes": [{"type": "volume", "source": "data", "target": "/var/data", "volume": {}}],
}
TOP: dict[str, Any] = {
    "name": "gold",
    "networks": {"default": {"name": "gold_default", "ipam": {}}},
    "services": {"db": DB, "more": MORE, "side": SIDE, "web": WEB},
    "volumes": {"data": {"name": "gold_data"}},
}
# What `docker compose config --hash '*'` prints for these services.
PRINTED = {
    "2.26.1": {
        "db": "d336b89da15d6ff8463a4cf94316f13525409249eedb1b1d6f5e7cae3d7d8e60",
        "side": "91c47084a1bd61be45112db58b5a984d3735d48981deb90dc6cde444a9e7a80d",
        "web": "0c45a8e90019534f1e8f22589f5511b11e0fcae10beb6d02fa221b8b9876a524",
    },
    "5.6.1": {
        "db": "d336b89da15d6ff8463a4cf94316f13525409249eedb1b1d6f5e7cae3d7d8e60",
        "side": "22545ccdca271e83d06adc10cf5194bddb48621bb6adacddc04a500bebf3ad6a",
    },
}


def hashes(service: Mapping[str, object], containers: Mapping[str, Sequence[str]] | None = None) -> frozenset[str]:
    """The hashes that a service may have."""
    return compose_hashes(json.dumps({"services": {"one": service}}), containers or {})["one"]


@pytest.mark.parametrize("version", PRINTED)
def test_what_versions_of_compose_print_is_among_the_hashes(version: str) -> None:
    found = compose_hashes(json.dumps(TOP), {})
    assert {name for name, value in PRINTED[version].items() if value not in found[name]} == set()


def test_each_part_that_versions_leave_out_gives_other_hashes() -> None:
    profiles = {**DB, "profiles": []}
    assert hashes(DB) < hashes(profiles) < hashes({**profiles, "develop": {}})
    assert hashes({"image": "x", "develop": {}, "depends_on": {}, "profiles": []}) > hashes(
        {"image": "x", "develop": {}}
    )


@pytest.mark.parametrize(
    ("service", "as_if"),
    [
        ({"network_mode": "service:db"}, {"network_mode": "container:c1"}),
        ({"pid": "service:db"}, {"pid": "container:c1"}),
        ({"ipc": "service:db"}, {"ipc": "container:c1"}),
        ({"ipc": "service:gone"}, {"ipc": "service:gone"}),
        ({"ipc": "container:db"}, {"ipc": "container:db"}),
        ({"volumes_from": ["db:ro", "container:old"]}, {"volumes_from": ["c1", "c2", "old"]}),
        ({"volumes_from": ["gone:ro"]}, {"volumes_from": ["gone"]}),
        ({"volumes_from": ["db"], "pid": "service:db"}, {"volumes_from": ["c1", "c2"], "pid": "container:c1"}),
        ({"deploy": {"replicas": 3, "mode": "x"}}, {"deploy": {"mode": "x"}}),
        ({"build": {"context": "."}, "scale": 2, "pull_policy": "always"}, {}),
        ({"a": "x&y<z>"}, {"a": "x&y<z>"}),
    ],
)
def test_up_puts_containers_in_place_of_services_and_leaves_out_the_rest(
    service: dict[str, Any], as_if: dict[str, Any]
) -> None:
    written = {"image": "x", **service}
    ordered = {"image": "x", **as_if}
    texts = {json.dumps(one, separators=(",", ":")) for one in (ordered, dict(sorted(ordered.items())))}
    for plain, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        texts = {text.replace(plain, escaped) for text in texts}
    assert hashes(written, {"db": ["c1", "c2"]}) == {hashlib.sha256(text.encode()).hexdigest() for text in texts}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"services": []}, "services is not a mapping"),
        ({"services": {"web": []}}, "web is not a mapping"),
        ({"services": {"web": {"volumes_from": 1}}}, "volumes_from is not a list"),
    ],
)
def test_what_has_no_hash_is_named(given: object, words: str) -> None:
    with pytest.raises(ComposeUnreadable, match=f"cannot be read: {words}"):
        compose_hashes(json.dumps(given), {})


def test_line_separators_are_escaped_as_go_does() -> None:
    written = r'{"image":"a\u2028\u2029\u003c\u003e\u0026","z":"ä"}'
    assert hashes({"image": "a\u2028\u2029<>&", "z": "ä"}) == {hashlib.sha256(written.encode()).hexdigest()}


def test_docker_compose_1_prints_the_label_itself() -> None:
    assert compose_hashes("services: {web: {image: x}}", {}) == {}


def base(
    service: Mapping[str, object], parts: Mapping[str, object] | None = None, *, folders: Sequence[str] = ()
) -> str:
    """Our hash of a service, with the definitions of networks and others."""
    text = json.dumps({"name": "shop", "services": {"web": service}, **(parts or {})})
    (found,) = parse_config(text, folders=folders).services
    return found.base


DATA = WEB["volumes"][0]
RSLAVE = {"create_host_path": True, "propagation": "rslave"}
BIND: dict[str, Any] = {"type": "bind", "source": "/srv/r1/conf", "target": "/conf", "bind": RSLAVE}
TMP: dict[str, Any] = {"type": "tmpfs", "target": "/tmp", "read_only": True}
FULL: dict[str, Any] = {
    **WEB,
    "networks": {"front": {"aliases": ["w"]}, "default": None},
    "volumes": [DATA, BIND, TMP],
    "secrets": [{"source": "pw", "target": "x", "mode": "0400", "uid": "1"}],
    "configs": ["conf"],
    "working_dir": "/srv/r1/www",
}
PARTS: dict[str, Any] = {
    "networks": {"front": {"name": "shop_front", "internal": True}},
    "volumes": {"data": {"name": "elsewhere"}},
    "secrets": {"pw": {"name": "shop_pw", "file": "/srv/r1/pw.txt"}},
    "configs": {"conf": {"content": "x"}},
}


def test_an_update_of_the_bot_recreates_nothing() -> None:
    assert base({"image": "x"}) == "64654214b141c3a228b3f824b73beb5f8c0992d653b2c3b56b9e9e8bca162323"
    assert base(FULL, PARTS, folders=["/srv/r1"]) == "a7031b6cac37f120378312766166443db32f19adb92a40631491e017ec915273"


@pytest.mark.parametrize(
    "same",
    [
        {"image": "y"},
        {"build": {"context": "elsewhere"}},
        {"pull_policy": "never"},
        {"scale": 9},
        {"profiles": ["q"]},
        {"depends_on": {}},
        {"develop": None},
        {"env_file": ["x"]},
        {"label_file": ["x"]},
        {"extends": {"service": "x"}},
        {"x-note": "y"},
        {"deploy": {**WEB["deploy"], "replicas": 7}},
        {"deploy": {"resources": {"limits": {"memory": "67108864"}}}},
        {"labels": {"one": "two", "deploybot.release": "r1"}},
        {"labels": ["one=two"]},
        {"environment": ["A=1", "B="]},
        {"entrypoint": {}},
        {"ports": ["8000:80"]},
        {"volumes": [TMP, DATA, BIND]},
        {"volumes": [DATA, {**BIND, "bind": {"propagation": "rslave"}}, TMP]},
        {"volumes": [DATA, {**BIND, "source": "/other"}, TMP]},
        {"secrets": [{"source": "pw", "target": "/run/secrets/x", "mode": 256, "uid": "1"}]},
        {"configs": [{"source": "conf"}]},
        {"working_dir": "."},
    ],
)
def test_what_does_not_count(same: dict[str, Any]) -> None:
    if same == {"working_dir": "."}:
        assert base({**FULL, "working_dir": "/srv/r1"}, folders=["/srv/r1"]) == base({**FULL, **same})
    else:
        assert base({**FULL, **same}, PARTS) == base(FULL, PARTS)


@pytest.mark.parametrize(
    "other",
    [
        {"command": ["sh"]},
        {"deploy": {**WEB["deploy"], "resources": {}}},
        {"labels": {"one": "three"}},
        {"labels": {"deploybot": "x", **WEB["labels"]}},
        {"environment": {"A": "1", "B": None}},
        {"environment": {"A": "2", "B": ""}},
        {"networks": {"front": {"aliases": ["v"]}, "default": None}},
        {"networks": {"front": {"aliases": ["w"]}}},
        {"network_mode": "host"},
        {"ports": ["8001:80"]},
        {"ports": ["8000:80/udp"]},
        {"volumes": [DATA, BIND]},
        {"volumes": [{**DATA, "source": "more"}, BIND, TMP]},
        {"volumes": [{**DATA, "target": "/x"}, BIND, TMP]},
        {"volumes": [{**DATA, "read_only": True}, BIND, TMP]},
        {"volumes": [DATA, BIND, {**TMP, "tmpfs": {"size": "1"}}]},
        {"volumes": [DATA, {**BIND, "bind": {"propagation": "rshared"}}, TMP]},
        {"secrets": [{"source": "pw", "target": "y", "mode": "0400", "uid": "1"}]},
        {"secrets": [{"source": "pw", "target": "x", "mode": "0440", "uid": "1"}]},
        {"secrets": [{"source": "pw", "target": "x", "mode": "0400", "uid": "2"}]},
        {"secrets": [{"source": "pw", "target": "x", "mode": "0400", "uid": "1", "gid": "5"}]},
        {"configs": [{"source": "conf", "target": "/etc/x"}]},
        {"working_dir": "/srv/r2/www"},
    ],
)
def test_what_counts(other: dict[str, Any]) -> None:
    assert base({**FULL, **other}, PARTS) != base(FULL, PARTS)


@pytest.mark.parametrize(
    ("kind", "one", "other", "is_same"),
    [
        ("networks", {"front": {}}, {"front": {"name": "shop_front"}}, True),
        ("networks", {"front": {}}, {"front": {"name": "front"}}, True),
        ("networks", {"front": {}}, {"front": {"name": "net"}}, False),
        ("networks", {"front": {}}, {"front": {"internal": True}}, False),
        ("networks", {"front": {}}, {"front": {"driver_opts": {"mtu": None}}}, True),
        ("volumes", {"data": {}}, {"data": {"name": "shop_data"}}, True),
        ("volumes", {"data": {}}, {"data": {"name": "elsewhere"}}, False),
        ("secrets", {"pw": {}}, {"pw": {"file": "/x"}}, True),
        ("secrets", {"pw": {}}, {"pw": {"environment": "X"}}, False),
        ("configs", {"conf": {"content": "x"}}, {"conf": {"content": "y"}}, False),
    ],
)
def test_definitions_count_without_their_files_and_generated_names(
    kind: str, one: dict[str, Any], other: dict[str, Any], is_same: bool
) -> None:
    rest = {key: value for key, value in PARTS.items() if key != kind}
    assert (base(FULL, {**rest, kind: one}) == base(FULL, {**rest, kind: other})) is is_same


def test_the_folder_of_a_release_is_no_setting_but_one_beside_it_is() -> None:
    def at(path: str, *folders: str) -> str:
        return base({"image": "x", "working_dir": path}, folders=folders)

    assert at("/srv/r1/www", "/srv/r1") == at("/real/r2/www", "/srv/r2", "/real/r2/") == at("./www")
    assert at("/srv/r1-old/www", "/srv/r1") != at("/srv/r2-old/www", "/srv/r2")
    assert at("/srv/ä/www", "/srv/ä") == at("./www")
    assert at("/srv/r1/a", "/srv", "/srv/r1", "") == at("./a")
    assert at('/srv/"r1"/a', '/srv/"r1"') == at("./a")


def test_options_of_short_mounts_count_but_for_how_they_are_written() -> None:
    def with_mount(text: str) -> str:
        return base({"image": "x", "volumes": [text]})

    assert with_mount("data:/d") == with_mount("data:/d:rw")
    assert with_mount("data:/d:z,nocopy") == with_mount("data:/d:nocopy,z") != with_mount("data:/d:z")
    assert with_mount("data:/d:ro") != with_mount("data:/d")


def test_networks_may_be_a_list_and_are_not_used_beside_a_network_mode() -> None:
    assert base({"image": "x", "networks": ["a"]}) == base({"image": "x", "networks": {"a": None}})
    for same in ('{"default": null}', "{}", "[]"):
        assert base({"image": "x"}) == base({"image": "x", "networks": json.loads(same)})
    assert base({"image": "x", "network_mode": "host", "networks": ["a"]}) == base(
        {"image": "x", "network_mode": "host"}
    )
