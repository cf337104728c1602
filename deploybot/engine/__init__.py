"""The Docker Engine of a server: docker-py with bounded answers, and streams of logs and events."""
