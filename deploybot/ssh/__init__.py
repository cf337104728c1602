"""Reach servers over SSH: the connection pool, detached jobs, server facts and file uploads."""
