"""Deepgram's stand-in."""
