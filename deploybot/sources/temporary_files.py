"""Write files of the data folder that get their name only when complete, and remove old ones."""

from __future__ import annotations

import os
import time
from pathlib import Path

_KEEP_FILES = 8
_KEEP_SECONDS = 3600.0


def drafted(target: Path) -> Path:
    """Return the path to write a file to before it gets its name. Remove old files first."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    old = sorted(target.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[_KEEP_FILES - 1 :]
    for path in old:
        # A newer file may still be uploading to a server.
        if path.stat().st_mtime < time.time() - _KEEP_SECONDS:
            path.unlink(missing_ok=True)
    draft = target.with_name(f"{target.name}.draft")
    draft.unlink(missing_ok=True)
    return draft


def finished(draft: Path, target: Path) -> None:
    """Rename a written file to its final name after syncing it to disk."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(target)
