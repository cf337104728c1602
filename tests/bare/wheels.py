"""What pip installs on a bare machine, downloaded outside."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from tests.lab import debian
from tests.lab.run import run

_MINUTES = 10


def wheels(lock: Path, python: str) -> Path:
    """Return a folder with the wheels that a lock file names, for a version of Python.

    pip downloads them as this machine has it configured, once; a bare machine then needs no network and no settings.
    """
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    kept = debian.cache() / f"wheels-{python}-{digest}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="wheels-draft-", dir=kept.parent) as folder:
            draft = Path(folder) / "wheels"
            run(
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
                *("--only-binary=:all:", "--python-version", python, "--dest", draft, "--requirement", lock),
                within=60 * _MINUTES,
            )
            draft.chmod(0o755)
            draft.rename(kept)
    return kept
