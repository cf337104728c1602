"""Run `python -m deploybot` as `deploybot`."""

from __future__ import annotations

from deploybot.cli import main

if __name__ == "__main__":
    main()
