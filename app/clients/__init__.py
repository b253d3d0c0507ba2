"""The outside: one vendor a file; its words and exceptions stop there."""
