"""What pip installs on a bare machine, downloaded outside."""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from pathlib import Path

from packaging.markers import Marker

from tests.lab import debian
from tests.lab.run import run

_MINUTES = 10
_MARKER = re.compile(r"(?P<what>[^\s#;]+==[^\s;]+)(?: ; (?P<marker>[^\\\n]+?))?(?P<hashes>(?: \\\n.*)?)", re.DOTALL)
"""An entry of a lock file: a package and its version, its marker if it has one, and its hashes."""


def wheels(lock: Path, python: str) -> Path:
    """Return a folder with the wheels that a lock file names, for a version of Python.

    pip downloads them as this machine has it configured, once; a bare machine then needs no network and no settings.
    """
    wanted = wanted_by(lock.read_text(), python)
    digest = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    kept = debian.cache() / f"wheels-{python}-{digest}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="wheels-draft-", dir=kept.parent) as folder:
            draft, listed = Path(folder) / "wheels", Path(folder) / "wanted.txt"
            listed.write_text(wanted)
            run(
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
                *("--only-binary=:all:", "--python-version", python, "--dest", draft, "--requirement", listed),
                within=60 * _MINUTES,
            )
            draft.chmod(0o755)
            draft.rename(kept)
    return kept


def wanted_by(lock: str, python: str) -> str:
    """Return what a version of Python installs from a lock file. pip evaluates its markers for its own Python alone."""
    own = {"python_version": python, "python_full_version": f"{python}.0"}
    entries = re.split(r"\n(?=\S)", lock.strip())
    split = [_MARKER.fullmatch(entry) for entry in entries]
    kept = (
        f"{one['what']}{one['hashes']}"
        for one in split
        if one is not None and (one["marker"] is None or Marker(one["marker"]).evaluate(own))
    )
    return "".join(f"{entry}\n" for entry in kept)
