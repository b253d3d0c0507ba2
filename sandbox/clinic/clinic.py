"""The clinic's HTTP endpoints: free times, visits, and the receiver of webhooks.

::

    GET  /free-times?day=2026-12-04  -> {"day": "2026-12-04", "free": ["10:30", "14:00"]}
    POST /visits {"day", "time", ...} -> 201 {"booked": true}
    POST /calls                       -> 204; 400 when the signature is wrong (https://www.standardwebhooks.com)
"""

import asyncio
import base64
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TIMEZONE = "Europe/Moscow"
"""The time zone of the clinic's agent."""
FREE_TIMES = ("10:30", "14:00")
_PUBLIC = "https://schedule.example.org"
"""The clinic's address in the agent's file."""
_KEPT = 100
_SECRET_BYTES = 32

Answer = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    """A webhook whose signature was verified."""

    id: str
    """The header ``webhook-id``."""
    message: dict[str, Any]


class Clinic:
    """What the clinic was asked and told. Keeps the first hundred visits and webhooks."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(16)
        """Bearer token for the schedule."""
        self.webhook_secret = f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
        self.visits: list[dict[str, Any]] = []
        """The bodies of the requests that booked a visit."""
        self.webhooks: list[ReceivedWebhook] = []
        self._arrived = asyncio.Condition()
        self.app = Starlette(
            routes=[
                Route("/free-times", self._for_agents(self._free_times)),
                Route("/visits", self._for_agents(self._book), methods=["POST"]),
                Route("/calls", self._receive, methods=["POST"]),
            ]
        )
        """Serves the endpoints."""

    @staticmethod
    def agent(url: str) -> str:
        """The file of the clinic's agent, with the clinic at that address."""
        return files("sandbox.clinic").joinpath("agent.yaml").read_text(encoding="utf-8").replace(_PUBLIC, url)

    def environment(self) -> dict[str, str]:
        """The environment variables that the agent's file names."""
        return {"SCHEDULE_TOKEN": self.token, "SCHEDULE_WEBHOOK_SECRET": self.webhook_secret}

    async def webhook(self, event: str, call_id: str) -> ReceivedWebhook:
        """Wait for the webhook with that event of that call."""
        while True:
            async with self._arrived:
                for webhook in self.webhooks:
                    if (webhook.message.get("type"), webhook.message["data"].get("call_id")) == (event, call_id):
                        return webhook
                await self._arrived.wait()

    def _for_agents(self, answer: Answer) -> Answer:
        async def checked(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not secrets.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
                return JSONResponse({"error": "the token is wrong"}, 401)
            return await answer(request)

        return checked

    async def _free_times(self, request: Request) -> Response:
        return JSONResponse({"day": request.query_params.get("day"), "free": FREE_TIMES})

    async def _book(self, request: Request) -> Response:
        try:
            visit = json.loads(await request.body())
        except ValueError:
            visit = None
        if not isinstance(visit, dict) or visit.get("time") not in FREE_TIMES:
            return JSONResponse({"booked": False, "error": "this time is not free"}, 409)
        if len(self.visits) < _KEPT:
            self.visits.append(visit)
        return JSONResponse({"booked": True}, 201)

    async def _receive(self, request: Request) -> Response:
        body = await request.body()
        try:
            message = Webhook(self.webhook_secret).verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError):
            return JSONResponse({"error": "the signature is wrong"}, 400)
        async with self._arrived:
            if len(self.webhooks) < _KEPT:
                self.webhooks.append(ReceivedWebhook(request.headers["webhook-id"], message))
            self._arrived.notify_all()
        return Response(status_code=204)
