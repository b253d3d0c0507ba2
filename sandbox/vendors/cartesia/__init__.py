"""The stand-in for Cartesia."""
