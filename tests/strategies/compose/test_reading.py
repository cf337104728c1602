"""Whatever Compose, or what calls itself Compose, prints: a model, or one error."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.strategies.compose.compose_model import ComposeUnreadable, parse_config
from deploybot.strategies.compose.compose_reading import LONGEST, MOST_NODES
from deploybot.strategies.compose.config_hash import compose_hashes

BOMB = "services:\n" + "".join(f"  x{n}: &x{n} [{', '.join([f'*x{n - 1}' if n else 'a'] * 10)}]\n" for n in range(12))
MERGES = "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12))
BAD = {
    "empty": "",
    "a word": "services",
    "a list": "- services",
    "no JSON": '{"services": ',
    "not a number": '{"services": NaN}',
    "a huge number": '{"services": %s}' % ("9" * 5000),
    "deep JSON": '{"services": ' + "[" * 100_000,
    "deep but closed": '{"services": ' + "[" * 60 + "]" * 60 + "}",
    "deep YAML": "a: " + "[" * 100_000,
    "deep blocks": "\n".join(f"{' ' * n}a:" for n in range(200)),
    "aliases that explode": BOMB,
    "merges that explode": MERGES + "services: *a11",
    "an alias to itself": "services: &a {web: *a}",
    "a tag of Python": "services: !!python/object/apply:os.system [true]",
    "no such alias": "services: *nothing",
    "a list as key": "{[a]: b}",
    "tabs": "services:\n\tweb: {}",
    "two documents": "services: {}\n---\nservices: {}",
    "services in a list": '{"services": ["web"]}',
    "a service that is a word": '{"services": {"web": "x"}}',
    "an image that is a list": '{"services": {"web": {"image": ["x"]}}}',
    "ports in a mapping": '{"services": {"web": {"ports": {"80": "80"}}}}',
    "a port that is none": '{"services": {"web": {"ports": [{"target": 70000}]}}}',
    "a range backwards": '{"services": {"web": {"ports": [{"target": 1, "published": "9-8"}]}}}',
    "replicas below zero": '{"services": {"web": {"scale": -1}}}',
    "replicas by the million": '{"services": {"web": {"scale": 1000000}}}',
    "a name that cannot be printed": '{"services": {"a\\u0007b": {}}}',
    "a zero byte": '{"services": {"web": {"image": "a\\u0000b"}}}',
    "too long": " " * LONGEST + "{}",
    "too many values": '{"services": [' + "0," * (2 * MOST_NODES) + "0]}",
    "too many values in YAML": "services: [" + "0," * (2 * MOST_NODES) + "0]",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_what_is_no_configuration_is_one_error(text: str) -> None:
    with pytest.raises(ComposeUnreadable):
        parse_config(text)


def test_the_error_holds_no_values() -> None:
    with pytest.raises(ComposeUnreadable) as caught:
        parse_config('{"services": {"web": {"image": ["hunter2"], "environment": {"A": "hunter2"}}}}')
    assert "hunter2" not in caught.value.sentence + caught.value.hint
    assert "services.web.image" in caught.value.sentence


def test_aliases_as_docker_compose_1_writes_them_are_followed() -> None:
    config = parse_config("services:\n  a: &id001 {image: x, scale: 2}\n  b: *id001\n")
    assert [(one.name, one.image, one.replicas) for one in config.services] == [("a", "x", 2), ("b", "x", 2)]


def test_half_a_character_can_be_hashed() -> None:
    assert parse_config('{"services": {"web": {"image": "a\\ud800"}}}').services[0].base


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 70_000) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "source", "target", "published", "file", "test", "replicas", "bind", "condition", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        *("image", "build", "ports", "volumes", "secrets", "configs", "networks", "depends_on", "deploy", "scale"),
        *("restart", "healthcheck", "pid", "volumes_from", "environment", "labels", "profiles", "provider"),
    ]
)
CONFIGS = st.fixed_dictionaries(
    {"services": st.dictionaries(st.text(min_size=1, max_size=4), st.dictionaries(KEYS, VALUES, max_size=4) | VALUES)},
    optional={"secrets": VALUES, "configs": VALUES, "networks": VALUES, "volumes": VALUES, "name": VALUES},
)


@given(CONFIGS)
def test_other_shapes_are_read_or_refused(value: object) -> None:
    text = json.dumps(value)
    for read in (lambda: parse_config(text), lambda: compose_hashes(text, {})):
        with suppress(ComposeUnreadable):
            read()


@given(st.text())
def test_other_texts_are_read_or_refused(text: str) -> None:
    with suppress(ComposeUnreadable):
        assert parse_config(text).services == ()
