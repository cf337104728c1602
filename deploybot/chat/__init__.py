"""Chat platforms behind one port, and the outbox that delivers to them."""
