"""Telegram, by its Bot API (https://core.telegram.org/bots/api) and python-telegram-bot.

`chat` is the chat itself, `line` brings updates in, `calls` takes messages out, `presses` and `questions` are
what buttons do, `page` and `literal` make cards into Telegram's HTML, `probe` is for `deploybot check`.
Import it only where bot.toml has `[telegram]`: the library takes 12 MB.
"""

import sys

# httpx brings a command line of its own where rich is installed, as it is here: three megabytes that no bot needs.
# It does without where that cannot be imported.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
