"""Resolve refs to releases, and show what changed between two releases."""
