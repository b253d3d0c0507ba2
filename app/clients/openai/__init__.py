"""OpenAI and compatible servers: the language model."""
