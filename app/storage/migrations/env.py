"""Alembic runs this file, on the connection and in the transaction of :func:`app.storage.migrations.upgrade`."""

from alembic import context

from app.storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
