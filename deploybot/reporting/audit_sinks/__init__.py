"""Sinks that export the audit from this machine: a file, syslog and a signed call, one module each."""
