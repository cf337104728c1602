"""Servers over SSH: the connection pool, detached jobs, facts and files."""
