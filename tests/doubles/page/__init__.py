"""A web page that shows the doubles' chats as a person sees them, and lets them type and press buttons."""

from tests.doubles.page.server import Chat, Page

__all__ = ["Chat", "Page"]
