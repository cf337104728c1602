"""The bot's health and metrics: `/healthz`, `/metrics`. Imported only if bot.toml has `[http]`."""
