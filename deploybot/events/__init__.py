"""What an event means: which app it is about, which builds count, what is reported."""
