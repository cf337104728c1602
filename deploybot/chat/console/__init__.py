"""The console: commands typed by the bot's owner, at a terminal or in a script, over a Unix socket."""
