"""`make doubles`: try deploybot in Slack and in Telegram with no account, in a browser. Ctrl-C ends it.

Both chats are the doubles of the tests; the bot, its server and the shop that it deploys are real (docs/demo.md).
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from tests.doubles.both_chats import CHANNEL, GROUP, bot_in_both_chats
from tests.doubles.page import Page

_PORT = 8765
_TELL = """
Open {url} in a browser. You are ana, an administrator; on the left you become ben or cem.

  Slack      {url}/?chat=slack&as=U0ANA&room={channel}
  Telegram   {url}/?chat=telegram&as=1001&room={group}

Try /deploy shop@v2, /deploy-status, @deploybot help. Production wants an approval: ask for
/deploy shop@v2 to production as ana, and approve it as ben.
Ctrl-C ends it, and puts everything away.
"""


async def main(folder: Path, port: int) -> None:
    """Set everything up in an empty folder, and serve until SIGINT or SIGTERM."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    sys.stdout.write("Setting up a server, a repository, a bot and two chats …\n")
    async with bot_in_both_chats(folder) as made:
        page = Page(made.chats(), port)
        await page.start()
        sys.stdout.write(_TELL.format(url=page.url, channel=CHANNEL, group=GROUP))
        sys.stdout.flush()
        await stop.wait()
        await page.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.doubles", description=__doc__)
    parser.add_argument("--port", type=int, default=_PORT, help="of the page, on 127.0.0.1")
    with tempfile.TemporaryDirectory(prefix="deploybot-doubles-") as made:
        try:
            asyncio.run(main(Path(made).resolve(), parser.parse_args().port))
        except OSError as error:
            sys.exit(f"That did not work: {error.strerror or error}. Another port: python -m tests.doubles --port 0")
