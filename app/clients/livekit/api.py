"""LiveKit's server API: rooms, participants, access tokens, and telephones dialled into rooms.

https://docs.livekit.io/reference/server/server-apis/ (Twirp over HTTP). Each attempt is one request; this client
retries what may be retried. Each request has our own deadline: the package's session ``timeout`` never takes effect,
because the package passes ``timeout=None`` with each request, which aiohttp reads as unlimited.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import aiohttp
from google.protobuf.message import DecodeError
from livekit import api

from app.clients.livekit.dial import Dial, dial_failure
from app.clients.livekit.webhooks import OUR_LEG, telephone_call
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.errors import (
    DialFailed,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.models import TelephoneCall

_REQUEST_SECONDS = 3.0
_TOKEN_TTL = timedelta(hours=1)
"""The lifetime of a token: for joining, and for rejoining after a lost connection."""
_NOT_FOUND = "not_found"
_STATUS = "sip.callStatus"
_ANSWER_SECONDS = 8.0
"""Added to the ringing time of a dial: for joining the room and for the response."""
_ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""The limit of one response, uncompressed; a thousand rooms take less than one megabyte."""
_UNAUTHORIZED = 401
_PROTOBUF = "application/protobuf"
_CODES = frozenset(code for name, code in vars(api.ServerErrorCode).items() if name.isupper() and isinstance(code, str))
_UNKNOWN = "unknown"
"""A Twirp code; the package also uses it for an error whose body is not Twirp's."""
_UNAVAILABLE = frozenset({"unavailable", "internal", "unknown", "aborted", "dataloss"})


@dataclass(frozen=True, slots=True)
class RoomSeen:
    """An existing room."""

    name: str
    sid: str


