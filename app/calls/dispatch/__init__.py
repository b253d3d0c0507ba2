"""Which process holds which call."""
