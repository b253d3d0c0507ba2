"""LiveKit's server interface: rooms, who is in them, and the tokens that open them.

https://docs.livekit.io/reference/server/server-apis/ (Twirp over HTTP). A self-hosted server is asked once for each
attempt; what may be repeated is repeated here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
from livekit import api

from app.clients.livekit_webhooks import telephone_call
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.models import TelephoneCall

_TIMEOUT_SECONDS = 3.0
_TOKEN_TTL = timedelta(hours=1)
"""For joining, and for coming back after a lost connection."""
_NOT_FOUND = "not_found"
_UNAVAILABLE = frozenset({"unavailable", "internal", "unknown", "aborted", "dataloss"})


@dataclass(frozen=True, slots=True)
class RoomSeen:
    """A room that exists."""

    name: str
    sid: str


class LiveKitClient(BaseResilientClient):
    """To be made in a running loop. All requests raise ProviderError."""

    provider = "livekit"

    def __init__(
        self,
        *,
        url: str,
        api_key: str,
        api_secret: str,
        retry: RetryPolicy | None = None,
        observer: ProviderObserver | None = None,
    ) -> None:
        super().__init__(retry=retry, observer=observer)
        self._key, self._secret = api_key, api_secret
        self._livekit = api.LiveKitAPI(
            url, api_key, api_secret, timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS), failover=False
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._livekit.aclose()

    def agent_token(self, room: str, call_id: str) -> str:
        """For joining that room as the agent of the call; of several who do, LiveKit keeps the newest."""
        token = api.AccessToken(self._key, self._secret).with_identity(f"agent-{call_id}").with_kind("agent")
        grants = api.VideoGrants(room_join=True, room=room, agent=True)
        return token.with_grants(grants).with_ttl(_TOKEN_TTL).to_jwt()

    async def list_rooms(self) -> list[RoomSeen]:
        """Every room that is open."""
        answer = await self.make_request(self._livekit.room.list_rooms, api.ListRoomsRequest())
        return [RoomSeen(room.name, room.sid) for room in answer.rooms]

    async def list_callers(self, room: RoomSeen) -> list[TelephoneCall]:
        """The callers in the room."""
        request = api.ListParticipantsRequest(room=room.name)
        answer = await self.make_request(self._livekit.room.list_participants, request)
        return [
            call
            for participant in answer.participants
            if participant.kind == api.ParticipantInfo.Kind.SIP
            and (call := telephone_call(room.name, room.sid, participant.identity, participant.attributes))
        ]

    async def remove_participant(self, room: str, identity: str) -> None:
        """Hang up on somebody; one who is not there is no error."""
        request = api.RoomParticipantIdentity(room=room, identity=identity)
        await self.make_request(_unless_gone(self._livekit.room.remove_participant), request)

    async def delete_room(self, room: str) -> None:
        """End the room and the calls in it; a room that is not there is no error."""
        await self.make_request(_unless_gone(self._livekit.room.delete_room), api.DeleteRoomRequest(room=room))

    def map_error(self, error: Exception) -> ProviderError | None:
        """The package raises the errors of aiohttp as they are; they quote addresses, so they are not quoted here."""
        if isinstance(error, api.ServerError):
            return _of_server(error)
        if isinstance(error, TimeoutError):
            return ProviderTimeout(self.provider, "no answer before the deadline")
        if isinstance(error, aiohttp.ClientError):
            return ProviderUnavailable(self.provider, f"cannot be reached: {type(error).__name__}")
        return super().map_error(error)


def _of_server(error: api.ServerError) -> ProviderError:
    if error.code == "deadline_exceeded":
        return ProviderTimeout("livekit", "gave up waiting for its own services")
    if error.code == "resource_exhausted":
        return ProviderRateLimited("livekit", "too many requests")
    if error.code in _UNAVAILABLE:
        return ProviderUnavailable("livekit", error.code)
    if error.code in ("malformed", "bad_route"):
        return ProviderProtocolError("livekit", error.code)
    return ProviderRejected("livekit", error.code, status=error.status)


def _unless_gone(request: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[None]]:
    async def asked(message: Any) -> None:
        try:
            await request(message)
        except api.ServerError as error:
            if error.code != _NOT_FOUND:
                raise

    asked.__name__ = getattr(request, "__name__", "request")
    return asked
