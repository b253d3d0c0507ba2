"""Everything here is real but the clock: the database file, the recordings, and the program that compresses them."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from app.calls.after.compression import WAIT_SECONDS, AttemptFailed, Compressor
from app.clock import parse_iso
from app.observability.compression_metrics import CompressionMetrics
from app.storage.compressions import REST_SECONDS, CompressionStore
from media.compression import Compression
from media.formats import AudioFormat
from media.recording import Recorder
from tests.calls.after.test_webhooks import Clock
from tests.media.talking import conversation, record
from tests.storage.stores import END, ENDING, Stores, a_call, last_row, open_stores
from tests.support.databases import look

PCM = AudioFormat("pcm_s16le", 8000)


@dataclass
class House:
    folder: Path
    stores: Stores
    clock: Clock
    registry: CollectorRegistry
    metrics: CompressionMetrics

    def compressor(self, compress: Callable[[Path], Awaitable[Compression]] | None = None) -> Compressor:
        store = CompressionStore(self.stores.database)
        return Compressor(store, self.folder / "recordings", self.metrics, clock=self.clock, compress=compress)

    async def ended_call(self, call_id: str = "call-1", *, is_recorded: bool = True) -> Path:
        await self.stores.calls.create(a_call(call_id, recording=is_recorded))
        self.stores.journal.append(call_id, 1, last_row(1), ENDING)
        await self.stores.journal.flush(call_id)
        folder = self.folder / "recordings" / call_id
        if is_recorded:
            recorder = Recorder(folder, "worker-a", PCM)
            record(recorder, PCM, *conversation(8000, 2.0))
            recorder.close()
            assert recorder.join(60)
        return folder

    def jobs(self) -> list[tuple[str, int]]:
        return look(self.stores.path, "SELECT call_id, attempts FROM compression_jobs")

    def figure(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    registry = CollectorRegistry()
    async with open_stores(folder) as stores:
        clock = Clock(parse_iso(END) + timedelta(seconds=REST_SECONDS))
        yield House(folder, stores, clock, registry, CompressionMetrics(registry))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_recording_is_compressed_two_minutes_after_its_call(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        folder = await ours.ended_call()
        compressor = ours.compressor()
        ours.clock.now -= timedelta(seconds=1)
        assert not await compressor.compress_due()
        assert ours.figure("voice_compressions_waiting") == 1
        assert "worker-a.seg" in names(folder)

        ours.clock.now += timedelta(seconds=1)
        assert await compressor.compress_due()
        assert names(folder) == {"recording.opus", "worker-a.json"}
        assert not await compressor.compress_due()
        assert ours.jobs() == []
        assert ours.figure("voice_compressions_waiting") == 0
        assert ours.figure("voice_compressions_total", result="done") == 1


async def test_a_call_that_is_not_recorded_has_no_job_and_an_erased_recording_is_no_trouble(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await ours.ended_call("unrecorded", is_recorded=False)
        assert ours.jobs() == []

        folder = await ours.ended_call()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        with capture_logs() as logged:
            assert await ours.compressor().compress_due()
        assert (ours.jobs(), logged) == ([], [])


async def test_an_attempt_that_fails_is_made_again_and_then_the_recording_stays(tmp_path: Path) -> None:
    async def fails(_folder: Path) -> Compression:
        raise AttemptFailed("the disk is full")

    async with house(tmp_path) as ours:
        folder = await ours.ended_call()
        compressor = ours.compressor(fails)
        with capture_logs() as logged:
            for attempt, wait in enumerate(WAIT_SECONDS, 1):
                assert await compressor.compress_due()
                assert ours.jobs() == [("call-1", attempt)]
                assert not await compressor.compress_due()
                ours.clock.now += timedelta(seconds=wait)
            assert await compressor.compress_due()

        assert ours.jobs() == []
        assert [line["event"] for line in logged] == ["recording.compression_delayed"] * len(WAIT_SECONDS) + [
            "recording.not_compressed"
        ]
        assert {line["error"] for line in logged} == {"the disk is full"}
        assert ours.figure("voice_compressions_total", result="failed") == 1
        assert "worker-a.seg" in names(folder)


async def test_a_recording_that_must_stay_is_not_tried_again(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        folder = await ours.ended_call()
        (folder / "other.seg").write_bytes(b"RIFF and much more of something else")
        with capture_logs() as logged:
            assert await ours.compressor().compress_due()

        assert [line["event"] for line in logged] == ["recording.not_compressed"]
        assert ours.jobs() == []
        assert ours.figure("voice_compressions_total", result="kept") == 1
        assert {"worker-a.seg", "other.seg"} <= names(folder)


async def test_a_disk_that_refuses_is_named_by_the_program(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        folder = await ours.ended_call()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        folder.write_text("a file in the place of the folder")
        with capture_logs() as logged:
            assert await ours.compressor().compress_due()
        assert [line["error"] for line in logged] == ["Not a directory"]
        assert ours.jobs() == [("call-1", 1)]


async def test_a_worker_that_stops_ends_the_program_and_another_one_goes_on(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        folder = await ours.ended_call()
        reached = asyncio.Event()
        children: list[int] = []

        async def never_ends(folder: Path) -> Compression:
            program = await asyncio.create_subprocess_exec("sleep", "600", env=dict(os.environ))
            children.append(program.pid)
            reached.set()
            try:
                await program.wait()
            finally:
                program.kill()
                await program.wait()
            raise AssertionError("it sleeps")

        work = asyncio.get_running_loop().create_task(ours.compressor(never_ends).compress_due(), name="stopped")
        await reached.wait()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        assert not Path(f"/proc/{children[0]}").exists()

        assert not await ours.compressor().compress_due()  # the lease of the stopped worker
        await ours.stores.database.write(
            lambda connection: connection.exec_driver_sql("UPDATE compression_jobs SET lease_until = 0").rowcount
        )
        assert await ours.compressor().compress_due()
        assert names(folder) == {"recording.opus", "worker-a.json"}


async def test_a_job_that_no_worker_survives_is_given_up(tmp_path: Path) -> None:
    async def must_not_run(_folder: Path) -> Compression:
        raise AssertionError("it has killed seven workers")

    async with house(tmp_path) as ours:
        await ours.ended_call()
        await ours.stores.database.write(
            lambda connection: (
                connection.exec_driver_sql(
                    "UPDATE compression_jobs SET attempts = ?", (len(WAIT_SECONDS) + 1,)
                ).rowcount
            )
        )
        assert await ours.compressor(must_not_run).compress_due()
        assert ours.jobs() == []


async def test_a_call_that_is_erased_takes_its_job_with_it(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await ours.ended_call()
        await ours.stores.calls.delete("call-1")
        assert ours.jobs() == []
        assert not await ours.compressor().compress_due()
