"""Plan, lock, run, verify and record deployments, and resume them after a crash."""
