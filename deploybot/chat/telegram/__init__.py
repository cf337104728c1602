"""Telegram, by its Bot API (https://core.telegram.org/bots/api) and python-telegram-bot.

`telegram_chat` is the chat itself, `telegram_connection` receives updates, `telegram_api` sends messages.
`button_presses` and `forced_replies` handle buttons. `telegram_rendering` and `telegram_escaping` turn cards into
Telegram's HTML. `telegram_check` is for `deploybot check`. Import it only if bot.toml has `[telegram]`: the library
takes 12 MB.
"""

import sys

# httpx loads its command line if rich is installed, as it is here: three megabytes that no bot needs. If that module
# can't be imported, httpx works without it.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
