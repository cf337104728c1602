"""Build the bot from its settings: every part is made here, and only what bot.toml configures is imported."""
