"""Media sessions: each has a token that opens one websocket for one call."""

from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from app.clock import iso_utc
from app.errors import TokenInvalid, TokenUsed
from app.storage.database import Database
from app.storage.schema import sessions

_USED = "the token has opened a socket already"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSession:
    """The parameters a session was created with; its call starts with them."""

    call_id: str
    caller: str | None
    metadata: dict[str, Any]
    expires_at: str
    """ISO UTC."""
    events: str = "conversation"
    """``conversation`` or ``all``: how much of the journal the websocket may receive."""
    agent: str | None = None
    """The agent that the client asks for."""
    variables: dict[str, Any] = field(default_factory=dict)
    """What the client sets for the agent's variables."""
    synthetic: bool = False
    """Whether the service calls itself."""


class SessionStore:
    """Sessions by the hash of their token; the token itself is never stored. Every method may raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, session: MediaSession, token_hash: str, *, now: datetime) -> None:
        """Store a session and delete expired ones; its call id and ``token_hash`` must be new."""
        row = {**asdict(session), "token_hash": token_hash, "created_at": iso_utc(now)}
        await self._database.write(partial(_create, row))

    async def forget_expired(self, now: datetime) -> None:
        """Delete expired sessions, as :meth:`create` does."""
        expired = _expired_by(iso_utc(now))
        found = select(sessions.c.call_id).where(expired).limit(1)
        if await self._database.read(lambda connection: connection.execute(found).first()):
            await self._database.write(lambda connection: connection.execute(delete(sessions).where(expired)))

    async def redeem(self, call_id: str, token_hash: str, now: datetime) -> MediaSession:
        """Redeem a token; of any number of concurrent attempts one gets the session.

        Raises TokenUsed for the others, TokenInvalid when the token is unknown, expired, or of another call.
        """
        wanted = partial(_check, call_id, token_hash, iso_utc(now))
        await self._database.read(wanted)  # check first, so that guessed tokens cause no write
        return await self._database.write(partial(_redeem, call_id, token_hash, iso_utc(now)))


def _create(row: dict[str, Any], connection: Connection) -> None:
    connection.execute(delete(sessions).where(_expired_by(row["created_at"])))
    connection.execute(insert(sessions), row)


def _expired_by(now: str) -> ColumnElement[bool]:
    return sessions.c.expires_at <= now


def _of_token(call_id: str, token_hash: str) -> ColumnElement[bool]:
    return (sessions.c.token_hash == token_hash) & (sessions.c.call_id == call_id)


def _check(call_id: str, token_hash: str, now: str, connection: Connection) -> None:
    """Raises TokenUsed, TokenInvalid."""
    times = select(sessions.c.used_at, sessions.c.expires_at).where(_of_token(call_id, token_hash))
    session = connection.execute(times).one_or_none()
    if session is not None and session.used_at is not None:
        raise TokenUsed(_USED)
    if session is None or session.expires_at <= now:
        raise TokenInvalid("the token is unknown or has expired")


def _redeem(call_id: str, token_hash: str, now: str, connection: Connection) -> MediaSession:
    _check(call_id, token_hash, now, connection)
    row = connection.execute(
        update(sessions)
        .where(_of_token(call_id, token_hash), sessions.c.used_at.is_(None))
        .values(used_at=now)
        .returning(*(sessions.c[part.name] for part in fields(MediaSession)))
    ).one_or_none()
    if row is None:
        raise TokenUsed(_USED)  # by another process, since the check
    return MediaSession(**row._mapping)
