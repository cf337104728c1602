"""Check which addresses may be called, and read HTTP/1.1, for all connections."""
