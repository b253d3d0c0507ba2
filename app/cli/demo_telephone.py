"""The demo's telephone call: through a room of a LiveKit server, with its journal read over HTTP."""

import asyncio
import json
from collections.abc import Callable

import httpx

from sandbox.caller.caller import Caller, Speak
from sandbox.caller.events import CallerEvent, Connected, Journaled, Ready
from sandbox.caller.report import CallReport
from sandbox.caller.score import Score
from sandbox.carrier.carrier import TELEPHONE, Carrier
from sandbox.carrier.livekit_server import LiveKitKey

NUMBER, CALLED_NUMBER = "+79990000001", "+74950000000"

Show = Callable[[CallerEvent], None]


async def call_by_telephone(
    http: httpx.AsyncClient,
    service_url: str,
    sandbox_url: str,
    livekit_url: str,
    key: LiveKitKey,
    score: Score,
    speak: Speak,
    show: Show,
) -> CallReport:
    """Dial, play the score, and show the rows of the journal meanwhile. Raises CallFailed."""
    follower = _JournalFollower(http, service_url, show)
    carrier = Carrier(livekit_url, key.key, key.secret, CALLED_NUMBER)
    try:
        async with Caller(
            service_url, speak, sandbox_url=sandbox_url, telephone=TELEPHONE, on_event=follower.show
        ) as caller:
            return await caller.call_through(score, lambda: carrier.dial(NUMBER))
    finally:
        await follower.stop()


class _JournalFollower:
    """Task ``demo.journal`` reads the call's rows as they are written. It ends with the call, or in ``stop``."""

    def __init__(self, http: httpx.AsyncClient, service_url: str, show: Show) -> None:
        self._http, self._url, self._show = http, service_url, show
        self._call_id = ""
        self._ready_at = 0.0
        self._following: asyncio.Task[None] | None = None

    def show(self, event: CallerEvent) -> None:
        """Pass the event on. When the call is ready, start to follow its journal."""
        self._show(event)
        match event:
            case Connected(call_id):
                self._call_id = call_id
            case Ready(monotonic):
                self._ready_at = monotonic
                self._following = asyncio.get_running_loop().create_task(self._follow(), name="demo.journal")
            case _:
                pass

    async def stop(self) -> None:
        """Stop following, and wait for the task."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])

    async def _follow(self) -> None:
        path, headers = f"{self._url}/calls/{self._call_id}/events", {"Accept": "text/event-stream"}
        loop = asyncio.get_running_loop()
        async with self._http.stream("GET", path, headers=headers, timeout=None) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    self._show(Journaled(loop.time() - self._ready_at, json.loads(line.removeprefix("data:"))))
