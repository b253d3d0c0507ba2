"""Telephone calls on two workers: shared by both, and taken over when one of them dies."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox.caller.media_client import AgentAudio
from sandbox.carrier.telephone_line import FRAME_SECONDS, TelephoneLine
from tests.room.rig import WORKERS, Rig, rig
from tests.routers.kept_calls import execute
from tests.support.slowness import slowness

pytestmark = [pytest.mark.room, pytest.mark.alone]

CALLERS, CALLERS_MAX = 4, 9
SENTENCE_BEGINS_SECONDS = 1.5
SENTENCE_SECONDS_MIN = 1.0
CLICK_SECONDS = 0.2
"""What the telephone may still have of the dead worker."""
LOUD = 500


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two-workers")


@pytest.fixture(scope="module")
def two_workers(folder: Path) -> Iterator[Rig]:
    with rig(folder) as running:
        yield running


async def test_when_a_worker_dies_the_other_goes_on_with_its_calls_and_its_own_notice_nothing(
    two_workers: Rig, folder: Path
) -> None:
    async with asyncio.timeout(150), asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        lines, owners = await _calls_on_both(two_workers, folder, stack)
        heard: dict[str, list[float]] = {line.call_id: [] for line in lines}
        hearing = [
            tasks.create_task(_listen(line, heard[line.call_id]), name=f"hears-{line.call_id}") for line in lines
        ]
        for call_id in owners:
            await two_workers.until_greeted(call_id)

        struck = [line for line in lines if ".worker1-" in owners[line.call_id]]
        killed = asyncio.get_running_loop().time()
        os.kill(two_workers.workers()[0], signal.SIGKILL)
        for line in struck:
            journal = await _rows_until(two_workers, line.call_id, "agent.finished", 2)
            [taken] = [row["data"] for row in journal if row["type"] == "call.taken_over"]
            assert ".worker2-" in taken["owner"]
            assert [row["seq"] for row in journal] == list(range(1, len(journal) + 1))
            bridge = next(row for row in journal if row["data"].get("kind") == "reconnected")
            sounds = [at for at in heard[line.call_id] if at > killed + CLICK_SECONDS]
            assert bridge["t"] - taken["since_t"] < SENTENCE_BEGINS_SECONDS * slowness()
            assert sounds[0] - killed < SENTENCE_BEGINS_SECONDS * slowness()
            assert len(sounds) * FRAME_SECONDS > SENTENCE_SECONDS_MIN
        assert not any(line.is_over for line in lines)
        assert {line.room_name for line in lines} <= set(await two_workers.rooms())
        for line in lines:
            record = (await two_workers.get(f"/calls/{line.call_id}")).json()
            assert (record["status"], record["end_reason"]) == ("active", None)
        for task in hearing:
            task.cancel()


async def _rows_until(system: Rig, call_id: str, row_type: str, count: int) -> list[dict[str, Any]]:
    while True:
        rows = await system.journal(call_id)
        if len([row for row in rows if row["type"] == row_type]) >= count:
            return rows
        await asyncio.sleep(0.1)


async def _listen(line: TelephoneLine, sounds: list[float]) -> None:
    """Note when the telephone hears something, frame by frame, until it is hung up."""
    loop = asyncio.get_running_loop()
    async for message in line.messages():
        if isinstance(message, AgentAudio) and np.abs(message.samples).max(initial=0) > LOUD:
            sounds.append(loop.time())


async def _calls_on_both(
    system: Rig, folder: Path, stack: AsyncExitStack
) -> tuple[list[TelephoneLine], dict[str, str]]:
    """Callers ring until both workers hold calls; gives these, and who holds which."""
    lines: list[TelephoneLine] = []
    for number in range(1, CALLERS_MAX + 1):
        lines.append(await stack.enter_async_context(system.carrier.dial(f"+7999000500{number}")))
        while len((await system.get("/calls?status=active")).json()["calls"]) < number:
            await asyncio.sleep(0.1)
        owners = dict(execute(folder / "data", "SELECT call_id, owner FROM calls"))
        if number >= CALLERS and len(set(owners.values())) == WORKERS:
            return lines, owners
    raise AssertionError("one worker took all calls")
