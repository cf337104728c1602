"""Telling others of deployments over HTTP: forges, signed calls, traces. Imported only where bot.toml has them."""
