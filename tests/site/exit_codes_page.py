"""docs/reference/exit-codes.md: the exit codes of `deploybot`, by the code's own constants."""

from __future__ import annotations

from collections.abc import Mapping

from deploybot.chat.console.script_client import FAILED as CHAT_FAILED
from deploybot.chat.console.script_client import NO_BOT, SUCCESS, UNKNOWN
from deploybot.cli.command_base import FAILED, WRONG
from deploybot.demo.demo_command import RIGHT, STOPPED
from deploybot.demo.demo_command import WRONG as DEMO_WRONG
from tests.site.blocks import table

_INTRODUCTION = """\
# Exit codes

This page is made from the code. Scripts and CI jobs can rely on these numbers. If a signal ends the process, a shell
shows 128 plus the number of the signal.
"""
ALL = "every command, if nothing else is listed"
CODES: Mapping[str, Mapping[int, str]] = {
    ALL: {
        0: "success",
        FAILED: "something failed or was refused; stderr has the reason and a fix",
        WRONG: "the command line or bot.toml is wrong",
    },
    "deploybot chat": {
        SUCCESS: "the command succeeded, and so did the deployment that it started",
        CHAT_FAILED: "the command failed or was refused, or its deployment failed, was restored or was cancelled",
        NO_BOT: "the command line or bot.toml is wrong, or no bot is reachable",
        UNKNOWN: "the result is unknown: the bot stopped, Ctrl-C, or a deployment with an unknown result",
    },
    "deploybot check": {
        0: "every check passed or was skipped",
        FAILED: "at least one check failed",
        WRONG: "bot.toml is wrong",
    },
    "deploybot ping": {0: "a bot with this bot.toml answers", FAILED: "no bot answers", WRONG: "bot.toml is wrong"},
    "deploybot audit verify": {
        0: "the audit log is complete",
        FAILED: "a row was changed, removed or cut off, or the files of `--against` contradict the database",
        WRONG: "the command line or bot.toml is wrong",
    },
    "deploybot hooks test": {
        0: "the bot accepted the ping",
        FAILED: "the bot did not accept it, or bot.toml has no such address",
        WRONG: "the command line or bot.toml is wrong",
    },
    "deploybot hooks replay": {
        0: "no payload caused an error of the bot",
        FAILED: "at least one response was a 5xx error",
        WRONG: "the command line or bot.toml is wrong",
    },
    "deploybot demo": {
        RIGHT: "every outcome was right, or you left the prompt",
        DEMO_WRONG: "an outcome was wrong, or the demo could not be set up",
        2: "the command line is wrong",
        STOPPED: "the demo was stopped by Ctrl-C, SIGTERM or a closed terminal",
    },
}
"""The meaning of each exit code, by command."""
_SCRIPT = """\
A deployment in a script or a CI job:

```sh
if deploybot chat -c 'deploy shop@v2 to staging'; then
  echo "deployed"
else
  case $? in
    1) echo "failed, refused or restored" ;;
    2) echo "no bot, or a mistake in the command line" ;;
    3) echo "unknown: look at it with deploybot chat -c 'status shop'" ;;
  esac
fi
```
"""


def page() -> str:
    """Return the whole page."""
    rows = [
        (name if number == 0 else "", str(value), meaning)
        for command, codes in CODES.items()
        for name in (command if command == ALL else f"`{command}`",)
        for number, (value, meaning) in enumerate(codes.items())
    ]
    return "\n".join((_INTRODUCTION, table(("command", "code", "meaning"), rows), _SCRIPT))
