"""The conversation core: facts in, commands out; no I/O, clock, chance or logging."""
