"""What a bot that only has the console does not load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_NEEDLESS = {
    "aiohttp",
    "docker",
    "google",
    "jinja2",
    "opentelemetry",
    "paramiko",
    "prometheus_client",
    "prompt_toolkit",
    "requests",
    "rich",
    "tomlkit",
    "urllib3",
    "yaml",
}
_MAKE_A_BOT = """
import json, os, sys
from pathlib import Path
from deploybot.wiring.infrastructure import adapters
from deploybot.bot import Bot
from deploybot.cli import main
from deploybot.config import load

settings = load(Path(sys.argv[1]), os.environ)
Bot(settings, adapters(settings))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_what_is_not_configured_is_not_imported(tmp_path: Path) -> None:
    config = tmp_path / "bot.toml"
    config.write_text(f'[bot]\ndata = "{tmp_path}/data"\n')
    done = subprocess.run([sys.executable, "-c", _MAKE_A_BOT, config], capture_output=True, check=True, timeout=60)
    assert _NEEDLESS.isdisjoint(json.loads(done.stdout))
