"""Report deployments over HTTP: forges, signed calls, traces. Imported only if bot.toml configures them."""
