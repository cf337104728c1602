"""The end of docs/webhooks.md, made from the senders: `python -m tests.webhook_page` writes it anew."""

from __future__ import annotations

from pathlib import Path

from deploybot.part_tables import SENDERS
from deploybot.webhooks.senders import sender

PAGE = Path(__file__).parents[1] / "docs" / "webhooks.md"
BEGIN = "## What to click\n"


def page() -> str:
    """The page, with what each sender says of itself."""
    written, _, rest = PAGE.read_text().partition(BEGIN)
    intro = rest.strip().partition("\n\n### ")[0]
    return "\n".join((written + BEGIN, intro, *map(_section, SENDERS)))


def _section(name: str) -> str:
    told = sender(name).setup(f"https://bot.example.com/hooks/APP/{name}")
    return f"\n### {name}\n\n```text\n{told}\n```" + ("\n" if name == SENDERS[-1] else "")


if __name__ == "__main__":
    PAGE.write_text(page())
