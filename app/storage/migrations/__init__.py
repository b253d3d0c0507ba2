"""Alembic's scripts; :func:`app.storage.database.migrate` runs them."""
