"""docs/extending.md, run as it is written."""
