"""Talk to a server's Docker Engine: docker-py with bounded answers, and streams of logs and events."""
