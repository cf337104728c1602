"""What channels are told of events: where an event belongs, how its thing stands, and who wants to hear of it."""
