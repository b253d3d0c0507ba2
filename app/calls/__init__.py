"""Live calls: everything that starts, awaits, bounds or cancels something of a call."""
