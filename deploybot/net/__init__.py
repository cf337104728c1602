"""Check which addresses may be called, and read streamed HTTP bodies, for all connections."""
