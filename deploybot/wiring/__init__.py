"""Build the bot from its settings. Every part is made here, and only what bot.toml configures is imported."""
