"""Cartesia's stand-in."""
