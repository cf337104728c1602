"""Automatic deployments: what `auto` in bot.toml finds, and how that becomes a deployment."""
