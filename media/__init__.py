"""Sound: bytes, samples, seconds. Knows no words, no calls and no vendor."""
