"""How a release gets onto a server: pure, one file a strategy; scripts lie in `scripts/`."""
