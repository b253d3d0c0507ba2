"""OpenAI's stand-in."""
