"""Outbound calls that nobody places end all the same, in a service that has no telephone at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.calls.dispatch.unplaced import PLACED_WITHIN_SECONDS
from app.clock import iso_utc, lease_now, utc_now
from app.main import create_app
from app.settings import Settings
from tests.storage.stores import a_call

WRONG_BY = {True: 3600, False: -3600}
"""Seconds: as a wall clock that counts would have late calls go on, and calls in time end."""


@asynccontextmanager
async def service(folder: Path, **settings: Any) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    """One without LiveKit, and a client of it."""
    nowhere = {f"{name}_base_url": "http://127.0.0.1:9" for name in ("deepgram", "openai", "cartesia")}
    values = {"providers": "sandbox", "environment": "development", "data_dir": folder, **nowhere, **settings}
    app = create_app(Settings(_env_file=None, **values))  # type: ignore[call-arg]  # its stub does not say so
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield app.state.services, http


async def placed(services: Any, call_id: str, seconds_ago: float, **columns: Any) -> None:
    """By the wall clock an hour ago, or to come: it may have stepped since."""
    at = iso_utc(utc_now() + timedelta(seconds=WRONG_BY[seconds_ago > PLACED_WITHIN_SECONDS]))
    until = lease_now() + PLACED_WITHIN_SECONDS - seconds_ago
    row = {
        "kind": "room",
        "direction": "outbound",
        "status": "ringing",
        "owner": None,
        "fence": 0,
        "lease_until": until,
    }
    await services.calls.create(a_call(call_id, created_at=at, started_at=at, **(row | columns)))


async def ended(http: httpx.AsyncClient, call_id: str) -> dict[str, Any]:
    while True:
        call: dict[str, Any] = (await http.get(f"/calls/{call_id}")).json()
        if call["status"] == "ended":
            return call
        await asyncio.sleep(0.02)


async def test_a_call_that_no_process_placed_in_time_ends_frees_its_place_and_can_be_erased(tmp_path: Path) -> None:
    async with service(tmp_path, max_concurrent_calls=1) as (services, http):
        await placed(services, "call-1", PLACED_WITHIN_SECONDS + 1)
        assert (await http.post("/media/sessions", json={})).status_code == 201
        call = await ended(http, "call-1")
        events = (await http.get("/calls/call-1/events")).json()["events"]
        assert await services.calls.count_live() == 0
        assert (await http.delete("/calls/call-1")).status_code == 204

    assert (call["end_reason"], call["fault"]) == ("shutdown", "ours")
    assert call["end_detail"] == "never dialled: no process placed it within 60 s"
    assert [event["type"] for event in events] == ["call.ended"]


async def test_one_that_waits_may_still_be_placed(tmp_path: Path) -> None:
    async with service(tmp_path) as (services, http):
        await placed(services, "late", PLACED_WITHIN_SECONDS + 1)
        await placed(services, "early", PLACED_WITHIN_SECONDS - 30)
        await ended(http, "late")
        assert (await http.get("/calls/early")).json()["status"] == "ringing"


async def test_one_that_waits_can_be_hung_up(tmp_path: Path) -> None:
    async with service(tmp_path) as (services, http):
        await placed(services, "call-1", 0)
        assert (await http.post("/calls/call-1/hangup")).status_code == 202
        call = await ended(http, "call-1")
        assert (await http.post("/calls/call-1/hangup")).status_code == 409

    assert (call["end_reason"], call["fault"]) == ("operator_hangup", "none")
    assert call["end_detail"] == "never dialled: hung up before any process placed it"


@pytest.mark.parametrize("what", ["say", "transfer"])
async def test_what_else_is_asked_of_it_does_not_end_it(tmp_path: Path, what: str) -> None:
    async with service(tmp_path, transfer_targets={"sales": "+79990000009"}) as (services, http):
        await placed(services, "call-1", 0)
        await placed(services, "late", PLACED_WITHIN_SECONDS + 1)
        await http.post(f"/calls/call-1/{what}", json={"text": "Hello.", "to": "sales"})
        await ended(http, "late")
        assert (await http.get("/calls/call-1")).json()["status"] == "ringing"


async def test_one_whose_process_died_before_it_dialled_ends_as_crashed(tmp_path: Path) -> None:
    async with service(tmp_path) as (services, http):
        await placed(services, "call-1", 0, owner="a-process-that-died", fence=1, lease_until=0.0)
        call = await ended(http, "call-1")

    assert (call["end_reason"], call["fault"]) == ("crashed", "ours")
