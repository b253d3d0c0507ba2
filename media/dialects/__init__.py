"""The protocols that media websockets speak."""
