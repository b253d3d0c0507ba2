"""The journal, call records, session tokens: every SQL statement of the service is here."""
