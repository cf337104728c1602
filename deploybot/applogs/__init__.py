"""Logs of apps: read on every server at once, merged by time, masked and bounded."""
