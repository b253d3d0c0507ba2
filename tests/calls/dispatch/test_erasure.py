import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.calls.dispatch.erasure import CallEraser
from app.clock import parse_iso
from app.errors import CallNotFound, CallStillLive, StorageError
from app.storage.calls import CallRow, CallStore
from app.storage.unsaved import UnsavedEnds
from tests.storage.stores import START, a_call, a_session, open_stores
from tests.support.databases import look

SECRET = "a secret of the caller"
LONG_AGO = 1_000_000_000


@asynccontextmanager
async def house(folder: Path, *ended: str) -> AsyncIterator[tuple[CallStore, CallEraser, Path]]:
    """A database with these calls, and a recording of each."""
    recordings = folder / "recordings"
    async with open_stores(folder) as stores:
        for call_id in ended:
            await stores.calls.create(a_call(call_id, status="ended"))
            sound(recordings / call_id)
        yield (
            stores.calls,
            CallEraser(stores.calls, stores.sessions, recordings, UnsavedEnds(folder / "unsaved")),
            recordings,
        )


def sound(folder: Path, *, at: float | None = None) -> None:
    folder.mkdir(parents=True)
    (folder / "worker-a.seg").write_bytes(b"VASEG1")
    if at is not None:
        os.utime(folder, (at, at))


async def call_of(calls: CallStore, call_id: str) -> CallRow:
    call = await calls.get(call_id)
    assert call
    return call


def folders(recordings: Path) -> list[str]:
    return sorted(path.name for path in recordings.iterdir())


async def test_a_call_is_erased_with_its_sound_and_no_other(tmp_path: Path) -> None:
    async with house(tmp_path, "call-1", "call-2") as (calls, eraser, recordings):
        await eraser.erase(await call_of(calls, "call-1"))

        assert folders(recordings) == ["call-2"]
        assert await calls.get("call-1") is None
        assert await calls.get("call-2")


async def test_a_call_without_sound_is_erased_too(tmp_path: Path) -> None:
    async with house(tmp_path) as (calls, eraser, recordings):
        await calls.create(a_call(status="ended"))
        await eraser.erase(await call_of(calls, "call-1"))

        assert await calls.get("call-1") is None
        assert not recordings.exists()


async def test_a_call_that_is_alive_keeps_everything(tmp_path: Path) -> None:
    async with house(tmp_path) as (calls, eraser, recordings):
        await calls.create(a_call())
        sound(recordings / "call-1")

        with pytest.raises(CallStillLive):
            await eraser.erase(await call_of(calls, "call-1"))
        assert folders(recordings) == ["call-1"]


async def test_a_call_keeps_its_record_while_its_sound_cannot_be_removed(tmp_path: Path) -> None:
    async with house(tmp_path, "call-1") as (calls, eraser, recordings):
        call = await call_of(calls, "call-1")
        sound_file = recordings / "call-1.erased"
        sound_file.write_bytes(b"a file where a folder should be")

        with pytest.raises(StorageError):
            await eraser.erase(call)
        assert await calls.get("call-1")

        sound_file.unlink()
        await eraser.erase(call)
        assert folders(recordings) == []


async def test_an_erasure_that_was_cut_short_can_be_asked_again(tmp_path: Path) -> None:
    async with house(tmp_path, "call-1") as (calls, eraser, recordings):
        call = await call_of(calls, "call-1")
        (recordings / "call-1").rename(recordings / "call-1.erased")  # and here the process died
        await eraser.erase(call)

        assert folders(recordings) == []
        with pytest.raises(CallNotFound):
            await eraser.erase(call)


async def test_what_was_cut_short_is_finished_at_the_next_start(tmp_path: Path) -> None:
    async with house(tmp_path, "call-1", "call-2") as (calls, eraser, recordings):
        (recordings / "call-1").rename(recordings / "call-1.erased")
        await eraser.sweep()

        assert folders(recordings) == ["call-2"]
        assert await calls.get("call-1")  # nobody was told that it is gone


async def test_sound_whose_call_is_gone_is_removed_at_the_next_start(tmp_path: Path) -> None:
    async with house(tmp_path, "call-1") as (_, eraser, recordings):
        sound(recordings / "gone", at=4e9)
        await eraser.sweep()

        assert folders(recordings) == ["call-1"]


async def test_sound_that_is_older_than_every_call_is_of_another_database_and_left_alone(tmp_path: Path) -> None:
    async with house(tmp_path) as (calls, eraser, recordings):
        sound(recordings / "of-before", at=LONG_AGO)
        await eraser.sweep()
        await calls.create(a_call(started_at=START))
        await eraser.sweep()

        assert folders(recordings) == ["of-before"]


async def test_a_start_without_recordings_sweeps_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as (_, eraser, recordings):
        await eraser.sweep()

        assert not recordings.exists()


async def test_a_session_that_nobody_used_is_forgotten_when_its_time_is_over(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        eraser = CallEraser(stores.calls, stores.sessions, tmp_path / "recordings", UnsavedEnds(tmp_path / "unsaved"))
        now = parse_iso(START)
        for call_id, seconds in (("call-1", 60), ("call-2", 61)):
            until = now + timedelta(seconds=seconds)
            await stores.sessions.create(
                a_session(call_id, "+79160000001", {}, expires_at=until), f"hash of {call_id}", now=now
            )
        await eraser.forget(now + timedelta(seconds=60))

        assert look(stores.path, "SELECT call_id FROM sessions") == [("call-2",)]


async def test_what_is_erased_while_a_reader_holds_the_log_leaves_it_later_and_no_write_waits(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        eraser = CallEraser(stores.calls, stores.sessions, tmp_path / "recordings", UnsavedEnds(tmp_path / "unsaved"))
        await stores.calls.create(a_call("call-1", status="ended", metadata={"note": SECRET}))
        with closing(sqlite3.connect(stores.path)) as backup, capture_logs() as lines:
            backup.execute("BEGIN").execute("SELECT count(*) FROM calls").fetchall()
            await eraser.erase(await call_of(stores.calls, "call-1"))
            await stores.calls.create(a_call("call-2"))
            assert SECRET.encode() in log_of(stores.path)
        await eraser.forget(parse_iso(START))

        assert [line["event"] for line in lines] == ["call.erasure_delayed"]
        assert log_of(stores.path) == b""


def log_of(database: Path) -> bytes:
    return database.with_name(f"{database.name}-wal").read_bytes()
