"""What runs where and whether it is healthy: ask all servers at the same time, show a board or one app's details."""
