"""Automatic deployments: find new releases for `auto` in bot.toml and turn each into a deployment."""
