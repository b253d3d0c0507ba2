"""Chains of vendors: who stands in for whom, who is well, and who answers first."""
