"""The audit's way out of the machine: a file, syslog, and a signed call, a file of code each."""
