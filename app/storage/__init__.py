"""The journal, call records and session tokens: every SQL statement of the service."""
