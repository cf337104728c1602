"""What an event means: which apps it is about, who is told (telling), what is deployed by itself (auto)."""
