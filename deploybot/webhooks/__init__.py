"""Incoming webhooks: check their proofs, store deliveries before answering, and read them with one file per sender."""
