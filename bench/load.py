"""Many calls at once from one process with one pacer, and how late their frames were."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

import httpx
import numpy as np
from websockets.asyncio.client import connect

from bench.load_call import FRAME_SECONDS, SAMPLE_RATE, LoadCall
from bench.pinned import AUTHORIZED
from sandbox.caller.media_format import MediaFormat
from sandbox.caller.microphone import Sound, SoundMaker
from sandbox.vendors.voice import synthesize

QUESTION = "Скажите, пожалуйста, когда вы открыты в субботу?"
ANSWER = (
    "В субботу мы открыты с десяти утра до трёх часов дня. Если вам удобнее вечером, приходите в пятницу: "
    "тогда мы работаем до восьми часов."
)
_TURNS_SCRIPTED = 60
_PATIENCE = 60.0
_SLOTS = 20
"""The frames of the calls are spread over the 20 ms, as those of independent callers are."""


class Load:
    """The calls, and the lateness of their frames."""

    def __init__(self, service_url: str, sandbox_url: str) -> None:
        self._service_url = service_url
        self._sandbox_url = sandbox_url
        self._question = _question()
        self.calls: list[LoadCall] = []
        self.late: list[float] = []
        """How late each round of frames was, in seconds."""

    @asynccontextmanager
    async def running(self, count: int, *, seconds_between: float = 0.05) -> AsyncIterator["Load"]:
        """Hold calls that talk until the context exits."""
        async with (
            httpx.AsyncClient(trust_env=False, timeout=30, headers=AUTHORIZED) as http,
            asyncio.TaskGroup() as tasks,
        ):
            pacer = tasks.create_task(self._pace(), name="pacer")
            talking = []
            for number in range(count):
                ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                talking.append(tasks.create_task(self._call(http, ready), name=f"call:{number}"))
                await ready
                await asyncio.sleep(seconds_between)
            yield self
            for task in (*talking, pacer):
                task.cancel()

    async def timings(self, call: LoadCall) -> list[dict[str, Any]]:
        """What the stand-ins sent in a call, and at what times."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            answer = await http.get(f"{self._sandbox_url}/control/calls/{call.call_id}")
        timings: list[dict[str, Any]] = answer.json()["timings"]
        return timings

    async def record(self, call: LoadCall) -> dict[str, Any]:
        """The service's record of a call."""
        async with httpx.AsyncClient(trust_env=False, timeout=30, headers=AUTHORIZED) as http:
            record: dict[str, Any] = (await http.get(f"{self._service_url}/calls/{call.call_id}")).json()
        return record

    async def _call(self, http: httpx.AsyncClient, ready: "asyncio.Future[None]") -> None:
        session = (await http.post(f"{self._service_url}/media/sessions", json={})).raise_for_status().json()
        await self._script(http, session["call_id"])
        async with connect(
            session["url"], compression=None, proxy=None, ping_interval=None, open_timeout=_PATIENCE
        ) as socket:
            call = LoadCall(session["call_id"], socket, self._question.frames)
            await call.begin()
            self.calls.append(call)
            ready.set_result(None)
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(call.listen(), name=f"{call.call_id}:listens")
                try:
                    await call.talk()
                finally:
                    listening.cancel()

    async def _script(self, http: httpx.AsyncClient, call_id: str) -> None:
        control = f"{self._sandbox_url}/control/calls/{call_id}"
        said = {"text": QUESTION, "duration": self._question.seconds}
        (await http.post(f"{control}/utterances", json=[said] * _TURNS_SCRIPTED)).raise_for_status()
        (await http.post(f"{control}/replies", json=[{"text": ANSWER}] * _TURNS_SCRIPTED)).raise_for_status()

    async def _pace(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        for slot in cycle(range(_SLOTS)):
            due += FRAME_SECONDS / _SLOTS
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.late.append(max(0.0, loop.time() - due))
            for call in self.calls[slot::_SLOTS]:
                await call.send_next()


def _question() -> Sound:
    """The sound as a telephone sends it."""
    pcm = synthesize(QUESTION, "ru", SAMPLE_RATE).pcm
    return SoundMaker(MediaFormat("mulaw", SAMPLE_RATE), None).sound(np.frombuffer(pcm, dtype="<i2").astype(np.int16))
