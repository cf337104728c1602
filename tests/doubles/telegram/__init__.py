"""A double of the Telegram Bot API (https://core.telegram.org/bots/api), with every limit it has."""

from tests.doubles.telegram.double import BOT_ID, TelegramDouble
from tests.doubles.telegram.limits import Limits
from tests.doubles.telegram.markup import Refused, read

__all__ = ["BOT_ID", "Limits", "Refused", "TelegramDouble", "read"]
