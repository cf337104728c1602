"""Notifications: which channel gets an event, which card shows it, and when it stays quiet."""
