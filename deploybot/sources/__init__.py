"""From a ref to a release, and what changed between two."""
