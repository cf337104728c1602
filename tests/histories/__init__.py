"""Histories: deployments, failures and manual acts on real Docker Engines, and what the bot then says of them.

`python -m tests.histories world` draws histories at random and compares every card with the application and the Engine.
`broken` lets Compose break off in the middle of `up`, `hosts` takes over what people started by hand.
"""
