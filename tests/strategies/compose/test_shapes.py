"""Every shape in which Compose writes a setting, and what is read from it; no Compose runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploybot.strategies.compose.compose_model import (
    ComposeConfig,
    ComposeResource,
    ComposeService,
    ComposeUnreadable,
    Dependency,
    ServiceBuild,
    ServiceFile,
    ServiceMount,
    ServicePort,
    parse_config,
)
from deploybot.strategies.compose.compose_reading import (
    DEEPEST,
    LONGEST,
    MOST_NODES,
    load,
    mapping,
    number,
    sequence,
    string,
    strings,
    truth,
)


def only(given: dict[str, Any], **top: object) -> ComposeService:
    """The model of a service, from JSON."""
    (found,) = parse_config(json.dumps({"services": {"web": given}, **top})).services
    return found


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("8000:80", ServicePort(target=80, first=8000, last=8000)),
        ("127.0.0.1:8000:80/udp", ServicePort(target=80, first=8000, last=8000, protocol="udp", address="127.0.0.1")),
        ("[::1]:8000:80", ServicePort(target=80, first=8000, last=8000, address="::1")),
        ("0.0.0.0:8000:80", ServicePort(target=80, first=8000, last=8000)),
        ("127.0.0.1::80", ServicePort(target=80, address="127.0.0.1")),
        ("8000-8002:80", ServicePort(target=80, first=8000, last=8002)),
        ("80", ServicePort(target=80)),
        (80, ServicePort(target=80)),
        ({"target": 80}, ServicePort(target=80)),
        ({"target": "80", "published": 8000}, ServicePort(target=80, first=8000, last=8000)),
        ({"target": 80, "published": "7-9"}, ServicePort(target=80, first=7, last=9)),
        ({"target": 80, "published": "7-7"}, ServicePort(target=80, first=7, last=7)),
        (
            {"target": 80, "published": "9", "protocol": "udp", "host_ip": "::"},
            ServicePort(target=80, first=9, last=9, protocol="udp"),
        ),
        ({"target": 80, "host_ip": "[fe80::1]"}, ServicePort(target=80, address="fe80::1")),
    ],
)
def test_ports(given: object, read: ServicePort) -> None:
    assert only({"ports": [given]}).ports == (read,)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("data", ServiceMount(kind="volume", source="", target="data")),
        ("data:/d", ServiceMount(kind="volume", source="data", target="/d", form="data:/d")),
        (
            "/srv:/d:z,ro",
            ServiceMount(kind="bind", source="/srv", target="/d", read_only=True, creates=True, form="/srv:/d:z,ro"),
        ),
        ("./a:/d", ServiceMount(kind="bind", source="./a", target="/d", creates=True, form="./a:/d")),
        ("~/a:/d:rw", ServiceMount(kind="bind", source="~/a", target="/d", creates=True, form="~/a:/d:rw")),
        ({"target": "/d"}, ServiceMount(kind="volume", source="", target="/d", form='{"target": "/d"}')),
        (
            {"type": "bind", "source": "/ä", "target": "/d", "bind": {"create_host_path": True}},
            ServiceMount(
                kind="bind",
                source="/ä",
                target="/d",
                creates=True,
                form='{"type": "bind", "source": "/ä", "target": "/d", "bind": {"create_host_path": true}}',
            ),
        ),
        (
            {"type": "bind", "source": "/a", "target": "/d", "read_only": True, "bind": {"create_host_path": False}},
            ServiceMount(
                kind="bind",
                source="/a",
                target="/d",
                read_only=True,
                creates=False,
                form='{"type": "bind", "source": "/a", "target": "/d", "read_only": true, '
                '"bind": {"create_host_path": false}}',
            ),
        ),
    ],
)
def test_mounts(given: object, read: ServiceMount) -> None:
    assert only({"volumes": [given]}).mounts == (read,)


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        ("secrets", "pw", ServiceFile(kind="secrets", key="pw", target="/run/secrets/pw", path="/s/pw")),
        (
            "secrets",
            {"source": "pw", "target": "x"},
            ServiceFile(kind="secrets", key="pw", target="/run/secrets/x", path="/s/pw"),
        ),
        ("secrets", {"source": "pw", "target": "/x"}, ServiceFile(kind="secrets", key="pw", target="/x", path="/s/pw")),
        ("secrets", "outside", ServiceFile(kind="secrets", key="outside", target="/run/secrets/outside")),
        ("secrets", "nowhere", ServiceFile(kind="secrets", key="nowhere", target="/run/secrets/nowhere")),
        ("configs", "conf", ServiceFile(kind="configs", key="conf", target="/conf", path="/s/conf")),
        (
            "configs",
            {"source": "conf", "target": "/etc/c"},
            ServiceFile(kind="configs", key="conf", target="/etc/c", path="/s/conf"),
        ),
    ],
)
def test_secrets_and_configs(kind: str, given: object, read: ServiceFile) -> None:
    top = {
        "secrets": {"pw": {"file": "/s/pw"}, "outside": {"external": True}},
        "configs": {"conf": {"file": "/s/conf"}},
    }
    assert only({kind: [given]}, **top).files == (read,)


def test_docker_compose_1_mounts_no_configs() -> None:
    text = (
        "services: {web: {secrets: [pw], configs: [conf]}}\nsecrets: {pw: {file: /s/pw}}\nconfigs: {conf: {file: /c}}\n"
    )
    (web,) = parse_config(text).services
    assert [one.kind for one in web.files] == ["secrets"]


@pytest.mark.parametrize(("configs", "shape"), [("1", "list"), ("[1]", "mapping"), ("[{source: []}]", "string")])
def test_configs_of_docker_compose_1_have_their_shape_too(configs: str, shape: str) -> None:
    with pytest.raises(ComposeUnreadable, match=f"cannot be read: configs is not a {shape}"):
        parse_config(f"services: {{web: {{configs: {configs}}}}}")


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"image": 1.5}, "image", "1.5"),
        ({"build": "."}, "build", ServiceBuild(context=".")),
        ({"build": {"context": ".", "dockerfile": "D"}}, "build", ServiceBuild(context=".", dockerfile="D")),
        ({}, "build", None),
        ({"pull_policy": "never"}, "pull_policy", "never"),
        ({}, "replicas", 1),
        ({"scale": 3}, "replicas", 3),
        ({"scale": "3"}, "replicas", 3),
        ({"scale": 3, "deploy": {"replicas": 0}}, "replicas", 0),
        ({"scale": 3, "deploy": {}}, "replicas", 3),
        ({"scale": 10_000}, "replicas", 10_000),
        ({"container_name": "pg"}, "container_name", "pg"),
        ({"profiles": "one"}, "profiles", ("one",)),
        ({"profiles": ["one", "two"]}, "profiles", ("one", "two")),
        ({}, "restart", "no"),
        ({"restart": False}, "restart", "no"),
        ({"restart": ""}, "restart", "no"),
        ({"restart": "on-failure:3"}, "restart", "on-failure"),
        (
            {"restart": "unless-stopped", "deploy": {"restart_policy": {"condition": "none"}}},
            "restart",
            "unless-stopped",
        ),
        ({"deploy": {"restart_policy": {"condition": "none"}}}, "restart", "no"),
        ({"deploy": {"restart_policy": {"condition": "any"}}}, "restart", "always"),
        ({"deploy": {"restart_policy": {"condition": "on-failure"}}}, "restart", "on-failure"),
        ({"deploy": {"restart_policy": {"delay": "5s"}}}, "restart", "always"),
        ({"deploy": {"restart_policy": {"condition": "new word"}}}, "restart", "always"),
        ({"deploy": {}}, "restart", "no"),
        ({}, "healthcheck", False),
        ({"healthcheck": {"test": ["CMD", "true"]}}, "healthcheck", True),
        ({"healthcheck": {"interval": "5s"}}, "healthcheck", True),
        ({"healthcheck": {"test": "curl localhost"}}, "healthcheck", True),
        ({"healthcheck": {"disable": True, "test": ["CMD", "true"]}}, "healthcheck", False),
        ({"healthcheck": {"disable": False, "test": ["CMD", "true"]}}, "healthcheck", True),
        ({"healthcheck": {"test": ["NONE"]}}, "healthcheck", False),
        ({"healthcheck": {"test": "NONE"}}, "healthcheck", False),
        ({"healthcheck": {"test": []}}, "healthcheck", True),
        ({"network_mode": "host"}, "network_mode", "host"),
        ({"network_mode": "host"}, "networks", ()),
        ({}, "networks", ("default",)),
        ({"networks": {"a": None, "b": {}}}, "networks", ("a", "b")),
        ({"networks": ["a"]}, "networks", ("a",)),
        ({"network_mode": "service:db", "pid": "service:job", "ipc": "service:db"}, "shares", ("db", "job")),
        ({"network_mode": "host", "pid": "container:x", "ipc": "service:"}, "shares", ()),
        ({"volumes_from": ["db:ro", "service:job:rw", "container:old"]}, "shares", ("db", "job")),
        ({"depends_on": ["a", "b"]}, "depends_on", (Dependency(service="a"), Dependency(service="b"))),
        ({"depends_on": {"a": None}}, "depends_on", (Dependency(service="a"),)),
        (
            {"depends_on": {"a": {"condition": "service_healthy", "restart": True, "required": False}}},
            "depends_on",
            (Dependency(service="a", condition="service_healthy", restart=True, required=False),),
        ),
        ({"depends_on": {"a": {"required": True}}}, "depends_on", (Dependency(service="a", required=True),)),
        ({"provider": {"type": "x"}}, "provided", True),
        ({}, "provided", False),
    ],
)
def test_settings(given: dict[str, Any], field: str, value: object) -> None:
    assert getattr(only(given), field) == value


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, ("shop_a", False)),
        ({}, ("shop_a", False)),
        ({"name": "x"}, ("x", False)),
        ({"external": True}, ("a", True)),
        ({"external": "true"}, ("a", True)),
        ({"external": True, "name": "x"}, ("x", True)),
        ({"external": {"name": "x"}}, ("x", True)),
        ({"external": {}}, ("a", True)),
        ({"external": False}, ("shop_a", False)),
    ],
)
def test_networks_and_volumes(given: object, read: tuple[str, bool]) -> None:
    config = parse_config(json.dumps({"name": "shop", "networks": {"a": given}, "volumes": {"a": given}}))
    name, external = read
    assert config.networks == config.volumes == (ComposeResource(key="a", name=name, external=external),)


def test_without_a_name_of_the_project_a_resource_has_its_own() -> None:
    assert parse_config('{"volumes": {"a": {}}}').volumes[0].name == "a"
    config = parse_config("version: '3.8'\nvolumes: {a: {}}\n", project="shop")
    assert (config.name, config.version, config.volumes[0].name) == ("shop", "3.8", "shop_a")
    assert parse_config('{"name": "own", "volumes": {"a": {}}}', project="shop").name == "own"


@pytest.mark.parametrize(
    ("profiles", "names"), [((), ["b"]), (("p",), ["a", "b"]), (("q", "x"), ["a", "b"]), (("x",), ["b"])]
)
def test_docker_compose_1_prints_services_of_all_profiles(profiles: tuple[str, ...], names: list[str]) -> None:
    config = parse_config("services: {b: {image: x}, a: {image: x, profiles: [p, q]}}", profiles=profiles)
    assert [one.name for one in config.services] == names


def test_later_versions_print_only_what_is_active_in_any_order() -> None:
    config = parse_config('{"services": {"b": {}, "a": {"profiles": ["p"]}}}', profiles=())
    assert [one.name for one in config.services] == ["a", "b"]
    assert [config.of("b"), config.of("c")] == [config.services[1], None]


def test_a_job_is_what_others_wait_for_to_complete() -> None:
    waits = {"a": {"condition": "service_completed_successfully"}, "b": {"condition": "service_healthy"}}
    config = parse_config(json.dumps({"services": {"c": {"depends_on": waits}, "a": {}, "b": {}}}))
    assert config.jobs == {"a"}
    assert ComposeConfig().jobs == frozenset()


READ = "The Compose configuration cannot be read: "


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"services": []}, "services is not a mapping"),
        ({"services": {"web": []}}, "services.web is not a mapping"),
        ({"services": {" ": {}}}, "a service has no name that can be printed"),
        ({"services": {"": {}}}, "a service has no name that can be printed"),
        ({"services": {"a b": {}}}, "a service has no name that can be printed"),
        ({"name": []}, "name is not a string"),
        ({"version": True}, "version is not a string"),
        ({"networks": []}, "networks is not a mapping"),
        ({"volumes": {"a": 1}}, "volumes is not a mapping"),
        *(
            ({"services": {"web": given}}, f"services.web.{words}")
            for given, words in (
                ({"image": []}, "image is not a string"),
                ({"image": "a\0"}, "image contains a zero byte"),
                ({"build": 1}, "build is not a mapping"),
                ({"build": {"context": []}}, "build is not a string"),
                ({"pull_policy": {}}, "pull_policy is not a string"),
                ({"scale": 10_001}, "replicas is not a whole number from 0 to 10000"),
                ({"deploy": {"replicas": -1}}, "replicas is not a whole number from 0 to 10000"),
                ({"deploy": 1}, "deploy is not a mapping"),
                ({"deploy": {"restart_policy": []}}, "deploy.restart_policy is not a mapping"),
                ({"container_name": []}, "container_name is not a string"),
                ({"profiles": {}}, "profiles is not a list"),
                ({"restart": []}, "restart is not a string"),
                ({"healthcheck": []}, "healthcheck is not a mapping"),
                ({"network_mode": []}, "network_mode is not a string"),
                ({"networks": 1}, "networks is not a list"),
                ({"depends_on": 1}, "depends_on is not a list"),
                ({"depends_on": {"a": 1}}, "depends_on is not a mapping"),
                ({"ports": {}}, "ports is not a list"),
                ({"ports": [[]]}, "ports is not a mapping"),
                ({"ports": ["a:80"]}, "ports is not a whole number from 0 to 65535"),
                ({"ports": ["80:a"]}, "ports is not a whole number from 0 to 65535"),
                ({"ports": [{"target": 65_536}]}, "ports is not a whole number from 0 to 65535"),
                ({"ports": [{"target": 1, "published": "1-x"}]}, "ports is not a whole number from 0 to 65535"),
                ({"ports": [{"target": 1, "published": "9-8"}]}, "ports ends before it starts"),
                ({"volumes": {}}, "volumes is not a list"),
                ({"volumes": [1]}, "volumes is not a mapping"),
                ({"volumes": [{"bind": 1}]}, "volumes is not a mapping"),
                ({"secrets": {}}, "secrets is not a list"),
                ({"configs": [1]}, "configs is not a mapping"),
            )
        ),
        ({"services": {"web": {"environment": 1}}}, "environment is not a mapping"),
        ({"services": {"web": {"environment": [[]]}}}, "environment is not a string"),
        ({"services": {"web": {"labels": 1}}}, "labels is not a mapping"),
        ({"services": {"web": {"depends_on": {"a": {"condition": []}}}}}, "services.web.depends_on is not a string"),
        ({"services": {"web": {"secrets": [{"source": "a", "target": []}]}}}, "services.web.secrets is not a string"),
        ({"services": {"web": {"secrets": [{"source": []}]}}}, "services.web.secrets is not a string"),
        ({"services": {"web": {"volumes": [{"target": []}]}}}, "services.web.volumes is not a string"),
        ({"services": {"web": {"volumes": [{"source": []}]}}}, "services.web.volumes is not a string"),
        ({"services": {"web": {"volumes": [{"type": []}]}}}, "services.web.volumes is not a string"),
        ({"services": {"web": {"ports": [{"target": 1, "published": []}]}}}, "services.web.ports is not a string"),
        ({"services": {"web": {"ports": [{"target": 1, "protocol": []}]}}}, "services.web.ports is not a string"),
        ({"services": {"web": {"ports": [{"target": 1, "host_ip": []}]}}}, "services.web.ports is not a string"),
        ({"services": {"web": {"build": {"dockerfile": []}}}}, "services.web.build is not a string"),
        ({"services": {"web": {"pid": []}}}, "services.web is not a string"),
        ({"services": {"web": {"volumes_from": [[]]}}}, "services.web is not a string"),
        ({"services": {"web": {"volumes_from": 1}}}, "services.web is not a list"),
        ({"services": {"web": {"networks": [[]]}}}, "services.web.networks is not a string"),
        ({"networks": {"a": {"name": []}}}, "networks is not a string"),
        ({"networks": {"a": {"external": {"name": []}}}}, "networks is not a string"),
        ({"secrets": [], "services": {"web": {"secrets": ["a"]}}}, "secrets is not a mapping"),
        ({"networks": [], "services": {"web": {}}}, "networks is not a mapping"),
        ({"networks": {"default": 1}, "services": {"web": {}}}, "networks.default is not a mapping"),
        ({"volumes": [], "services": {"web": {"volumes": ["a:/a"]}}}, "volumes is not a mapping"),
        ({"volumes": {"a": 1}, "services": {"web": {"volumes": ["a:/a"]}}}, "volumes.a is not a mapping"),
        ({"services": {"web": {"secrets": [{"source": "a", "mode": []}]}}}, "secrets.mode is not a string"),
        ({"services": {"web": {"secrets": [{"source": "a", "uid": []}]}}}, "secrets is not a string"),
        ({"services": {"web": {"configs": [{"source": "a", "gid": []}]}}}, "configs is not a string"),
        ({"secrets": {"a": 1}, "services": {"web": {"secrets": ["a"]}}}, "secrets.a is not a mapping"),
        ({"secrets": {"a": {"file": []}}, "services": {"web": {"secrets": ["a"]}}}, "secrets.a.file is not a string"),
    ],
)
def test_the_error_names_the_place(given: object, words: str) -> None:
    with pytest.raises(ComposeUnreadable) as caught:
        parse_config(json.dumps(given))
    assert caught.value.sentence == f"{READ}{words}."
    assert caught.value.hint == (
        "Run `docker compose config` in the folder of the Compose file and look at what it prints."
    )


@pytest.mark.parametrize(
    ("value", "read"),
    [(0, 0), (65_535, 65_535), ("0", 0), ("65535", 65_535), (7.0, 7), (0.0, 0), ("007", 7)],
)
def test_whole_numbers(value: object, read: int) -> None:
    found = number(value, "x")
    assert (found, type(found)) == (read, int)


@pytest.mark.parametrize(
    "value", [True, False, -1, 65_536, 7.5, -1.0, 65_536.0, "", "-1", "65536", "000007", "7.0", "٣", None, []]
)
def test_other_numbers_are_refused(value: object) -> None:
    with pytest.raises(ComposeUnreadable, match="x is not a whole number from 0 to 65535"):
        number(value, "x")


@pytest.mark.parametrize(
    ("value", "is_true"),
    [
        (True, True),
        ("true", True),
        ("YES", True),
        ("1", True),
        (False, False),
        ("false", False),
        (1, False),
        (None, False),
    ],
)
def test_truth(value: object, is_true: bool) -> None:
    assert truth(value) is is_true


def test_what_is_left_out_is_empty() -> None:
    assert (mapping(None, "x"), sequence(None, "x"), string(None, "x"), strings(None, "x")) == ({}, [], "", [])
    assert (strings("one", "x"), strings([1, "b"], "x"), string(1.5, "x")) == (["one"], ["1", "b"], "1.5")


def test_a_dollar_sign_is_written_twice_in_keys_and_values() -> None:
    assert load('{"a$$b": ["$$$$", 1, true, null, 1.5]}') == ({"a$b": ["$$", 1, True, None, 1.5]}, True)
    assert load("a$$b: $$x\nn: 1") == ({"a$b": "$x", "n": 1}, False)
    assert load(' \n{"a": "\\ud800"}') == ({"a": "?"}, True)


def nested(depth: int) -> str:
    return '{"a": ' + "[" * depth + "]" * depth + "}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "it is not a mapping"),
        ('{"a": ', "it is not JSON"),
        ('{"a": NaN}', "it is not JSON"),
        ("a: [", "it is not YAML"),
        (f"{' ' * LONGEST}x", "it is larger than 4 MiB"),
        ("ä" * (LONGEST // 2 + 1), "it is larger than 4 MiB"),
        (nested(DEEPEST + 1), f"it is nested deeper than {DEEPEST} levels"),
        ("a: " + "[" * DEEPEST + "]" * DEEPEST, "it is too large or nested too deeply"),
        ("a: [" + "[]," * 100 + "[" * DEEPEST + "]" * DEEPEST + "]", "it is too large or nested too deeply"),
        ("a: [[[[[]," + "[" * (DEEPEST - 2) + "]" * (DEEPEST - 2) + "]]]]", "it is too large or nested too deeply"),
        ('{"a": [' + "0," * MOST_NODES + "0]}", f"it has more than {MOST_NODES} values"),
        ('{"a": [' + "[]," * (2 * MOST_NODES) + "0]}", f"it has more than {MOST_NODES} values"),
    ],
    ids=[
        "list",
        "open",
        "NaN",
        "YAML",
        "long",
        "long in bytes",
        "deep",
        "deep YAML",
        "deep after flat",
        "deep inside",
        "many",
        "many at once",
    ],
)
def test_limits(text: str, words: str) -> None:
    with pytest.raises(ComposeUnreadable) as caught:
        load(text)
    assert caught.value.sentence == f"{READ}{words}."


def test_what_is_just_within_the_limits_is_read() -> None:
    assert load(nested(DEEPEST))[1]
    assert load("a: " + "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1))[0]
    assert load("a: [" + "[]," * 3 * DEEPEST + "]")[0]
    assert load('{"a": [' + "0," * (MOST_NODES - 3) + "0]}")[0]
    assert load("{}" + " " * (LONGEST - 2)) == ({}, True)
