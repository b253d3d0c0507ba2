"""Hypothesis gives every run the same examples, and is never stopped by a slow machine."""

from hypothesis import settings

settings.register_profile("conversation", max_examples=100, deadline=None, derandomize=True, database=None)
settings.load_profile("conversation")
