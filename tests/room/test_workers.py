"""Telephone calls on two workers: shared by both, and let go with a sentence when one of them dies."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from app.clock import parse_iso, utc_now
from sandbox.caller.media_client import AgentAudio
from sandbox.carrier.telephone_line import FRAME_SECONDS, TelephoneLine
from tests.room.rig import WORKERS, Rig, rig
from tests.routers.kept_calls import execute
from tests.support.slowness import slowness

pytestmark = [pytest.mark.room, pytest.mark.alone]

CALLERS, CALLERS_MAX = 4, 9
SENTENCE_BEGINS_SECONDS = 2.0
SENTENCE_SECONDS_MIN = 2.0
LOUD = 500


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two-workers")


@pytest.fixture(scope="module")
def two_workers(folder: Path) -> Iterator[Rig]:
    with rig(folder) as running:
        yield running


async def test_when_a_worker_dies_its_callers_hear_a_sentence_and_are_let_go_and_the_others_notice_nothing(
    two_workers: Rig, folder: Path
) -> None:
    async with asyncio.timeout(150), asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        lines, owners = await _calls_on_both(two_workers, folder, stack)
        hearing = [tasks.create_task(_sounds(line), name=f"hears-{line.call_id}") for line in lines]
        for call_id in owners:
            await two_workers.until_greeted(call_id)

        struck = [line for line in lines if ".worker1-" in owners[line.call_id]]
        others = [line for line in lines if line not in struck]
        killed, killed_at = asyncio.get_running_loop().time(), utc_now()
        os.kill(two_workers.workers()[0], signal.SIGKILL)
        for line, listening in zip(lines, hearing, strict=True):
            if line in struck:
                sounds = [at for at in await listening if at > killed]
                assert sounds, "the caller heard a click"
                assert sounds[0] - killed < SENTENCE_BEGINS_SECONDS * slowness()
                assert len(sounds) * FRAME_SECONDS > SENTENCE_SECONDS_MIN
        assert not any(line.is_over for line in others)
        open_rooms = await two_workers.rooms()
        assert {line.room_name for line in others} <= set(open_rooms)
        assert not {line.room_name for line in struck} & set(open_rooms)
        for line in lines:
            record = (await two_workers.get(f"/calls/{line.call_id}")).json()
            assert (record["status"], record["end_reason"]) == (
                ("ended", "crashed") if line in struck else ("active", None)
            )
            assert line not in struck or parse_iso(record["ended_at"]) <= killed_at


async def _sounds(line: TelephoneLine) -> list[float]:
    """When the telephone heard something, frame by frame, until it was hung up."""
    loop, sounds = asyncio.get_running_loop(), []
    async for message in line.messages():
        if isinstance(message, AgentAudio) and np.abs(message.samples).max(initial=0) > LOUD:
            sounds.append(loop.time())
    return sounds


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
