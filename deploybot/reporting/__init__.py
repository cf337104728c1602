"""Report deployments over HTTP: forges, signed calls, traces. Imported only where bot.toml configures them."""
