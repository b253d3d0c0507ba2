"""One call while it lives."""
