"""Masking: every text that leaves the bot is first cleaned and then masked, always in this way.

`Redactor` masks a text, a card or bytes. `Stream` masks text that arrives in pieces. `clean` removes invisible
characters from a log. docs/security.md lists what is masked, and tests/masking/test_exits.py every way out.
"""

from deploybot.masking.cleaning import clean, clean_text
from deploybot.masking.key_shapes import looks_like_token
from deploybot.masking.masked_streams import HOLD, Stream, settled
from deploybot.masking.redactor import MASK, Redactor

__all__ = ["HOLD", "MASK", "Redactor", "Stream", "clean", "clean_text", "looks_like_token", "settled"]
