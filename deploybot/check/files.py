"""Check the files that the bot trusts: only its user and root may change bot.toml, its files and plug-ins."""

from __future__ import annotations

import os
from pathlib import Path

from deploybot import trusted_files
from deploybot.check.check_results import CheckState, Row
from deploybot.config import named_files
from deploybot.settings import Settings


def try_files(settings: Settings) -> list[Row]:
    """Return a row for each file that others can change or read, or one row if there is none. It blocks."""
    listed = [*dict.fromkeys([*named_files(settings), *_plugins(settings.bot.plugins)])]
    rows = [row for path, private in listed if (row := _try(path, private=private))]
    if rows:
        return rows
    what = f"the {len(listed)} files and folders that the bot trusts" if len(listed) > 1 else str(settings.path)
    return [Row("bot", "files", CheckState.OK, f"only {_user()} can change {what}")]


def _plugins(folder: Path | None) -> list[tuple[Path, bool]]:
    if folder is None:
        return []
    return [(folder, False), *((path, False) for path in sorted(folder.glob("*.py")))]


def _try(path: Path, *, private: bool) -> Row | None:
    try:
        trusted_files.verify(path, private=private)
    except trusted_files.UnsafeFileError as problem:
        problem_text, _, fix = str(problem).partition("; ")
        return Row("bot", "files", CheckState.FAILED, problem_text, f"{fix[:1].upper()}{fix[1:]}.")
    except OSError as problem:
        fix = "Create it, or remove it from bot.toml."
        return Row("bot", "files", CheckState.FAILED, f"{path}: {problem.strerror}", fix)
    return None


def _user() -> str:
    """Return `root`, or `root and deploybot`."""
    uid = os.geteuid()
    return "root" if uid == 0 else f"root and {trusted_files.user_name(uid)}"
