"""Chains of vendors: which are the fallbacks, which are well, and which answers first."""
