"""An operator has a simulated caller call the running service."""

import asyncio
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx

from tests.end_to_end.service import RunningService, in_thread, running_service

DONE_SECONDS = 150
PATIENCE = httpx.Timeout(60)


def own_time_service(data_dir: Path, **more: Any) -> AbstractContextManager[RunningService]:
    """A service with the machine's clock: that of the tests may stand while the caller's process goes on."""
    options = {"providers": "sandbox", "language": "en", **more}
    return in_thread("service", lambda: running_service(data_dir, **options), asyncio.SelectorEventLoop)


async def call_until(http: httpx.AsyncClient, call_id: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(DONE_SECONDS):
        while True:
            call: dict[str, Any] = (await http.get(f"/calls/{call_id}")).json()
            if call["status"] == status:
                return call
            await asyncio.sleep(0.05)


async def hang_up_all(service: RunningService, http: httpx.AsyncClient) -> None:
    for call in (await http.get("/calls/live")).json()["calls"]:
        await http.post(f"/calls/{call['call_id']}/hangup")
        await call_until(http, call["call_id"], "ended")


async def test_a_simulated_caller_is_heard_and_answered_and_in_no_figures(tmp_path: Path) -> None:
    with own_time_service(tmp_path) as service:
        async with service.async_client() as http:
            http.timeout = PATIENCE
            choice = (await http.get("/calls/simulated")).json()
            assert {"demo-en", "booking-ru"} <= {score["name"] for score in choice["scores"]}
            placed = await http.post("/calls/simulated", json={"score": "demo-en"})
            assert placed.status_code == 201, placed.text
            call_id = placed.json()["call_id"]
            [live] = (await http.get("/calls/live")).json()["calls"]
            assert (live["call_id"], live["synthetic"], live["caller_number"]) == (call_id, True, "simulated")
            async with asyncio.timeout(DONE_SECONDS):
                while not [
                    turn for turn in (await http.get(f"/calls/{call_id}")).json()["turns"] if turn["role"] == "user"
                ]:
                    await asyncio.sleep(0.1)
            await hang_up_all(service, http)
            call = await call_until(http, call_id, "ended")
            listed = [(await http.get("/calls", params=asked)).json()["calls"] for asked in ({}, {"synthetic": "true"})]
            total = (await http.get("/stats")).json()["total"]

    said = [turn["text"] for turn in call["turns"] if turn["role"] == "user"]
    assert said[0] == "Hello! Could you tell me how late you are open today?"
    assert (call["synthetic"], call["metadata"]["score"]) == (True, "demo-en")
    assert ([each["call_id"] for each in listed[0]], [each["call_id"] for each in listed[1]]) == ([], [call_id])
    assert total["calls"] == 0


async def test_what_cannot_be_called_is_refused_and_no_more_than_the_limit_at_once(tmp_path: Path) -> None:
    with own_time_service(tmp_path) as service:
        async with service.async_client() as http:
            http.timeout = PATIENCE

            async def place(**wanted: Any) -> tuple[int, str]:
                answer = await http.post("/calls/simulated", json={"score": "demo-en", **wanted}, timeout=30)
                return answer.status_code, answer.json().get("code", "")

            async with service.async_client(api_key=None) as stranger:
                assert (await stranger.post("/calls/simulated", json={"score": "demo-en"})).status_code == 401
            assert await place(score="singing") == (422, "invalid_request")
            assert await place(agent="nobody") == (422, "invalid_request")
            limit = service.services.simulated.limit
            placed = await asyncio.gather(*(place() for _ in range(limit + 1)))
            assert sorted(placed) == [(201, "")] * limit + [(429, "simulated_call_limit")]
            await hang_up_all(service, http)
            async with asyncio.timeout(DONE_SECONDS):
                while (await place())[0] != 201:
                    await asyncio.sleep(0.1)
            await hang_up_all(service, http)
