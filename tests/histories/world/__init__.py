"""Histories drawn at random, and the comparison of all that the bot says with what really runs."""
