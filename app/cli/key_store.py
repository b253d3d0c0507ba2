"""The named keys in the database of the settings, for the command line. What changes them is audited."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

import typer

from app.clock import utc_now
from app.errors import InvalidRequest, StorageError
from app.settings import load_settings
from app.storage.api_keys import SCOPES, ApiKey, ApiKeyStore, Scope
from app.storage.audit import COMMAND_LINE, AuditLog
from app.storage.database import Database, migrate

T = TypeVar("T")
_FAILED = 1


def add_key(name: str, scopes: str) -> str:
    """Make a key and return it. Exits with 1, and says why, when there can be no such key."""

    async def work(keys: ApiKeyStore, audit: AuditLog) -> str:
        given = _scopes(scopes)
        key = await keys.add(name, given, utc_now())
        await audit.add(COMMAND_LINE, "keys add", utc_now(), detail=f"{name}: {shown(given)}")
        return key

    return _run(work)


def all_keys() -> list[ApiKey]:
    """Every key, in the order of their names."""

    async def work(keys: ApiKeyStore, _audit: AuditLog) -> list[ApiKey]:
        return await keys.all()

    return _run(work)


def revoke_key(name: str) -> bool:
    """Let a key do nothing any more. Returns whether there was one."""

    async def work(keys: ApiKeyStore, audit: AuditLog) -> bool:
        was_there = await keys.revoke(name)
        if was_there:
            await audit.add(COMMAND_LINE, "keys revoke", utc_now(), detail=name)
        return was_there

    return _run(work)


def shown(scopes: Collection[Scope]) -> str:
    """The scopes as a person reads them."""
    return ", ".join(scope for scope in SCOPES if scope in scopes)


def _scopes(written: str) -> set[Scope]:
    """Raises InvalidRequest."""
    names = {name.strip() for name in written.split(",")} - {""}
    if unknown := names - set(SCOPES):
        raise InvalidRequest(f"{min(unknown)[:40]!r} is no scope: there are {', '.join(SCOPES)}")
    return {scope for scope in SCOPES if scope in names}


def _run(work: Callable[[ApiKeyStore, AuditLog], Awaitable[T]]) -> T:
    settings = load_settings()

    async def run() -> T:
        database = await Database.open(settings.database)
        try:
            return await work(ApiKeyStore(database), AuditLog(database))
        finally:
            await database.close()

    try:
        migrate(settings.database)
        return asyncio.run(run())
    except (StorageError, InvalidRequest) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(_FAILED) from error
