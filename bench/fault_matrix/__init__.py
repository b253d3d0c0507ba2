"""The fault matrix: each interface of each vendor, broken in each way, at each moment of a call."""
