"""Deployments: plan, lock, run, verify, record; resumed after a crash."""
