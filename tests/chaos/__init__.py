"""Chaos: a real bot on real servers is killed and cut off in mid-deployment, and held to what it then says.

`python -m tests.chaos --runs 50` prints a line a run and last the figures. In `hooks` a forge calls it.
"""
