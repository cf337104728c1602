"""Seeds: given, fixed in CI, and random elsewhere."""

from __future__ import annotations

import pytest

from tests.kit.seeds import new_seed


@pytest.mark.parametrize("ci", ["", "true"])
def test_a_given_seed_is_taken(monkeypatch: pytest.MonkeyPatch, ci: str) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("SEED", "7")
    assert new_seed() == 7


def test_ci_always_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("SEED", raising=False)
    assert len({new_seed() for _ in range(5)}) == 1


def test_elsewhere_each_run_draws_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("SEED", "")
    assert len({new_seed() for _ in range(5)}) > 1
