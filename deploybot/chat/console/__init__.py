"""The console: the bot's owner types commands at a terminal or in a script, over a Unix socket."""
