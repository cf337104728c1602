"""What calls the bot: proofs, deliveries kept before they are answered, and a file a sender."""
