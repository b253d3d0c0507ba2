"""Health as machines ask for it: may calls come, and what is wrong."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
from structlog.testing import capture_logs

from app.storage.schema import REVISION
from app.wiring import VERSION
from sandbox.caller.score import says, waits, waits_for_agent
from sandbox.vendors.faults import Fault
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
        assert set(parts) == {"service", "storage", "recordings", "deepgram", "openai", "cartesia"}
        assert {part["status"] for part in parts.values()} == {"ok"}
        assert parts["openai"]["latency"] > 0
        assert parts["storage"]["latency"] > 0
        assert parts["storage"]["last_success"] is not None
        assert parts["openai"]["breaker"] == "closed"
        assert (health["limits"]["calls"], health["webhooks"]["waiting"]) == (service.settings.places, 0)
        limits = {each["limit"]: each for each in health["limits"]["vendors"]}
        assert (limits["cartesia"]["provider"], limits["cartesia"]["in_use"]) == ("cartesia", 0)
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


# --- what the health says of itself -----------------------------------------------------------------------------------


async def test_the_health_says_how_old_it_is_and_a_monitor_that_is_stuck_is_not_ready(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.async_client() as http:
        assert 0 <= (await http.get("/health")).json()["age_seconds"] < 5
        [loop] = [loop for loop in service.services.loops if loop.name == "health"]
        await loop.stop()
        service.services.health._checked_at -= 6
        ready, health = await http.get("/health/ready"), (await http.get("/health")).json()
        assert (ready.status_code, ready.json()["status"]) == (503, "stale")
        assert (health["status"], health["age_seconds"] >= 6) == ("stale", True)
        assert (await http.get("/health/live")).status_code == 200


async def test_a_service_without_what_calls_need_is_neither_ready_nor_alive(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.async_client() as http:
        service.services.loops.gone.set()
        for path in ("/health/ready", "/health/live"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["status"]) == (503, "failed")
        assert (await http.get("/health")).json()["status"] == "failed"


async def test_a_data_folder_that_is_gone_fails_the_storage_and_takes_no_calls_until_it_is_back(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    with capture_logs() as lines:
        async with running_service(data, greeting=GREETING) as service, service.async_client() as http:
            talk = score(waits_for_agent(QUIET), says("Когда?"), waits_for_agent(QUIET), waits(4))
            lives = asyncio.get_running_loop().create_task(hold(service, talk), name="call")
            while not service.services.dispatcher.live_calls:
                await asyncio.sleep(0.01)
            data.rename(elsewhere)
            await until_ready_is(http, 503)
            refused = await http.post("/media/sessions")
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_failed")
            storage = (await components(http))["storage"]
            assert (storage["status"], "gone from DATA_DIR" in storage["detail"]) == ("failed", True)
            await asyncio.sleep(1.5)
            elsewhere.rename(data)
            await until_ready_is(http, 200)
            kept = await lives
            assert (kept.record["fault"], len(kept.said("assistant"))) == ("none", 2)
            assert [row["seq"] for row in kept.journal] == list(range(1, len(kept.journal) + 1))
            call = await hold(service, score(waits_for_agent(QUIET)))
            assert call.record["fault"] == "none"
    logged = [line["event"] for line in lines if line["event"].startswith("storage.")]
    assert logged == ["storage.failed", "storage.recovered"]


async def until_ready_is(http: httpx.AsyncClient, status: int) -> None:
    async with asyncio.timeout(10):
        while (await http.get("/health/ready")).status_code != status:
            await asyncio.sleep(0.02)


# --- strangers --------------------------------------------------------------------------------------------------------

AGENT = """
prompt: Help.
tools:
  - name: find_free_times
    description: Free times.
    method: GET
    url: https://example.org/times
"""


async def test_in_production_clients_without_a_key_see_states_but_no_names_of_tools(tmp_path: Path) -> None:
    agent_file = tmp_path / "agent.yaml"
    agent_file.write_text(AGENT)
    settings: dict[str, Any] = {"environment": "production", "agent_prompt_file": agent_file}
    async with running_service(tmp_path / "data", **settings) as service:
        async with service.async_client(api_key=None) as http:
            health = (await http.get("/health")).json()
            wrong = await http.get("/health", headers={"Authorization": "Bearer wrong"})
            proxied = await http.get("/health", headers={"Authorization": "Basic b3BzOm9wcw=="})
        assert "find_free_times" not in json.dumps(health)
        assert (health["limits"], health["webhooks"], health["spending"]) == (None, None, None)
        states = {part["name"]: part["status"] for part in health["components"]}
        assert states == dict.fromkeys(
            ("service", "storage", "recordings", "deepgram", "openai", "cartesia", "tools"), "ok"
        )
        assert all(part.keys() == {"name", "status"} for part in health["components"])
        assert (wrong.status_code, proxied.json()["components"]) == (401, health["components"])
        async with service.async_client() as http:
            assert "tool:find_free_times" in await components(http)
