"""A stand-in for the carrier and LiveKit SIP."""
