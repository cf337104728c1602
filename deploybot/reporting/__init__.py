"""Report deployments over HTTP: forges, signed calls, traces. Libraries are imported only if bot.toml needs them."""
