"""Doors: HTTP and websockets in, domain out. No decision longer than an if."""
