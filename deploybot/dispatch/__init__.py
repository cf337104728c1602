"""The one place where messages become work: parse, authorise, run, reply."""

from deploybot.dispatch.dispatcher import Dispatcher
from deploybot.dispatch.error_replies import error_card

__all__ = ["Dispatcher", "error_card"]
