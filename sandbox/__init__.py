"""Stand-ins for the outside world: vendors, callers and faults on demand, over the real wire protocols."""
