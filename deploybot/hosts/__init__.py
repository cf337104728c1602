"""Servers over SSH: the pool, detached jobs, and the Docker Engine through the same connection."""
