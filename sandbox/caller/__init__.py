"""A simulated caller."""
