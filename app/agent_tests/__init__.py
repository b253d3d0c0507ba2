"""Tests of agents: scenarios with a caller and with expectations, held as calls and judged by their journals."""
