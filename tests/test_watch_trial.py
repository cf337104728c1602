"""The trial of the watch, shorter than `make watch-trial`: good releases stay, faulty ones are found."""

from __future__ import annotations

from random import Random

from tests.kit.seeds import new_seed
from tests.watch_trial.__main__ import faulty_releases, good_releases
from tests.watch_trial.simulated_servers import FAULTS

GOOD = 60
FAULTY = 8 * len(FAULTS)


def test_good_releases_stay_and_faults_are_found() -> None:
    seed = new_seed()
    print(f"SEED={seed}")  # noqa: T201  to run it again
    random = Random(seed)
    wrong = good_releases(random, GOOD)
    assert len(wrong) <= 1, wrong
    trials = faulty_releases(random, FAULTY)
    late = [one for one in trials if not one.in_time]
    assert len(late) <= FAULTY * 0.25, late
    plain = {"crash loop", "memory leak, killed at its limit", "slow start"}
    assert sum(one.name in plain for one in late) <= 1, late
