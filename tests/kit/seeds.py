"""Seeds of the tests that draw at random."""

from __future__ import annotations

import os
import random

_IN_CI = 20_261_129


def new_seed() -> int:
    """Return the seed of a test: `SEED` of the environment; without it, one number in CI and a random one elsewhere.

    CI judges a commit by what it changed, so no draw of its own may fail it. The search for more is left to the long
    runs and to the developers' machines.
    """
    if given := os.environ.get("SEED"):
        return int(given)
    return _IN_CI if os.environ.get("CI") else random.SystemRandom().randrange(1 << 32)
