"""Whatever stands in bot.toml, the answer is settings or a ConfigError, never another exception."""

from __future__ import annotations

import copy
import os
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from deploybot.config import load
from deploybot.errors import ConfigError
from tests.kit.seeds import new_seed

N = int(os.environ.get("N", "200"))
EXAMPLE = tomllib.loads((Path(__file__).parents[1] / "bot.example.toml").read_text())
JUNK: list[Any] = [
    "",
    "x",
    "web1",
    "-rf /",
    "a\nb",
    "\u202e",
    0,
    -1,
    2**70,
    1.5,
    float("nan"),
    True,
    False,
    [],
    [1],
    ["web1", "web2"],
    [["x"]],
    {},
    {"env": "X"},
    {"x": {"y": {"z": 1}}},
    [{"ssh": "a@b"}],
]
KEYS = ["", "x", "web1", "name", "app", "path", "a.b", "ä", "env", "ssh", "servers", "[key]", "default"]


def _containers(value: object) -> list[Any]:
    """All tables and lists, the outermost first."""
    found = [value] if isinstance(value, dict | list) else []
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        found += _containers(inner)
    return found


def _spoil(tree: dict[str, Any], rng: random.Random) -> None:
    """Change one thing: a value, a missing key, a further key, or a key's name."""
    place = rng.choice(_containers(tree))
    junk = copy.deepcopy(rng.choice(JUNK))
    if isinstance(place, list):
        place.append(junk)
        return
    key = rng.choice([*place]) if place else "x"
    match rng.randrange(4):
        case 0:
            place[key] = junk
        case 1:
            place.pop(key, None)
        case 2:
            place[rng.choice(KEYS)] = junk
        case _:
            place[rng.choice(KEYS)] = place.pop(key, junk)


def _problems(path: Path, *, outside: bool) -> tuple[str, ...]:
    try:
        load(path, {}, outside=outside)
    except ConfigError as error:
        return error.problems
    return ()


def test_no_file_breaks_the_config(tmp_path: Path) -> None:
    seed = new_seed()
    rng = random.Random(seed)
    refused = 0
    for number in range(N):
        tree = copy.deepcopy(EXAMPLE)
        for _ in range(rng.randint(1, 6)):
            _spoil(tree, rng)
        (tmp_path / "bot.toml").write_text(tomlkit.dumps(tree), "utf-8")
        try:
            problems = _problems(tmp_path / "bot.toml", outside=number % 2 == 0)
        except Exception as error:  # noqa: BLE001  any but a ConfigError is what this looks for
            pytest.fail(f"seed={seed} file {number}: {error!r}")
        refused += bool(problems)
        assert all(": " in problem and len(problem) < 600 for problem in problems), f"seed={seed}"
        assert not any("pydantic" in problem or "Input should" in problem for problem in problems), f"seed={seed}"
    assert refused > N // 2, f"seed={seed}"
