"""The named keys of the API, and what each may do. Only their hashes are stored; a key is shown once, when made."""

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Literal, get_args

from sqlalchemy import Connection, Row, delete, select

from app.clock import iso_utc
from app.errors import InvalidRequest
from app.storage.database import Database
from app.storage.dialects.statements import insert_new
from app.storage.schema import api_keys

Scope = Literal["read", "call", "operate", "erase"]
"""``read`` sees calls and figures, ``call`` begins calls, ``operate`` acts on live calls and the service, ``erase``
erases calls."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
PREFIX: Final = "va_"
"""Every key begins with it, so that a scanner of leaked secrets knows one when it sees it."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
OPERATOR: Final = "operator"
"""What the audit calls whoever has the API_KEY of the settings. No named key may be called that."""
_KEY_BYTES = 32
_MARK_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A named key as the service knows it."""

    name: str
    scopes: frozenset[Scope]
    created_at: str
    key_hash: str

    @property
    def mark(self) -> str:
        """Tells this key from a later one of the same name; says nothing about the key."""
        return self.key_hash[:_MARK_DIGITS]


class ApiKeyStore:
    """The keys. Every method may raise StorageError. A change counts from the next request on, in all processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, name: str, scopes: Collection[Scope], now: datetime) -> str:
        """Make a key and return it: it is not stored and cannot be shown again. Raises InvalidRequest."""
        if not _NAME.fullmatch(name) or name == OPERATOR:
            raise InvalidRequest(
                f"{name[:40]!r} cannot be the name of a key: take up to 40 of a-z, 0-9, dot, dash and underscore, "
                f"and not {OPERATOR!r}"
            )
        if not scopes:
            raise InvalidRequest(f"a key needs a scope: {', '.join(SCOPES)}")
        key = PREFIX + secrets.token_urlsafe(_KEY_BYTES)
        in_order = [scope for scope in SCOPES if scope in scopes]
        row = {"name": name, "key_hash": _hash(key), "scopes": ",".join(in_order), "created_at": iso_utc(now)}
        await self._database.write(partial(_add, row))
        return key

    async def revoke(self, name: str) -> bool:
        """Let the key of that name do nothing any more. Returns whether there was one."""
        statement = delete(api_keys).where(api_keys.c.name == name)
        return bool(await self._database.write(lambda connection: connection.execute(statement).rowcount))

    async def all(self) -> list[ApiKey]:
        """Every key, in the order of their names."""
        statement = select(api_keys).order_by(api_keys.c.name)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return list(map(_key, rows))

    async def find(self, key: str) -> ApiKey | None:
        """Whose key that is; None if nobody's."""
        if not key.startswith(PREFIX):
            return None
        statement = select(api_keys).where(api_keys.c.key_hash == _hash(key))
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none())
        return None if row is None else _key(row)

    async def named(self, name: str) -> ApiKey | None:
        """The key of that name, or None."""
        statement = select(api_keys).where(api_keys.c.name == name)
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none())
        return None if row is None else _key(row)


def _add(row: dict[str, str], connection: Connection) -> None:
    if not insert_new(connection, api_keys, row):
        raise InvalidRequest(f"there is a key {row['name']!r} already: revoke it first, or take another name")


def _key(row: Row[tuple[str, ...]]) -> ApiKey:
    given = set(row.scopes.split(","))
    return ApiKey(row.name, frozenset(scope for scope in SCOPES if scope in given), row.created_at, row.key_hash)


def _hash(key: str) -> str:
    """A plain digest: nobody can guess 32 random bytes."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
