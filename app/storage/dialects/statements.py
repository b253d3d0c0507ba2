"""The SQL in which the two databases differ. Everything else in storage is the same statement for both.

================  ==========================================  =====================================================
what              SQLite                                      Postgres
================  ==========================================  =====================================================
one at a time     every write has the lock of the file        :func:`hold` takes an advisory lock until the commit
a row's lock      likewise                                    ``FOR UPDATE``; a claim passes over locked rows
a part of a text  ``instr``, ``substr``                       ``strpos``, ``right``
rows as an object ``json_group_object``                       ``json_object_agg``
an index less     a plus before the column                    the planner knows better
proof of writing  a row that is changed                       a message in the write-ahead log, which locks no row
================  ==========================================  =====================================================
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Integer, Select, String, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

_LOCKS = 0x7661
"""The service's own space of advisory locks: "va"."""


class Lock(enum.IntEnum):
    """What only one transaction at a time may decide. Whoever needs several takes them in this order."""

    SCHEMA = 1
    """Migrations."""
    ADMISSION = 2
    """Whether there is a place, a dial and money for one more call."""
    SPENDING = 3
    """What belongs to no call."""
    SUBSCRIPTIONS = 4
    """The endpoints of webhooks."""
    FIGURES = 5
    """The sums over all calls. Many ends of calls add to the same ones; always the last lock."""


def is_postgres(connection: Connection) -> bool:
    """Whether it leads to Postgres."""
    return connection.dialect.name == "postgresql"


def hold(connection: Connection, lock: Lock) -> None:
    """Let no other transaction past the same line before this one is over."""
    if is_postgres(connection):
        connection.execute(select(func.pg_advisory_xact_lock(_LOCKS, int(lock))))


def keep_rows(connection: Connection, rows: Select[Any]) -> None:
    """Let no other transaction change these rows before this one is over. All callers use the same order of rows."""
    if is_postgres(connection):
        connection.execute(rows.with_for_update(key_share=True)).all()


def unclaimed(rows: Select[Any]) -> Select[Any]:
    """These rows, for this transaction alone: without those that another transaction is just claiming."""
    return rows.with_for_update(skip_locked=True)


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless its key is known; whether it was new."""
    statement = _insert(connection, table).values(**row).on_conflict_do_nothing()
    return connection.execute(statement).rowcount > 0


def add_to(connection: Connection, table: Table, column: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; where the key is known, add to its column instead."""
    _upsert(connection, table, rows, lambda new: {column: table.c[column] + new[column]})


def replace_in(connection: Connection, table: Table, column: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; where the key is known, replace its column instead."""
    _upsert(connection, table, rows, lambda new: {column: new[column]})


def _upsert(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], change: Callable[[Any], dict[str, Any]]
) -> None:
    statement = _insert(connection, table)
    keys, changed = list(table.primary_key.columns), change(statement.excluded)
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _insert(connection: Connection, table: Table) -> Any:
    return (postgresql if is_postgres(connection) else sqlite).insert(table)


class position(FunctionElement[int]):  # noqa: N801 - reads as the functions of sqlalchemy.func do
    """Where a text begins in another, from 1; 0 if it is not in it: ``position(text, part)``."""

    inherit_cache = True
    type = Integer()


class ending(FunctionElement[str]):  # noqa: N801 - likewise
    """The last characters of a text: ``ending(text, count)``."""

    inherit_cache = True
    type = String()


class object_of(FunctionElement[str]):  # noqa: N801 - likewise
    """Of a group of rows, names and numbers as the text of a JSON object: ``object_of(names, numbers)``."""

    inherit_cache = True
    type = String()


class unindexed(FunctionElement[Any]):  # noqa: N801 - likewise
    """A column of which SQLite must not use an index: for rare calls it would read every row that such an index has."""

    inherit_cache = True


@compiles(object_of)
def _json_group_object(element: object_of, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_group_object({compiler.process(element.clauses, **options)})"


@compiles(object_of, "postgresql")
def _json_object_agg(element: object_of, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_object_agg({compiler.process(element.clauses, **options)})::text"


@compiles(position)
def _instr(element: position, compiler: SQLCompiler, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


@compiles(position, "postgresql")
def _strpos(element: position, compiler: SQLCompiler, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)})"


@compiles(ending)
def _substr(element: ending, compiler: SQLCompiler, **options: Any) -> str:
    text, count = (compiler.process(clause, **options) for clause in element.clauses)
    return f"substr({text}, -{count})"


@compiles(ending, "postgresql")
def _right(element: ending, compiler: SQLCompiler, **options: Any) -> str:
    return f"right({compiler.process(element.clauses, **options)})"


@compiles(unindexed)
def _plus(element: unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


@compiles(unindexed, "postgresql")
def _plain(element: unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)
