"""Operators' orders to the whole service, as real processes: drained, it ends when the last call has."""

import asyncio
from pathlib import Path

import pytest

from tests.end_to_end.phones import exchange
from tests.end_to_end.processes import sandbox_process, serving


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_drained_service_lets_its_calls_go_on_takes_no_other_and_ends(tmp_path: Path, workers: str) -> None:
    async with (
        asyncio.timeout(150),
        sandbox_process() as sandbox,
        exchange(tmp_path, sandbox, WORKERS=workers) as here,
    ):
        phone = await here.ring()
        async with here.service.client() as http:
            drained = await http.post("/service/drain")
            refused = [(await http.post("/media/sessions")).status_code for _ in range(4)]
            await asyncio.sleep(1.5)  # longer than any process takes to look
            assert here.service.process.returncode is None
            assert phone.close_code is None
            assert (await http.post(f"/calls/{phone.call_id}/hangup")).status_code == 202
        assert await phone.closed() == 1000
        status = await here.service.process.wait()

    assert drained.status_code == 202
    assert refused == [503] * 4
    assert phone.rows[-1]["data"]["reason"] == "operator_hangup"
    assert status == 0


async def test_a_service_that_starts_after_it_was_drained_runs_and_stays_paused(tmp_path: Path) -> None:
    async with asyncio.timeout(150), sandbox_process() as sandbox:
        async with serving(tmp_path, sandbox) as service, service.client() as http:
            await http.post("/service/drain")
            assert await service.process.wait() == 0
        async with serving(tmp_path, sandbox, takes_calls=False) as service, service.client() as http:
            await asyncio.sleep(1)
            assert (await http.get("/health/ready")).json()["status"] == "paused"
            assert (await http.post("/service/resume")).status_code == 202
            assert (await http.get("/health/ready")).json()["status"] in ("ok", "degraded")
            assert await service.terminate() == 0
