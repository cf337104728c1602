"""What runs where, and how it is: every server asked at once, shown as a board or the details of one app."""
