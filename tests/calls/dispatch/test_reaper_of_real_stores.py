"""What any program may have written into the journal of a dead call: the call ends, once, and no other waits for it."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.calls.dispatch.heirs import Heirs
from app.calls.dispatch.leases import LeaseKeeper
from app.calls.dispatch.reaper import Reaper
from app.conversation import events as ev
from app.journal.record import call_record
from app.journal.timeline import timeline
from app.models import JournalRow
from app.storage.call_lists import CallFilter
from app.storage.leases import RELEASED
from routers.views import call_of, events_json
from tests.calls.fakes import World
from tests.storage.stores import START, Stores, a_call, open_stores

ROWS: list[tuple[str, dict[str, Any]]] = [
    ("call.created", {"language": "en", "policy": {"max_response_seconds": 1.5}}),
    ("call.answered", {"since_t": 0.1}),
    (
        "agent.reply_started",
        {"speech": 1, "kind": "greeting", "stamps": {"last_voiced": 0.1, "first_frame": 0.3}, "language": "en"},
    ),
    ("agent.clause_started", {"speech": 1, "text": "Hello.", "start_sample": 0}),
    ("turn.taken", {"source": "speech", "text": "Hi.", "started_t": 0.4, "ended_t": 0.5}),
    ("provider.used", {"provider": "openai", "model": "m", "stage": "think", "prompt_tokens": 7, "cost": 0.1}),
    ("agent.tool_called", {"id": "c1", "name": "book", "arguments": "{}", "speech": 1, "timeout_seconds": 2.0}),
    (
        "agent.tool_finished",
        {"id": "c1", "name": "book", "ok": True, "seconds": 0.1, "speech": 1, "status": 200, "result": "done"},
    ),
]
VALUES: tuple[Any, ...] = (1e308, -1e308, -1, 9e999, -9e999, "soon", "", "1e308", b"\xff", b"{}", 2**63 - 1, "\x00")
JSON_VALUES = ("1e308", "1e999", "null", '"soon"', "[]", "9" * 400, '{"first_frame": "soon"}')

Spoil = tuple[str, tuple[Any, ...]]
"""A statement and its parameters."""
COLUMNS: list[Spoil] = [
    (f"UPDATE journal SET {column} = ? WHERE seq = ?", (value, seq))  # noqa: S608 - names of this file
    for column in ("t", "at", "type", "turn", "v", "data")
    for value in VALUES
    for seq in (2, len(ROWS))
]
NUMBERS: list[Spoil] = [
    ("UPDATE journal SET seq = ? WHERE seq = ?", (value, len(ROWS))) for value in (2**63 - 1, -(2**63), 2**40)
]
CALLS: list[Spoil] = [
    (f"UPDATE calls SET {column} = ?", (value,))  # noqa: S608 - names of this file
    for column in (
        *(
            "created_at",
            "started_at",
            "answered_at",
            "duration_seconds",
            "metadata",
            "version",
            "language",
            "direction",
        ),
        *("caller_number", "called_number", "livekit_room", "recording", "room_sid"),
    )
    for value in (*VALUES, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00")
]


def _fields() -> list[Spoil]:
    found = []
    for seq, (_, data) in enumerate(ROWS, 1):
        for name in data:
            for value in JSON_VALUES:
                text = json.dumps(data | {name: "@"}).replace('"@"', value)
                found.append(("UPDATE journal SET data = ? WHERE seq = ?", (text, seq)))
    return found


async def _reaped(stores: Stores, spoils: dict[str, Spoil]) -> list[Any]:
    """The calls, each spoilt in its way, and what the reaper logged until all have ended."""
    world = World()
    services = replace(world.services, calls=stores.calls, journal=stores.journal, owner="heir")
    for call_id in (*spoils, "whole"):
        await stores.calls.create(a_call(call_id, lease_until=RELEASED))
        for seq, (kind, data) in enumerate(ROWS, 1):
            stores.journal.append(call_id, 1, JournalRow(seq, START, seq / 10, kind, 1, ev.VERSION, data))
    await asyncio.gather(*map(stores.journal.flush, (*spoils, "whole")))
    with closing(sqlite3.connect(stores.path)) as other:
        for call_id, (statement, values) in spoils.items():
            other.execute(f"{statement} {'AND' if 'WHERE' in statement else 'WHERE'} call_id = ?", (*values, call_id))
        other.commit()
    leases = LeaseKeeper(
        stores.calls, "heir", held=list, on_lost=lambda _: None, on_not_renewed=lambda: None, clock=lambda: 5.0
    )
    reaper = Reaper(services, stores.reader, leases, Heirs(), held=list, agent_tools=frozenset)
    with capture_logs() as entries:
        reaping = asyncio.get_running_loop().create_task(reaper.run(), name="reaper")
        try:
            await _until(lambda: sum(entry["event"] == "call.ended" for entry in entries) > len(spoils))
        finally:
            reaping.cancel()
            await asyncio.wait([reaping])
    return entries


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("spoils", [COLUMNS, NUMBERS, CALLS, _fields()], ids=["columns", "numbers", "calls", "fields"])
async def test_whatever_stands_in_a_journal_its_call_ends_once_and_its_record_can_be_read(
    tmp_path: Path, spoils: list[Spoil]
) -> None:
    wanted = {f"call-{number}": spoil for number, spoil in enumerate(spoils)}
    async with open_stores(tmp_path) as stores:
        entries = await _reaped(stores, wanted)
        for call_id in (*wanted, "whole"):
            call = await stores.calls.get(call_id)
            assert call is not None
            assert (call.end_reason, call.fault) == ("crashed", "ours"), wanted.get(call_id)
            rows = await stores.reader.rows(call_id)
            json.loads(call_of(call, rows, tmp_path).model_dump_json())
            json.loads(events_json(rows))
            timeline(rows)
        assert len((await stores.calls.list(CallFilter(), limit=len(wanted) + 2))[0]) == len(wanted) + 1
        whole = call_record(await stores.reader.rows("whole"))

    ended = [entry["call_id"] for entry in entries if entry["event"] == "call.ended"]
    assert sorted(ended) == sorted([*wanted, "whole"])
    assert (whole.end_reason, whole.duration_seconds, [turn.text for turn in whole.turns]) == (
        "crashed",
        0.7,
        ["Hi.", "Hello."],
    )
    told = [entry["call_id"] for entry in entries if entry["event"] in ("call.rows_unreadable", "call.not_counted")]
    assert len(told) == len(set(told)), "once each"
    assert [entry for entry in entries if entry["event"] == "call.not_reaped"] == []
