"""Both ends of a call's sound: a websocket, or a LiveKit room."""
