"""What all connections share: which addresses may be called, and how streamed HTTP bodies are read."""
