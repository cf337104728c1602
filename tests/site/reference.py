"""The pages below docs/reference/, made from the code: `python -m tests.site.reference` writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.site import command_line_page, exit_codes_page, http_page, json_page, metrics_page
from tests.site.pages import DOCS

FOLDER = DOCS / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "command-line.md": command_line_page.page,
    "exit-codes.md": exit_codes_page.page,
    "http.md": http_page.page,
    "json.md": json_page.page,
    "metrics.md": metrics_page.page,
}
"""The name of each page in the folder, and what makes its text."""


def write() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, made in PAGES.items():
        (FOLDER / name).write_text(made())


if __name__ == "__main__":
    write()
