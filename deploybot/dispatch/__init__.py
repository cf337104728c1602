"""Turn messages into work: parse, authorise, run, reply. Nothing else does."""

from deploybot.dispatch.dispatcher import Dispatcher
from deploybot.dispatch.error_replies import error_card

__all__ = ["Dispatcher", "error_card"]
