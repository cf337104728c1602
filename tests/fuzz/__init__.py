"""A fuzzer between the bot and a real server: what the runner, the probe and the Engine answer is changed on its way.

`python -m tests.fuzz` runs it. Another real server, whose line of the board may not change, is in the same run.
"""
