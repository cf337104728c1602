"""What is deployed by itself: what `auto` finds, which builds let it go, and wishes brought to their end."""
