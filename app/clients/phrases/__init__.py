"""The standard lines of the agent as sound, which come with the package: the last voice when nothing else speaks."""
