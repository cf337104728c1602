"""Kills a bot, again and again, while a forge calls it: what was answered 2xx is never lost, and nothing is done twice.

`make chaos` runs it after the other one.
"""
