"""Stands in until the pool of hosts/ is whole."""
