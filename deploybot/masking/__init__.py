"""Masking: every text that leaves the bot is cleaned first and masked then, in this one way.

`Redactor` masks a text, a card or bytes, `Stream` text that arrives in pieces, `clean` takes out of a log what is not
seen. docs/security.md lists what is masked, and tests/masking/test_exits.py every way out.
"""

from deploybot.masking.cleaning import clean, clean_text
from deploybot.masking.key_shapes import looks_like_token
from deploybot.masking.masked_streams import HOLD, Stream, settled
from deploybot.masking.redactor import MASK, Redactor

__all__ = ["HOLD", "MASK", "Redactor", "Stream", "clean", "clean_text", "looks_like_token", "settled"]
