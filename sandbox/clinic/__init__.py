"""A stand-in for an operator's own systems: a small clinic with a schedule, a webhook receiver, and an agent's file."""
