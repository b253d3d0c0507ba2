"""The fault matrix: each part that a call needs, broken in each way, at each moment of the call."""
