"""What tests share: settings as the bot's own parser makes them, and a bot with everything around it in memory."""
