"""The stand-in for Deepgram."""
