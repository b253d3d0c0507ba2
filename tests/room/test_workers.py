"""Telephone calls on two workers: shared by both, and let go at once when one of them dies."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from app.clock import parse_iso, utc_now
from tests.room.rig import WORKERS, Rig, rig
from tests.routers.kept_calls import execute
from tests.support.slowness import slowness

pytestmark = [pytest.mark.room, pytest.mark.alone]

CALLERS, CALLERS_MAX = 4, 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two-workers")


@pytest.fixture(scope="module")
def two_workers(folder: Path) -> Iterator[Rig]:
    with rig(folder) as running:
        yield running


async def test_when_a_worker_dies_its_callers_are_let_go_and_the_others_notice_nothing(
    two_workers: Rig, folder: Path
) -> None:
    async with asyncio.timeout(150), AsyncExitStack() as lines:
        calls, owners = await _calls_on_both(two_workers, folder, lines)

        rooms = {call["livekit_room"] for call in calls if ".worker1-" in owners[call["call_id"]]}
        killed = utc_now()
        os.kill(two_workers.workers()[0], signal.SIGKILL)
        while rooms & set(await two_workers.rooms()):
            await asyncio.sleep(0.05)
        assert (utc_now() - killed).total_seconds() < 3 * slowness()
        records = [(await two_workers.get(f"/calls/{call['call_id']}")).json() for call in calls]
        for record in records:
            died = record["livekit_room"] in rooms
            assert record["status"] == ("ended" if died else "active")
            assert record["end_reason"] == ("crashed" if died else None)
            assert not died or parse_iso(record["ended_at"]) <= utc_now()


async def _calls_on_both(
    system: Rig, folder: Path, lines: AsyncExitStack
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Callers ring until both workers hold calls; gives these, and who holds which."""
    for number in range(1, CALLERS_MAX + 1):
        await lines.enter_async_context(system.carrier.dial(f"+7999000500{number}"))
        while len(calls := (await system.get("/calls?status=active")).json()["calls"]) < number:
            await asyncio.sleep(0.1)
        owners = dict(execute(folder / "data", "SELECT call_id, owner FROM calls"))
        if number >= CALLERS and len(set(owners.values())) == WORKERS:
            return calls, owners
    raise AssertionError("one worker took all calls")
