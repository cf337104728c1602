"""Shared by all connections: which addresses may be called, and how streamed HTTP bodies are read."""
