"""Health as machines ask for it: may calls come, and what is wrong."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from app.storage.schema import REVISION
from app.wiring import VERSION
from sandbox.faults import Fault
from sandbox.score import says, waits_for_agent
from tests.end_to_end.calls import GREETING, QUIET, hold, score
from tests.end_to_end.service import RunningService, running_service


async def components(http: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    return {part["name"]: part for part in (await http.get("/health")).json()["components"]}


async def until_vendors_were_asked(service: RunningService, http: httpx.AsyncClient) -> None:
    """Connections are warmed up after the start."""
    async with asyncio.timeout(5):
        while True:
            parts = await components(http)
            if parts["openai"]["last_success"] and parts["cartesia"]["last_success"]:
                return
            await asyncio.sleep(0.02)


async def test_a_service_that_is_well_says_so_with_every_component_and_its_version(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.async_client() as http:
        await until_vendors_were_asked(service, http)
        health = (await http.get("/health")).json()
        assert (health["status"], health["version"], health["schema"]) == ("ok", VERSION, REVISION)
        assert (health["live_calls"], health["workers"]) == (0, 1)
        parts = await components(http)
        assert set(parts) == {"service", "storage", "deepgram", "openai", "cartesia"}
        assert {part["status"] for part in parts.values()} == {"ok"}
        assert parts["openai"]["latency"] > 0
        assert parts["storage"]["latency"] > 0
        assert parts["storage"]["last_success"] is not None
        assert parts["openai"]["breaker"] == "closed"
        ready = await http.get("/health/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "ok", "live_calls": 0})


async def test_a_failing_vendor_degrades_but_calls_may_come(tmp_path: Path) -> None:
    async with running_service(tmp_path, greeting=GREETING) as service, service.async_client() as http:
        await until_vendors_were_asked(service, http)
        service.sandbox.stage.faults.add(Fault("openai", "refuse", times=None))
        call = await hold(service, score(waits_for_agent(QUIET), says("Когда?"), waits_for_agent(QUIET)))
        assert call.record["fault"] == "provider:openai"
        async with asyncio.timeout(4):
            while (health := await http.get("/health")).json()["status"] == "ok":
                await asyncio.sleep(0.02)
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        openai = (await components(http))["openai"]
        assert openai["status"] in ("degraded", "failed")
        assert openai["last_success"] is not None
        ready = await http.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")


async def test_without_its_storage_a_service_takes_no_calls_but_lives(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.async_client() as http:
        await service.services.calls._database.close()
        async with asyncio.timeout(4):
            while (ready := await http.get("/health/ready")).is_success:
                await asyncio.sleep(0.02)
        assert (ready.status_code, ready.json()["status"]) == (503, "failed")
        health = await http.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "failed")
        assert (await components(http))["storage"]["status"] == "failed"
        assert (await http.get("/health/live")).status_code == 200
        refused = await http.post("/media/sessions")
        assert (refused.status_code, refused.json()["code"]) == (503, "storage_failed")
        assert refused.headers["retry-after"] == "5"
        assert (await http.get("/calls")).json()["code"] == "storage_failed"


async def test_a_service_of_which_nothing_was_seen_yet_is_starting(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.async_client() as http:
        service.services.health.latest = None
        ready, health = await asyncio.gather(http.get("/health/ready"), http.get("/health"))
        assert (ready.status_code, ready.json()["status"]) == (503, "starting")
        assert (health.status_code, health.json()["status"], health.json()["components"]) == (200, "starting", [])


async def test_asking_for_the_health_asks_no_vendor_and_writes_nothing(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.async_client() as http:
        await until_vendors_were_asked(service, http)
        database = service.services.calls._database
        [leases] = [loop for loop in service.services.loops if loop.name == "leases"]
        await leases.stop()  # it writes by itself, twice a second
        asked, written = len(service.sandbox.stage.requests), database.transactions
        for _ in range(20):
            for path in ("/health", "/health/ready", "/health/live"):
                assert (await http.get(path)).status_code == 200
        assert (len(service.sandbox.stage.requests), database.transactions) == (asked, written)
