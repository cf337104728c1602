"""Status and logs: every server asked at once, merged, masked, bounded."""
