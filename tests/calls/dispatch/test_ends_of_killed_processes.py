"""A process dies with ends that the locked database has not taken: its calls have ended, and did not crash."""

import asyncio
import signal
import sys
from dataclasses import replace
from pathlib import Path

from app.calls.dispatch.heirs import Heirs
from app.calls.dispatch.leases import LeaseKeeper
from app.calls.dispatch.reaper import Reaper
from app.conversation import events as ev
from app.models import JournalRow
from app.storage.leases import RELEASED
from app.storage.unsaved import UnsavedEnds
from tests.calls.fakes import World
from tests.storage.stores import START, Stores, a_call, locked, open_stores

REPOSITORY = Path(__file__).parents[3]
_CHILD = """
import asyncio, sys
from pathlib import Path
from app.conversation import events as ev
from app.models import JournalRow
from app.ports.services import CallEnding
from app.storage.unsaved import UnsavedEnds
from tests.storage.stores import START, END, open_stores

async def main():
    folder = Path(sys.argv[1])
    async with open_stores(folder, unsaved=UnsavedEnds(folder / "unsaved")) as stores:
        print("ready", flush=True)
        sys.stdin.readline()
        for call_id, reason in (("left", "caller_hangup"), ("said bye", "agent_hangup")):
            ended = ev.CallEnded(reason, "none")
            row = JournalRow(2, END, 60.0, ended.type, None, ev.VERSION, ev.row_data(ended))
            ending = CallEnding(ended_at=END, duration_seconds=60.0, end_reason=reason, fault="none")
            stores.journal.append(call_id, 1, row, ending)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def killed_with_ends(stores: Stores, unsaved: UnsavedEnds) -> None:
    """A process ends two calls while the database is locked, and is killed."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _CHILD, str(stores.path.parent)),
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    await child.stdout.readline()
    async with locked(stores.path), asyncio.timeout(60):
        child.stdin.write(b"\n")
        while len(await unsaved.call_ids()) < 2:
            await asyncio.sleep(0.02)
        child.kill()
        assert await child.wait() == -signal.SIGKILL


async def reaped(world: World, stores: Stores, unsaved: UnsavedEnds) -> None:
    """Until no call is live and no file is left."""
    services = replace(world.services, calls=stores.calls, journal=stores.journal, owner="heir")
    leases = LeaseKeeper(
        stores.calls, "heir", held=list, on_lost=lambda _: None, on_not_renewed=lambda: None, clock=lambda: 5.0
    )
    reaper = Reaper(services, stores.reader, leases, Heirs(), held=list, agent_tools=frozenset, unsaved=unsaved)
    reaping = asyncio.get_running_loop().create_task(reaper.run(), name="reaper")
    async with asyncio.timeout(60):
        while await stores.calls.count_live() or await unsaved.call_ids():
            await asyncio.sleep(0.02)
    reaping.cancel()
    await asyncio.wait([reaping])


async def test_a_call_that_had_ended_when_its_process_was_killed_keeps_its_end(tmp_path: Path) -> None:
    world, unsaved = World(), UnsavedEnds(tmp_path / "unsaved")
    answered = ev.CallAnswered(0.0)
    async with open_stores(tmp_path) as stores:
        for call_id in ("left", "said bye", "live"):
            await stores.calls.create(a_call(call_id, lease_until=RELEASED))
            row = JournalRow(1, START, 0.0, answered.type, None, ev.VERSION, ev.row_data(answered))
            stores.journal.append(call_id, 1, row)
            await stores.journal.flush(call_id)
        await killed_with_ends(stores, unsaved)
        (tmp_path / "unsaved" / "live.draft").write_text("{")  # of a process that died while it wrote
        await reaped(world, stores, unsaved)
        found = {call_id: await stores.calls.get(call_id) for call_id in ("left", "said bye", "live")}
        rows = {call_id: await stores.reader.rows(call_id) for call_id in found}

    ends = {call_id: (call.end_reason, call.fault, call.duration_seconds) for call_id, call in found.items() if call}
    assert ends == {
        "left": ("caller_hangup", "none", 60.0),
        "said bye": ("agent_hangup", "none", 60.0),
        "live": ("crashed", "ours", 0.0),
    }
    assert [[row.type for row in each] for each in rows.values()] == [["call.answered", "call.ended"]] * 3
    assert world.figure("voice_calls_total", direction="web", end_reason="crashed", fault="ours") == 1
    for reason in ("caller_hangup", "agent_hangup"):
        assert world.figure("voice_calls_total", direction="web", end_reason=reason, fault="none") == 1
    assert world.figure("voice_call_duration_seconds_count") == 2
    unsaved.close()
