"""`watch` and `veto` of an environment, and mistakes in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot.config import load
from tests.config.conftest import APP, SERVER, Write

PRODUCTION = '[apps.shop.environments.production]\nservers = ["web1"]\n'
THERE = "apps.shop.environments.production"
NOTHING = "watch: has nothing to look at: set `health = { http = … }` or `logs`"


@pytest.mark.parametrize(
    ("strategy", "keys", "found"),
    [
        ("compose", 'watch = "5m"\nveto = 0', []),
        ("compose", 'watch = "1m"', []),
        ("compose", 'watch = "1m"\nveto = "10m"', []),
        (
            "compose",
            'watch = "1m"\nveto = "11m"',
            ["veto: should be at most 10m: until the veto time ends, users get the worse release"],
        ),
        ("compose", 'watch = "59s"', ["watch: should be at least 1m: a shorter watch cannot tell a fault from chance"]),
        ("compose", 'watch = "2h"', []),
        ("compose", 'watch = "121m"', ["watch: should be at most 2h: other deployments wait for it"]),
        ("compose", 'veto = "20s"', ["veto: has no effect without `watch`: set `watch`, too"]),
        ("script", 'script = "a.sh"\nwatch = "5m"', [NOTHING]),
        ("script", 'script = "a.sh"\nwatch = "5m"\nhealth = { tcp = "127.0.0.1:80" }', [NOTHING]),
        ("script", 'script = "a.sh"\nwatch = "5m"\nhealth = { http = "http://127.0.0.1/" }', []),
        ("script", 'script = "a.sh"\nwatch = "5m"\nlogs = { file = "/var/log/shop" }', []),
    ],
)
def test_a_watch_needs_something_to_look_at(
    problems: Callable[..., list[str]], write: Write, strategy: str, keys: str, found: list[str]
) -> None:
    text = f"{SERVER}{APP.replace('compose', strategy)}{PRODUCTION}{keys}\n"
    if found:
        assert problems(text) == [f"{THERE}.{one}" for one in found]
        return
    environment = load(write(text), {}).apps["shop"].environments["production"]
    assert environment.watch in {60.0, 300.0, 7200.0}


def test_no_watch_and_no_time_for_a_veto_by_default(write: Write) -> None:
    environment = load(write(f"{SERVER}{APP}{PRODUCTION}"), {}).apps["shop"].environments["production"]
    assert (environment.watch, environment.veto) == (None, None)
