"""The stand-in for the telephone carrier and LiveKit SIP."""
