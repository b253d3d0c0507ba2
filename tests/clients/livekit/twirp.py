"""A server that answers as LiveKit's does, over Twirp, by a script, and keeps what it was asked; and a client of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from livekit import api
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.clients.livekit.api import LiveKitClient
from app.clients.resilient import RetryPolicy
from sandbox.running import serving

KEY, SECRET = "devkey", "a-secret-of-more-than-32-characters-for-tests"
_REQUESTS: dict[str, type[Any]] = {
    "CreateRoom": api.CreateRoomRequest,
    "DeleteRoom": api.DeleteRoomRequest,
    "ListRooms": api.ListRoomsRequest,
    "RemoveParticipant": api.RoomParticipantIdentity,
    "ListParticipants": api.ListParticipantsRequest,
    "ListSIPOutboundTrunk": api.ListSIPOutboundTrunkRequest,
    "CreateSIPParticipant": api.CreateSIPParticipantRequest,
    "TransferSIPParticipant": api.TransferSIPParticipantRequest,
}


@dataclass(frozen=True)
class Refuse:
    """An error of Twirp, https://twitchtv.github.io/twirp/docs/errors.html."""

    code: str
    status: int
    message: str = "it is so"
    meta: dict[str, str] = field(default_factory=dict)
    after_seconds: float = 0.0


def sip(status: int, code: str = "failed_precondition") -> Refuse:
    """The telephone network's refusal as LiveKit puts it."""
    return Refuse(code, 412, meta={"sip_status_code": str(status), "sip_status": "as the carrier pleases"})


@dataclass
class TwirpServer:
    """Gives one answer for each method, always: a message, a refusal, or what a function makes of the request."""

    answers: dict[str, Any]
    asked: list[tuple[str, Any]] = field(default_factory=list)
    """Methods and requests, in the order of their arrival."""
    url: str = ""

    def requests(self, method: str) -> list[Any]:
        """Those that came for one method."""
        return [request for asked, request in self.asked if asked == method]

    async def until(self, method: str, times: int = 1) -> None:
        """Return once the method was asked for so often."""
        async with asyncio.timeout(5):
            while len(self.requests(method)) < times:
                await asyncio.sleep(0.01)

    async def answer(self, request: Request) -> Response:
        method = request.path_params["method"]
        message = _REQUESTS[method]()
        message.ParseFromString(await request.body())
        self.asked.append((method, message))
        answer = self.answers[method]
        if callable(answer):
            answer = answer(message)
        if isinstance(answer, Refuse):
            await asyncio.sleep(answer.after_seconds)
            body = {"code": answer.code, "msg": answer.message, "meta": answer.meta}
            return JSONResponse(body, answer.status)
        return Response(answer.SerializeToString(), media_type="application/protobuf")


@asynccontextmanager
async def running(**answers: Any) -> AsyncIterator[TwirpServer]:
    """Serve these answers, by method."""
    server = TwirpServer(answers)
    routes = [Route("/twirp/{service}/{method}", server.answer, methods=["POST"])]
    async with serving(Starlette(routes=routes)) as server.url:
        yield server


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[LiveKitClient]:
    """A client that does not try again."""
    client = LiveKitClient(url=url, api_key=KEY, api_secret=SECRET, retry=RetryPolicy(attempts=1))
    try:
        yield client
    finally:
        await client.aclose()
