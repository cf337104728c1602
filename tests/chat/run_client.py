"""The client as a program, for a bot of `stub.py`: `run_client.py DATA [-c LINE] [--json] [--as NAME] …`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploybot.chat.console.console_client import main
from deploybot.settings import BotSettings, Settings

parser = argparse.ArgumentParser()
parser.add_argument("data", type=Path)
parser.add_argument("-c")
parser.add_argument("--json", action="store_true")
parser.add_argument("--as", dest="name")
parser.add_argument("--no-wait", action="store_true")
parser.add_argument("--listen", action="store_true")
parser.add_argument("--own", nargs="*", default=[], help="the program that starts a bot")
asked = parser.parse_args()
settings = Settings(bot=BotSettings(data=asked.data))
own = tuple(sys.executable if word == "python" else word for word in asked.own)
wait = not asked.no_wait
sys.exit(main(settings, line=asked.c, json=asked.json, as_name=asked.name, wait=wait, listen=asked.listen, command=own))
