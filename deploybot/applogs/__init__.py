"""Logs of apps: read from all servers at the same time, merged by time, masked and bounded."""
