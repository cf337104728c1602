"""Telegram, by its Bot API (https://core.telegram.org/bots/api) and python-telegram-bot.

`telegram_chat` is the chat itself, `telegram_connection` receives updates, `telegram_api` sends messages.
`button_presses` and `forced_replies` handle buttons. `telegram_rendering` and `telegram_escaping` turn cards into
Telegram's HTML. `telegram_check` is for `deploybot check`. `telegram_part` and `telegram_settings` are imported
whenever bot.toml is read, all others only if it has `[telegram]`: they import the library, which takes 12 MB.
"""

import sys

# httpx loads its command line if rich is installed, as it is here: three megabytes that no bot needs. If that module
# can't be imported, httpx works without it.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
