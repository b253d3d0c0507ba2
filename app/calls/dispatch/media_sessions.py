"""Media sessions: a one-time address for one call over one websocket, valid for a minute."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.clock import iso_utc, utc_now
from app.models import CallContext
from app.storage.sessions import MediaSession, SessionStore

TOKEN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class NewSession:
    """What the client gets. The token appears nowhere else."""

    call_id: str
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """The call that a token opens."""

    call: CallContext
    shows_all_events: bool
    """Whether the websocket may see the whole journal, rather than what its caller may see."""


class MediaSessions:
    """Issues tokens and redeems them. Only their hashes are stored."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def create(
        self,
        caller: str | None,
        metadata: dict[str, Any],
        events: str = "conversation",
        *,
        agent: str | None = None,
        variables: Mapping[str, Any] | None = None,
        call_id: str | None = None,
        is_synthetic: bool = False,
    ) -> NewSession:
        """Create a session. It becomes a call when its websocket starts. Raises StorageError.

        ``call_id`` is a new id unless it is given. ``is_synthetic`` marks a call of the service to itself.
        """
        now = utc_now()
        new = NewSession(
            call_id=call_id or f"call_{secrets.token_hex(12)}",
            token=secrets.token_urlsafe(32),
            expires_at=now + timedelta(seconds=TOKEN_SECONDS),
        )
        session = MediaSession(
            call_id=new.call_id,
            caller=caller,
            metadata=metadata,
            expires_at=iso_utc(new.expires_at),
            events=events,
            agent=agent,
            variables=dict(variables or {}),
            synthetic=is_synthetic,
        )
        await self._store.create(session, _hash(new.token), now=now)
        return new

    async def redeem(self, call_id: str, token: str) -> OpenedSession:
        """Redeem a token for its call. Raises TokenInvalid or TokenUsed."""
        session = await self._store.redeem(call_id, _hash(token), utc_now())
        call = CallContext(
            call_id=session.call_id,
            caller_number=session.caller,
            start_time=utc_now(),
            metadata=session.metadata,
            agent=session.agent,
            variables=session.variables,
            is_synthetic=session.synthetic,
        )
        return OpenedSession(call, shows_all_events=session.events == "all")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
