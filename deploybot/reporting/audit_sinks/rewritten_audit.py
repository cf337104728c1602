"""Whether rows that were exported are gone from the audit: the database was rewritten, or an old copy restored."""

from __future__ import annotations

from deploybot.domain import SinkState
from deploybot.ports import Tables
from deploybot.setup_notices import Notice


def is_rewritten(tables: Tables, state: SinkState) -> bool:
    """Return whether the last row that a sink accepted is no longer in the audit."""
    return bool(state.number) and hash_at(tables, state.number) != state.hash


def hash_at(tables: Tables, number: int) -> str:
    """Return the hash of a row, or an empty string if there is no such row."""
    rows = tables.audit.page(number - 1, 1) if number else ()
    return rows[0].hash if rows and rows[0].number == number else ""


def security_warning(sink: str, state: SinkState) -> Notice:
    """Return the notice about a row that this sink has and the audit no longer has."""
    return Notice(
        key=f"audit-rewritten:{sink}:{state.number}:{state.hash[:12]}",
        title=f"Security warning: row {state.number} of the audit was exported, but is no longer in it.",
        text=f"The database was rewritten, or an old copy was restored. All rows are sent to the {sink} again.",
        fix="`deploybot audit verify --against FILE` says which rows differ.",
    )
