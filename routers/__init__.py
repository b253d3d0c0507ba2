"""HTTP and websocket endpoints: they translate requests into calls of the domain. No decision longer than an if."""
