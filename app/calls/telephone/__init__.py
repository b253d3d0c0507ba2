"""LiveKit's side of a call: rooms, dialling, transfers."""
