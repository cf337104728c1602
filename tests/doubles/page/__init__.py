"""A web page that shows the doubles' chats as a person sees them, and lets them type and press buttons."""

from tests.doubles.page.server import READY, Chat, Page

__all__ = ["READY", "Chat", "Page"]
