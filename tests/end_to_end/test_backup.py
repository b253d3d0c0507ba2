"""A service is backed up while it carries a call, lost, and restored elsewhere. It has its calls and takes new ones."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx

from sandbox.caller.score import hangs_up, says, waits_for_agent
from tests.end_to_end.calls import journal_of, score
from tests.end_to_end.phones import exchange
from tests.end_to_end.processes import ServiceProcess, environment, sandbox_process, serving

QUESTION = score(
    waits_for_agent(0.5), says("Когда вы открыты?"), waits_for_agent(0.5), hangs_up(), replies=({"text": "С девяти."},)
)


async def command(*words: str, data: Path) -> None:
    """Run ``voice-agent`` as an operator does."""
    variables = environment(DATA_DIR=str(data), PYTHONPATH=str(Path.cwd()))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "app.cli", *words, env=variables)
    assert await process.wait() == 0


async def ended(http: httpx.AsyncClient, call_id: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (record := (await http.get(f"/calls/{call_id}")).json())["status"] != "ended":
            await asyncio.sleep(0.05)
    return dict(record)


async def held(service: ServiceProcess) -> str:
    async with service.caller() as phone:
        return (await phone.call(QUESTION)).call_id


async def test_what_is_restored_elsewhere_has_its_calls_and_answers_new_ones(tmp_path: Path) -> None:
    old, new, archive = tmp_path / "old", tmp_path / "new", tmp_path / "backup.tar"
    async with asyncio.timeout(150), sandbox_process() as sandbox:
        async with exchange(old, sandbox, WORKERS="1") as here, here.service.client() as http:
            call_id = await held(here.service)
            before = await ended(http, call_id), await journal_of(http, call_id)
            sound = (await http.get(f"/calls/{call_id}/recording")).content
            live = await here.ring()
            await command("backup", str(archive), data=old)
            await here.service.kill()
        await command("restore", str(archive), data=new)
        async with serving(new, sandbox) as service, service.client() as http:
            after = await ended(http, call_id), await journal_of(http, call_id)
            left = await ended(http, live.call_id)
            assert (await http.get(f"/calls/{call_id}/recording")).content == sound
            await command("verify", call_id, data=new)
            assert (await ended(http, await held(service)))["end_reason"] == "caller_hangup"
            assert await service.terminate() == 0

    assert after[1] == before[1]
    assert [after[0][part] for part in ("seal", "turns", "costs")] == [
        before[0][part] for part in ("seal", "turns", "costs")
    ]
    assert len(sound) > 10_000
    assert left["end_reason"] in ("crashed", "media_lost"), "its caller is elsewhere"
