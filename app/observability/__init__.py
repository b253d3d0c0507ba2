"""Observability of the service: logs, metrics, health, costs."""
