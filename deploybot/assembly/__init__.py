"""Puts the bot together: every part is made here, and nowhere else. Only what bot.toml configures is imported."""
