"""The service calls itself: the call is held like any other, and is in nothing that tells of callers."""

import asyncio
import re
from pathlib import Path

from tests.end_to_end.service import RunningService, running_service
from tests.end_to_end.test_prometheus import free_port


async def figure(service: RunningService, name: str) -> float:
    async with service.async_client() as http:
        found = re.search(rf"^{re.escape(name)} (.+)$", (await http.get("/metrics")).text, re.M)
    return float(found[1]) if found else 0.0


async def test_the_service_calls_itself_and_no_figure_of_callers_shows_it(tmp_path: Path) -> None:
    async with (
        running_service(tmp_path, port=free_port(), synthetic_call_minutes=60.0, webhook_url="https://example.org/hook",
                        webhook_secret="whsec_" + "A" * 32) as service,
        service.async_client() as http,
        asyncio.timeout(60),
    ):  # fmt: skip
        while not await figure(service, 'voice_synthetic_calls_total{result="ok"}'):
            assert await figure(service, "voice_synthetic_call_failing") == 0
            await asyncio.sleep(0.2)
        while (await http.get("/calls", params={"synthetic": "true", "status": "ended"})).json()["calls"] == []:
            await asyncio.sleep(0.05)
        [call] = (await http.get("/calls", params={"synthetic": "true"})).json()["calls"]
        record = (await http.get(f"/calls/{call['call_id']}")).json()
        listed = (await http.get("/calls")).json()["calls"]
        total = (await http.get("/stats")).json()["total"]
        deliveries = (await http.get("/webhooks/deliveries")).json()["deliveries"]
        metrics = (await http.get("/metrics")).text

    assert [turn["role"] for turn in record["turns"]][:3] == ["assistant", "user", "assistant"]
    assert (call["end_reason"], call["fault"], call["analysis"]) == ("caller_hangup", "none", None)
    assert (listed, total["calls"], deliveries) == ([], 0, [])
    assert not re.search(r"^voice_calls_total\{.*caller_hangup.*\} [1-9]", metrics, re.M)
    assert re.search(r"^voice_dead_air_seconds_count 0\.0$", metrics, re.M)
