"""LiveKit's server API: rooms, telephones and webhooks."""
