"""Doubles of Slack and Telegram: stricter than the real ones, and able to be unkind on request.

What a person would see is kept as a `Timeline`, the same for both, so that one suite of tests and one web page
show either. What a person does goes through `Double.say` and `Double.press`.
"""

from tests.doubles.timeline import Double, Post, Press, Timeline, Unkind

__all__ = ["Double", "Post", "Press", "Timeline", "Unkind"]
