"""Schema migrations with Alembic; each revision is a file in ``versions``."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from app.errors import StorageError


def upgrade(connection: Connection) -> None:
    """Run the missing revisions in the connection's transaction. Raises StorageError for a newer schema."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - known
    if unknown:
        raise StorageError(
            f"the database is from a newer version of the service (schema {', '.join(sorted(unknown))}): "
            "run that version, or restore a backup"
        )
    command.upgrade(config, "head")