class LiveKitClient(BaseResilientClient):
    """Create it in a running loop. Every request may raise ProviderError."""

    provider = "livekit"

    def __init__(
        self,
        *,
        url: str,
        api_key: str,
        api_secret: str,
        retry: RetryPolicy | None = None,
        observer: ProviderObserver | None = None,
        request_seconds: float = _REQUEST_SECONDS,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        """``request_seconds`` bounds one request; a dial or transfer has its ringing time plus ``answer_seconds``."""
        super().__init__(retry=retry, observer=observer, request_seconds=request_seconds)
        self._key, self._secret = api_key, api_secret
        self._answer_seconds = answer_seconds
        self._http = aiohttp.ClientSession(response_class=_TwirpResponse)
        self._livekit = api.LiveKitAPI(url, api_key, api_secret, session=self._http, failover=False)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close()

    def agent_token(self, room: str, call_id: str) -> str:
        """A token to join the room as the call's agent; if several join with it, LiveKit keeps the newest."""
        token = api.AccessToken(self._key, self._secret).with_identity(f"agent-{call_id}").with_kind("agent")
        grants = api.VideoGrants(room_join=True, room=room, agent=True)
        return token.with_grants(grants).with_ttl(_TOKEN_TTL).to_jwt()

    async def list_rooms(self) -> list[RoomSeen]:
        """All open rooms."""
        answer = await self.make_request(self._livekit.room.list_rooms, api.ListRoomsRequest())
        return [RoomSeen(room.name, room.sid) for room in answer.rooms]

    async def room_named(self, name: str) -> RoomSeen | None:
        """The open room of that name; its id tells it from an earlier one. None when there is none."""
        answer = await self.make_request(self._livekit.room.list_rooms, api.ListRoomsRequest(names=[name]))
        return next((RoomSeen(found.name, found.sid) for found in answer.rooms if found.name == name), None)

    async def is_open(self, room: RoomSeen) -> bool:
        """Whether this room, by its id, is open; a later room of the same name does not count."""
        return await self.room_named(room.name) == room

    async def create_room(self, name: str, *, empty_seconds: int) -> RoomSeen:
        """Get or create the room; it closes if it stays empty for ``empty_seconds``."""
        request = api.CreateRoomRequest(name=name, empty_timeout=empty_seconds)
        room = await self.make_request(self._livekit.room.create_room, request)
        return RoomSeen(room.name, room.sid)

    async def list_callers(self, room: RoomSeen) -> list[TelephoneCall]:
        """The callers in the room."""
        return [
            call
            for telephone in await self._telephones(room)
            if (call := telephone_call(room.name, room.sid, telephone.identity, telephone.attributes))
        ]

    async def count_telephones(self, room: RoomSeen) -> int:
        """How many telephones are in the room: callers', and those that the service has dialled."""
        return len(await self._telephones(room))

    async def dialled(self, room: RoomSeen, leg: str) -> list[str]:
        """The ``sip.callStatus`` of each telephone that the service has dialled into the room for that purpose."""
        telephones = await self._telephones(room)
        return [each.attributes.get(_STATUS, "") for each in telephones if each.attributes.get(OUR_LEG) == leg]

    async def has_agent(self, room: RoomSeen) -> bool:
        """Whether an agent is in the room, ours or another."""
        return any(each.kind == api.ParticipantInfo.Kind.AGENT for each in await self._participants(room))

    async def _telephones(self, room: RoomSeen) -> list[api.ParticipantInfo]:
        return [each for each in await self._participants(room) if each.kind == api.ParticipantInfo.Kind.SIP]

    async def _participants(self, room: RoomSeen) -> list[api.ParticipantInfo]:
        request = api.ListParticipantsRequest(room=room.name)
        return list((await self.make_request(self._livekit.room.list_participants, request)).participants)

    async def remove_participant(self, room: str, identity: str) -> bool:
        """Remove a participant, which hangs up a telephone; False when they were not there."""
        request = api.RoomParticipantIdentity(room=room, identity=identity)
        was_there: bool = await self.make_request(_unless_gone(self._livekit.room.remove_participant), request)
        return was_there

    async def delete_room(self, room: str) -> None:
        """Delete the room and end the calls in it; a missing room is not an error."""
        await self.make_request(_unless_gone(self._livekit.room.delete_room), api.DeleteRoomRequest(room=room))

    async def outbound_trunk(self, name: str) -> str | None:
        """The id of the outbound trunk with this name; None when there is none."""
        answer = await self.make_request(self._livekit.sip.list_outbound_trunk, api.ListSIPOutboundTrunkRequest())
        return next((trunk.sip_trunk_id for trunk in answer.items if trunk.name == name), None)

    async def dial(self, dial: Dial) -> str:
        """Dial a telephone, once; returns LiveKit's id of the SIP call when it is answered.

        Its participant is in the room while it rings, with a ``sip.callStatus`` other than ``active``. Raises
        DialFailed; ProviderError when the request failed, and then the telephone may or may not ring.
        """
        request = api.CreateSIPParticipantRequest(
            sip_trunk_id=dial.trunk_id,
            sip_call_to=dial.to,
            sip_number=dial.number or "",
            room_name=dial.room,
            participant_identity=dial.identity,
            participant_attributes={OUR_LEG: dial.leg},
            play_dialtone=dial.ringing_is_heard,
            wait_until_answered=True,
        )
        request.ringing_timeout.seconds = dial.ring_seconds
        request.max_call_duration.seconds = dial.max_seconds
        call = self._livekit.sip.create_sip_participant
        answer: api.SIPParticipantInfo = await self._ring(call, request, dial.ring_seconds)
        return answer.sip_call_id

    async def refer(self, room: str, identity: str, to: str, *, ring_seconds: int) -> None:
        """Transfer the caller to ``to``, a ``tel:`` or ``sip:`` address, by SIP REFER; tried once.

        Raises DialFailed when the transfer did not succeed, and ProviderError.
        """
        request = api.TransferSIPParticipantRequest(
            room_name=room, participant_identity=identity, transfer_to=to, play_dialtone=True
        )
        request.ringing_timeout.seconds = ring_seconds
        transfer = self._livekit.sip.transfer_sip_participant
        answer: api.TransferSIPParticipantResponse = await self._ring(transfer, request, ring_seconds)
        # livekit-server 1.13 answers a success with an empty message, and anything else with an error.
        if answer.ByteSize() and answer.status != api.SIPTransferStatus.STS_TRANSFER_SUCCESSFUL:
            raise _not_taken(answer)

    async def _ring(self, ask: Callable[..., Awaitable[Any]], request: Any, ring_seconds: int) -> Any:
        """Dial or transfer. LiveKit's answer about a telephone is not a failure of LiveKit, so the breaker ignores it.

        A body that is not Twirp's is a failure: a proxy has answered instead of LiveKit.
        """
        began = asyncio.get_running_loop().time()
        seconds = ring_seconds + self._answer_seconds
        async with self.attempt(getattr(ask, "__name__", "request")), asyncio.timeout(seconds):
            try:
                return await ask(request, timeout=seconds)
            except api.ServerError as error:
                if not _is_twirp(error):
                    raise
                code = error.code
                status = error.sip_status_code if isinstance(error, api.SipCallError) else None
        rang = asyncio.get_running_loop().time() - began
        reason = dial_failure(code, status, rang_seconds=rang, ring_seconds=ring_seconds)
        raise DialFailed(reason, f"livekit {code}" if status is None else f"sip {status}")

    def map_error(self, error: Exception) -> ProviderError | None:
        """Map an error; aiohttp's errors, which the package passes on, quote addresses, so their text is dropped."""
        if isinstance(error, api.ServerError):
            return _of_server(error)
        if isinstance(error, DecodeError):
            return ProviderProtocolError(self.provider, "an answer that is no protobuf")
        if isinstance(error, TimeoutError):
            return ProviderTimeout(self.provider, "no answer before the deadline")
        if isinstance(error, aiohttp.ClientPayloadError):
            return ProviderProtocolError(self.provider, "an answer that cannot be read")
        if isinstance(error, aiohttp.ClientError):
            return ProviderUnavailable(self.provider, f"cannot be reached: {type(error).__name__}")
        return super().map_error(error)


def _of_server(error: api.ServerError) -> ProviderError:
    if error.status == _UNAUTHORIZED:  # its body is plain text, which the package reports as an unknown error
        return ProviderRejected("livekit", "does not know the key, or the secret is wrong", status=error.status)
    if not _is_twirp(error):
        return ProviderProtocolError("livekit", f"status {error.status} without an error of Twirp")
    return _of_code(error)


def _of_code(error: api.ServerError) -> ProviderError:
    if error.code == "deadline_exceeded":
        return ProviderTimeout("livekit", "gave up waiting for its own services")
    if error.code == "resource_exhausted":
        return ProviderRateLimited("livekit", "too many requests")
    if error.code in _UNAVAILABLE:
        return ProviderUnavailable("livekit", error.code)
    if error.code in ("malformed", "bad_route"):
        return ProviderProtocolError("livekit", error.code)
    return ProviderRejected("livekit", error.code, status=error.status)


def _is_twirp(error: api.ServerError) -> bool:
    """Whether the error came from LiveKit: the body was JSON with a Twirp code."""
    return isinstance(error.code, str) and error.code in _CODES and (error.code != _UNKNOWN or bool(error.message))


class _TwirpResponse(aiohttp.ClientResponse):
    """Reads a bounded body, and refuses a proxy's page instead of parsing it as protobuf."""

    async def read(self) -> bytes:
        if self.status == HTTPStatus.OK and self.content_type != _PROTOBUF:
            self.close()
            raise aiohttp.ClientPayloadError("the answer is no protobuf")
        if self._body is None:
            gathered = bytearray()
            async for piece in self.content.iter_any():
                gathered += piece
                if len(gathered) > _ANSWER_BYTES_MAX:
                    self.close()
                    raise aiohttp.ClientPayloadError("the answer is too long")
            self._body = bytes(gathered)
        return await super().read()


def _not_taken(answer: api.TransferSIPParticipantResponse) -> DialFailed:
    if answer.reason == api.SIPTransferReason.STR_RINGING_TIMEOUT:
        return DialFailed("no_answer", "the transfer rang out")
    status = answer.sip_status.code or None
    reason = dial_failure("unknown", status, rang_seconds=0, ring_seconds=0)
    return DialFailed(reason, f"transfer {api.SIPTransferReason.Name(answer.reason).lower()}")


def _unless_gone(request: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[bool]]:
    """Wrap a request: False when LiveKit answers that the object does not exist."""

    async def asked(message: Any) -> bool:
        try:
            await request(message)
        except api.ServerError as error:
            if error.code != _NOT_FOUND:
                raise
            return False
        return True

    asked.__name__ = getattr(request, "__name__", "request")
    return asked
