"""What the service shows of itself: logs, metrics, health, costs."""
