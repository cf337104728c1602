"""Debian systems to build on, made from Debian's packages: see `base`."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tests.lab.run import run

SUITE = "bookworm"
PACKAGES = ("python3", "python3-venv", "git", "openssh-client", "ca-certificates")
_NOT_NEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists")
_MINUTES = 10


def base(suite: str = SUITE, packages: tuple[str, ...] = PACKAGES) -> Path:
    """Return a tar of a minimal Debian with `packages`, by default Python, git and ssh for `docker import`.

    Made once (a minute, 240 MB) and kept in the cache folder of the user who runs the tests.
    """
    kept = cache() / f"{suite}-{'-'.join(packages)}.tar"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="deploybot-lab-debian-", dir=kept.parent) as folder:
            draft = _make(Path(folder), suite, packages)
            draft.rename(kept)
    return kept


def cache() -> Path:
    """Return the folder for what is made once and kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deploybot-lab"


def _make(folder: Path, suite: str, packages: tuple[str, ...]) -> Path:
    root, draft = folder / "root", folder / "base.tar"
    include = f"--include={','.join(packages)}"
    run("debootstrap", "--variant=minbase", include, suite, root, *_mirror(), within=60 * _MINUTES)
    run(
        "tar", "--create", "--directory", root, *(f"--exclude=./{path}/*" for path in _NOT_NEEDED), "--file", draft, "."
    )
    return draft


def _mirror() -> tuple[str, ...]:
    """Where this machine gets its own Debian packages from; nothing leaves it to debootstrap."""
    if not shutil.which("apt-get"):
        return ()
    rows = run("apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages")
    return tuple(line.split()[-1] for line in rows.splitlines() if line.startswith("Debian Debian "))[:1]
