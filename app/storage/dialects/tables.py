"""How tables must be on Postgres, whatever a revision of the schema said."""

from sqlalchemy import Connection, text

_ROOM_PERCENT = 70
_NOT_BY_CODE_POINT = text(
    "SELECT c.table_name, c.column_name, c.data_type, c.character_maximum_length FROM information_schema.columns c"
    " JOIN information_schema.tables t USING (table_schema, table_name)"
    " WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'"
    " AND c.data_type IN ('character varying', 'text') AND c.collation_name IS DISTINCT FROM 'C'"
)


def fit_tables(connection: Connection) -> None:
    """Let texts compare by their code points, as in SQLite, whatever the database's locale, and leave room for leases.

    Only so can an index find the words that begin with a text, and only so is the order of a list the same everywhere.
    A lease is renewed twice a second; where its page has room, that touches no index.
    """
    for table, column, kind, length in connection.execute(_NOT_BY_CODE_POINT).all():
        of_kind = kind if length is None else f"{kind}({length})"
        connection.execute(text(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" TYPE {of_kind} COLLATE "C"'))
    connection.execute(text(f"ALTER TABLE calls SET (fillfactor = {_ROOM_PERCENT})"))
