"""The rows of the table, and the table as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_COLUMNS = ("what", "deploybot", "peer", "ratio", "target", "met", "N")
BESIDE = "-"
_SECOND = 1.0
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line. `ratio` is ours to the peer's; `met` is None for a line that stands beside, without a target."""

    what: str
    ours: str
    peer: str = BESIDE
    ratio: str = BESIDE
    target: str = BESIDE
    met: bool | None = None
    count: int

    @property
    def cells(self) -> tuple[str, ...]:
        """As text, in the order of the columns."""
        met = BESIDE if self.met is None else "yes" if self.met else "NO"
        return self.what, self.ours, self.peer, self.ratio, self.target, met, str(self.count)


def markdown(rows: Iterable[Row]) -> str:
    """The whole table, its columns aligned."""
    lines = [_COLUMNS, *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *body = (_line(cells, widths) for cells in lines)
    return "\n".join((head, _line(["-" * width for width in widths], widths), *body))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def seconds(value: float) -> str:
    """A time as people read it: milliseconds below one second."""
    return f"{value:.2f} s" if value >= _SECOND else f"{value * 1000:.0f} ms"


def mebibytes(size: float) -> str:
    """A size in bytes, as MiB."""
    return f"{size / _MEBIBYTE:.1f} MiB"
