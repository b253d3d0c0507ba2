"""Somebody listens in on a live call: both sides, as they are recorded, and less than a second late."""

import asyncio
import io
import json
import wave
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from fastapi import WebSocket
from pydantic import SecretStr
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from routers import session_cookie
from sandbox.caller.score import says, waits_for_agent
from tests.end_to_end.calls import QUIET, Held, hold, score
from tests.end_to_end.service import API_KEY, RunningService, running_service
from tests.routers.kept_calls import keep_call

TALK = score(
    waits_for_agent(QUIET), says("Когда вы открыты?"), waits_for_agent(QUIET), replies=({"text": "С девяти."},)
)
KEY = {"Authorization": f"Bearer {API_KEY}"}


class Ear:
    """What a listener is sent, and when."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.sound = b""
        self.begins: list[tuple[float, float]] = []
        """Of each piece: when it came, and how many seconds after the answer its sound begins."""
        self.code = 0

    async def hear(self, url: str) -> None:
        async with connect(url, additional_headers=KEY, proxy=None, max_size=None) as socket:
            try:
                while True:
                    self._take(await socket.recv())
            except ConnectionClosed as closed:
                self.code = closed.rcvd.code if closed.rcvd else 0

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.messages.append(json.loads(message))
            return
        start = self.messages[0]
        skipped = sum(each.get("seconds", 0) for each in self.messages)
        heard = len(self.sound) / 4 / start["sample_rate"]
        self.begins.append((asyncio.get_running_loop().time(), start["at_seconds"] + skipped + heard))
        self.sound += message


def url_of(service: RunningService, call_id: str) -> str:
    return f"{service.url.replace('http:', 'ws:')}/calls/{call_id}/listen"


async def live_call(service: RunningService) -> str:
    async with service.async_client() as http, asyncio.timeout(20):
        while not (calls := (await http.get("/calls/live")).json()["calls"]):
            await asyncio.sleep(0.02)
        return str(calls[0]["call_id"])


async def recording_of(service: RunningService, held: Held) -> np.ndarray:
    async with service.async_client() as http:
        content = (await http.get(f"/calls/{held.call_id}/recording")).content
    with wave.open(io.BytesIO(content)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)


async def test_both_sides_are_heard_within_a_second(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        ear = Ear()
        async with asyncio.TaskGroup() as tasks:
            holding = tasks.create_task(hold(service, TALK))
            await ear.hear(url_of(service, await live_call(service)))
        held = holding.result()
        recorded = await recording_of(service, held)
    start, *skipped, end = ear.messages
    assert (start["channels"], start["encoding"]) == (2, "pcm_s16le")
    assert (skipped, end, ear.code) == ([], {"type": "end"}, 1000)
    heard, first = np.frombuffer(ear.sound, "<i2").reshape(-1, 2), round(start["at_seconds"] * start["sample_rate"])
    both = min(len(heard), len(recorded) - first)  # the recording ends with the call, its sound with a frame
    assert len(heard) - both < start["sample_rate"] / 50
    assert np.array_equal(heard[:both], recorded[first : first + both])
    assert heard[:, 0].any()
    assert heard[:, 1].any()
    # The last piece has all that was left. The bound for each sample: tests/media/test_live_sound_delay.py
    assert median(came - held.report.ready_at - since for came, since in ear.begins[:-1]) < 0.9


async def test_who_may_listen(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        live = {"status": "active", "answered_at": "2026-11-22T10:00:01.000Z"}
        keep_call(tmp_path, "call_live", **live, recording=1)
        keep_call(tmp_path, "call_unrecorded", **live, recording=0)
        keep_call(tmp_path, "call_over")
        cookie = session_cookie.signer(SecretStr(API_KEY)).sign("operator").decode()
        page = {"Cookie": f"{session_cookie.NAME}={cookie}", "Origin": service.url}
        foreign = {**page, "Origin": "https://elsewhere.example"}
        assert await refusal_of(service, "call_live", {}) == (401, "unauthorized")
        assert await refusal_of(service, "call_live", {"Authorization": "Bearer wrong"}) == (401, "unauthorized")
        assert await refusal_of(service, "call_live", foreign) == (403, "forbidden")
        assert await refusal_of(service, "call_none") == (404, "call_not_found")
        assert await refusal_of(service, "call_over") == (409, "call_ended")
        assert await refusal_of(service, "call_unrecorded") == (409, "not_recorded")
        service.app.state.listeners.limit = 1
        async with connect(url_of(service, "call_live"), additional_headers=page, proxy=None):
            assert await refusal_of(service, "call_live") == (503, "too_many_listeners")
        async with asyncio.timeout(5):
            while service.app.state.listeners.listening:
                await asyncio.sleep(0.01)


async def refusal_of(service: RunningService, call_id: str, headers: dict[str, str] = KEY) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url_of(service, call_id), additional_headers=headers, proxy=None):
            pass
    return refused.value.response.status_code, json.loads(refused.value.response.body or b"")["code"]


async def test_a_listener_who_takes_nothing_is_dropped_and_the_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, send = asyncio.Event(), WebSocket.send_bytes

    async def never(socket: WebSocket, data: bytes) -> None:
        if socket.url.path.endswith("/listen"):
            stuck.set()
            await asyncio.Event().wait()
        await send(socket, data)

    monkeypatch.setattr(WebSocket, "send_bytes", never)
    async with running_service(tmp_path) as service:
        service.app.state.listeners.send_seconds = 0.3
        ear = Ear()
        async with asyncio.TaskGroup() as tasks:
            holding = tasks.create_task(hold(service, TALK))
            await ear.hear(url_of(service, await live_call(service)))
        assert stuck.is_set()
        assert ear.code == 1001
        held = holding.result()
    assert held.said("assistant")[-1] == "С девяти."
