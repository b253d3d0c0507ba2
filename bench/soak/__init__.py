"""The soak: callers of all kinds and faults at random, for as long as wanted."""
