"""Stands between a livekit-server and the service, and delivers its webhooks as a bad network does."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.running import serving


@dataclass(frozen=True, slots=True)
class Letter:
    """A webhook as the server signed it."""

    event: str
    room: str
    body: bytes
    headers: dict[str, str]


Deliver = Callable[["Postman", Letter], Awaitable[None]]
"""What is done with a webhook when it comes; what is not handed over stays with the postman."""


class Postman:
    """Keeps every webhook of the rooms with the prefix; the server always gets the answer that it has arrived."""

    def __init__(self, http: httpx.AsyncClient, room_prefix: str, deliver: Deliver) -> None:
        self.letters: list[Letter] = []
        self._http, self._prefix, self._deliver = http, room_prefix, deliver

    async def receive(self, request: Request) -> Response:
        """The door that the server knows."""
        body = await request.body()
        event = json.loads(body)
        room = event.get("room", {}).get("name", "")
        if room.startswith(self._prefix):
            headers = {name: request.headers[name] for name in ("authorization", "content-type")}
            letter = Letter(event["event"], room, body, headers)
            self.letters.append(letter)
            await self._deliver(self, letter)
        return Response()

    async def hand_over(self, letter: Letter) -> int:
        """The status with which the service answers."""
        return (await self._http.post("/webhooks/livekit", content=letter.body, headers=letter.headers)).status_code


@asynccontextmanager
async def postman(port: int, service_url: str, room_prefix: str, deliver: Deliver) -> AsyncIterator[Postman]:
    """On the port that the server sends its webhooks to."""
    async with httpx.AsyncClient(base_url=service_url, trust_env=False) as http:
        man = Postman(http, room_prefix, deliver)
        app = Starlette(routes=[Route("/webhooks/livekit", man.receive, methods=["POST"])])
        async with serving(app, port=port):
            yield man
