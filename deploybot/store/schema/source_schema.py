"""Give each stored release a source. Before, it had a commit, images, and its id if only that was known."""

from __future__ import annotations

import json
from collections.abc import Callable

from sqlite_utils import Database

_Fields = dict[str, object]


def m018_sources(db: Database) -> None:
    """Rewrite the releases in plans, requests and what runs. Ids and digests stay; what cannot be read stays, too."""
    for table, column, change in (
        ("deployments", "plan", _plan),
        ("running", "release", _release),
        ("requests", "binding", _binding),
    ):
        db.conn.create_function("with_source", 1, _on_text(change), deterministic=True)
        db.execute(f"UPDATE {table} SET {column} = with_source({column})")  # noqa: S608  names of this function alone
    db.conn.create_function("with_source", 1, None)


def _on_text(change: Callable[[_Fields], _Fields]) -> Callable[[str], str]:
    def changed(text: str) -> str:
        try:
            return json.dumps(change(json.loads(text)), sort_keys=True, separators=(",", ":"), allow_nan=False)
        except (ValueError, TypeError, KeyError, AttributeError):
            return text

    return changed


def _plan(plan: _Fields) -> _Fields:
    servers = plan["servers"]
    parts = [_part(part) for part in servers] if isinstance(servers, list) else servers
    return {**plan, "release": _release(plan["release"]), "servers": parts}


def _part(part: _Fields) -> _Fields:
    replaces = part.get("replaces")
    return part if replaces is None else {**part, "replaces": _release(replaces)}


def _binding(binding: _Fields) -> _Fields:
    kept = {name: value for name, value in binding.items() if name not in {"commit", "images"}}
    bare = {"author": "", "committed": 0.0, "ref": "", "subject": "", "typed": None}
    return {**kept, "release": {**bare, "source": _source(binding)}}


def _release(release: object) -> _Fields:
    if not isinstance(release, dict):
        raise TypeError("this is no release")
    kept = {name: value for name, value in release.items() if name not in {"commit", "images", "found"}}
    return {**kept, "source": _source(release)}


def _source(release: _Fields) -> _Fields | None:
    """Return the source with the same id as a stored release or binding; None if it has no commit."""
    commit, images, found = str(release["commit"]), release.get("images"), str(release.get("found") or "")
    if found:
        commit, _, mark = found.partition("-")
        return {"commit": commit, "images": [], "mark": mark}
    if images:
        return {"commit": commit, "images": images, "mark": ""}
    return {"commit": commit} if commit else None
