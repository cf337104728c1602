"""What the bot tells of its own health: `/healthz`, `/metrics`. Imported only where bot.toml has `[http]`."""
