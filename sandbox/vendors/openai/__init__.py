"""The stand-in for OpenAI."""
