"""Everything here is real but the clock: the database file, the recordings, and what a program finds in them."""

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from app.calls.after.retention import EVERY, RetentionSweep
from app.calls.dispatch.erasure import CallEraser
from app.clock import lease_now, parse_iso
from app.errors import InvalidRequest
from app.journal.seal import problems
from app.models import Retention
from app.observability.retention_metrics import RetentionMetrics
from app.storage.analyses import Analysis, AnalysisStore
from app.storage.calls import CallStore
from app.storage.lookup import SealedCall, look_up_sealed
from app.storage.outbox import Outbox, Subscription
from app.storage.retention import RetentionStore
from app.storage.service_jobs import ServiceJob
from app.storage.unsaved import UnsavedEnds
from tests.calls.after.test_webhooks import Clock
from tests.storage.stores import END, ENDING, Stores, a_call, a_row, last_row, open_stores
from tests.support.databases import look, url_of

SECRET = "Zebrowska"
DAYS_10 = Retention(10, 10, 10)


class Died(BaseException):
    """The process has died."""


@dataclass
class House:
    folder: Path
    stores: Stores
    clock: Clock
    registry: CollectorRegistry
    metrics: RetentionMetrics

    @property
    def recordings(self) -> Path:
        return self.folder / "recordings"

    def sweeper(self, usual: Retention, dies: "Death | None" = None) -> RetentionSweep:
        calls, sessions, database = self.stores.calls, self.stores.sessions, self.stores.database
        eraser: Any = CallEraser(calls, sessions, self.recordings, UnsavedEnds(self.folder / "unsaved"))
        store: Any = RetentionStore(database, rows_at_once=10)
        job: Any = ServiceJob(database, "retention", every=EVERY)
        if dies is not None:
            job, store, eraser, calls = (Mortal(part, dies) for part in (job, store, eraser, calls))
        return RetentionSweep(job, store, calls, eraser, usual, self.metrics, clock=self.clock, pause=no_pause)

    async def sweep(self, usual: Retention) -> bool:
        return await self.sweeper(usual).sweep_if_due()

    def erased(self, part: str) -> float:
        return self.registry.get_sample_value("voice_retention_erased_total", {"part": part}) or 0.0

    def sealed(self, call_id: str = "call-1") -> SealedCall:
        found = look_up_sealed(url_of(self.stores.path), call_id)
        assert found is not None
        return found

    def found(self, secret: str = SECRET) -> list[str]:
        """The files below the data folder that hold the word."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return [path.name for path in files if secret.encode() in path.read_bytes()]


@dataclass
class Death:
    """The process dies at this step, before or after the step is done; steps count from 0."""

    at: int
    is_done: bool
    steps: int = 0


class Mortal:
    """A part whose every async method is a step at which the process may die."""

    def __init__(self, part: object, death: Death) -> None:
        self._part = part
        self._death = death

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        if not asyncio.iscoroutinefunction(method):
            return method

        async def step(*given: Any, **named: Any) -> Any:
            death = self._death
            is_last = death.steps == death.at
            death.steps += 1
            if is_last and not death.is_done:
                raise Died
            result = await method(*given, **named)
            if is_last:
                raise Died
            return result

        return step


async def no_pause(_seconds: float) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def house(folder: Path, *, days_later: float = 11) -> AsyncIterator[House]:
    clock = Clock(parse_iso(END) + timedelta(days=days_later))
    async with open_stores(folder) as stores:
        registry = CollectorRegistry()
        yield House(folder, stores, clock, registry, RetentionMetrics(registry))


async def an_old_call(
    ours: House, call_id: str = "call-1", *, words: int = 1, is_analysed: bool = True, **columns: Any
) -> None:
    """A recorded call in which the secret was said, by everybody and everywhere."""
    columns = {"recording": True} | columns
    ending = replace(ENDING, ended_at=columns.pop("ended_at", END), said=(SECRET, "Hello"))
    summary = {"message": {"text": SECRET, "heard": "live", "started_at": 0.0, "ended_at": 1.0}}
    await ours.stores.calls.create(a_call(call_id, **columns))
    journal = ours.stores.journal
    journal.append(call_id, 1, a_row(1, "call.created", language="en", policy={}, agent={"prompt": f"Call {SECRET}"}))
    for seq in range(2, words + 2):
        journal.append(call_id, 1, a_row(seq, "caller.turn_ended", text=f"I am {SECRET} {seq}", confidence=0.9))
    journal.append(call_id, 1, a_row(words + 2, "agent.tool_called", arguments=SECRET, line=SECRET, name="book"))
    journal.append(call_id, 1, last_row(words + 3), replace(ending, summary=summary))
    await journal.flush(call_id)
    if is_analysed:
        analyses = AnalysisStore(ours.stores.database)
        [job] = await analyses.claim(ours.clock.now, lease_now=0.0, until=1.0, limit=1)
        name = {"value": SECRET, "quote": SECRET, "turn": 1, "verified_by": None}
        found = Analysis(status="done", summary=SECRET, fields={"name": name}, success=True, reason=SECRET)
        assert await analyses.finish(job, found, ours.clock.now)
    (ours.recordings / call_id).mkdir(parents=True)
    (ours.recordings / call_id / "worker-a.seg").write_bytes(b"VASEG2" + SECRET.encode())


# what is erased


async def test_of_the_words_of_an_old_call_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await an_old_call(ours)
        assert ours.found()
        with capture_logs() as logs:
            assert await ours.sweep(Retention(10, 10, 0))

        assert ours.found() == []
        assert ours.found(SECRET.lower()) == []
        call = await ours.stores.calls.get("call-1")
        assert call
        assert call.words_erased_at
        assert call.recording_erased_at
        assert call.words_left_from is None
        assert call.end_reason == "caller_hangup"
        assert call.analysis
        assert {name: value for name, value in call.analysis.items() if value is not None} == {
            "status": "done", "success": True
        }  # fmt: skip
        rows = await ours.stores.reader.rows("call-1")
        assert [row.data.get("text") for row in rows] == [None, "", None, None]
        assert rows[1].data["confidence"] == 0.9
        assert [line for line in logs if line["event"] == "retention.swept"] == [
            {"event": "retention.swept", "log_level": "info", "recordings": 1, "words": 1, "calls": 0, "failed": 0}
        ]
        assert (ours.erased("recording"), ours.erased("words"), ours.erased("call")) == (1, 1, 0)


async def test_each_part_has_its_own_age_which_counts_from_the_end_of_the_call(tmp_path: Path) -> None:
    async with house(tmp_path, days_later=0) as ours:
        await an_old_call(ours)
        usual = Retention(recording_days=1, transcript_days=5, call_days=30)
        seen = []
        for days in (0.94, 1.01, 4.94, 5.01, 29.94, 30.01):
            ours.clock.now = parse_iso(END) + timedelta(days=days)
            assert await ours.sweep(usual)
            call = await ours.stores.calls.get("call-1")
            seen.append((call and bool(call.recording_erased_at), call and bool(call.words_erased_at)))
            assert bool(ours.found()) is (days < 5)

        assert seen == [(False, False), (True, False), (True, False), (True, True), (True, True), (None, None)]
        assert not (ours.recordings / "call-1").exists()
        assert look(ours.stores.path, "SELECT call_id, erased_by FROM erased_calls") == [("call-1", "retention")]


async def test_what_is_younger_or_live_or_kept_for_ever_is_not_touched(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await an_old_call(ours, "old")
        await an_old_call(ours, "young", ended_at="2026-11-25T10:00:00.000Z")
        await an_old_call(ours, "kept", retention={"recording_days": 0, "transcript_days": 0, "call_days": 0})
        await ours.stores.calls.create(a_call("live"))
        await ours.stores.journal.flush("live")
        before = [await ours.stores.calls.get(call_id) for call_id in ("young", "kept", "live")]
        rows = [await ours.stores.reader.rows(call_id) for call_id in ("young", "kept")]

        assert await ours.sweep(DAYS_10)

        assert await ours.stores.calls.get("old") is None
        assert [await ours.stores.calls.get(call_id) for call_id in ("young", "kept", "live")] == before
        assert [await ours.stores.reader.rows(call_id) for call_id in ("young", "kept")] == rows
        assert sorted(path.name for path in ours.recordings.iterdir()) == ["kept", "young"]


async def test_what_the_agent_of_the_call_said_goes_before_the_settings_of_now(tmp_path: Path) -> None:
    async with house(tmp_path, days_later=3) as ours:
        await an_old_call(ours, "strict", retention={"transcript_days": 2})
        await an_old_call(ours, "usual")
        assert await ours.sweep(Retention(0, 0, 0))

        strict, usual = [await ours.stores.calls.get(call_id) for call_id in ("strict", "usual")]
        assert strict
        assert strict.words_erased_at
        assert strict.recording_erased_at is None
        assert usual
        assert usual.words_erased_at is None


async def test_a_long_journal_is_erased_in_several_transactions(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await an_old_call(ours, words=25)
        store = RetentionStore(ours.stores.database, rows_at_once=10)
        assert not await store.erase_words("call-1", ours.clock.now)
        assert ours.sealed().is_being_erased
        ours.clock.forward(7200)
        assert await ours.sweep(Retention(0, 10, 0))

        sealed = ours.sealed()
        assert not sealed.is_being_erased
        assert problems("call-1", sealed.rows, sealed.seal, words_are_erased=True) == []
        assert ours.found() == ["worker-a.seg"]


async def test_nothing_is_left_in_the_unused_parts_of_the_database_s_pages(tmp_path: Path) -> None:
    """SQLite leaves copies of rows there when calls are written at the same time and pages are split."""
    chance = random.Random(6)  # noqa: S311 - it keeps nothing secret
    async with house(tmp_path) as ours:
        calls, seqs = [f"call-{number}" for number in range(12)], Counter[str]()
        for call_id in calls:
            await ours.stores.calls.create(a_call(call_id))
        for _ in range(3000):
            call_id = chance.choice(calls)
            seqs[call_id] += 1
            said = f"{SECRET if call_id in calls[:2] else 'Hello'} {'x' * chance.randrange(120)}"
            ours.stores.journal.append(call_id, 1, a_row(seqs[call_id], text=said))
            if chance.random() < 0.02:
                await ours.stores.journal.flush(call_id)
        for call_id in calls:
            ours.stores.journal.append(call_id, 1, last_row(seqs[call_id] + 1), ENDING)
            await ours.stores.journal.flush(call_id)
        await ours.stores.calls.delete(calls[0])
        assert ours.found()
        store = RetentionStore(ours.stores.database)
        assert await store.erase_words(calls[1], ours.clock.now)
        ours.stores.calls.note_erased()
        await ours.stores.calls.empty_log()

        assert ours.found() == []


# death at any step


@pytest.mark.parametrize("is_done", [False, True])
async def test_a_sweep_that_dies_at_any_step_is_finished_by_the_next(tmp_path: Path, is_done: bool) -> None:
    at = 0
    while True:
        folder = tmp_path / f"{at}"
        folder.mkdir()
        async with house(folder) as ours:
            await an_old_call(ours, "call-1", words=15, retention={"call_days": 0})
            await an_old_call(ours, "call-2")
            death = Death(at, is_done)
            has_died = True
            with suppress(Died):
                await ours.sweeper(DAYS_10, death).sweep_if_due()
                has_died = False
            ours.stores.calls = CallStore(ours.stores.database)  # of the next process
            with closing(sqlite3.connect(ours.stores.path)) as other, other:
                other.execute("UPDATE service_jobs SET lease_until = 0 WHERE lease_until IS NOT NULL")  # it ran out
            ours.clock.forward(3601)
            assert await ours.sweep(DAYS_10)

            assert ours.found() == []
            assert await ours.stores.calls.get("call-2") is None
            sealed = ours.sealed("call-1")
            assert sealed.words_erased_at
            assert not sealed.is_being_erased
            assert problems("call-1", sealed.rows, sealed.seal, words_are_erased=True) == []
            assert list(ours.recordings.iterdir()) == []
        if not has_died:
            assert at > 10
            return
        at += 1


async def test_one_call_that_cannot_be_erased_holds_up_no_other_and_is_tried_again(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await an_old_call(ours, "call-1")
        await an_old_call(ours, "call-2")
        obstacle = ours.recordings / "call-1.erased"
        obstacle.write_bytes(b"a file where a folder should be")
        with capture_logs() as logs:
            assert await ours.sweep(DAYS_10)
        assert await ours.stores.calls.get("call-2") is None
        assert (await ours.stores.calls.get("call-1")) is not None
        assert [(line["call_id"]) for line in logs if line["event"] == "retention.failed"] == ["call-1"]
        assert ours.registry.get_sample_value("voice_retention_failures_total") == 1

        obstacle.unlink()
        ours.clock.forward(3601)
        assert await ours.sweep(DAYS_10)
        assert await ours.stores.calls.get("call-1") is None


# one process of all


async def test_the_slower_the_database_the_longer_the_sweep_rests(tmp_path: Path) -> None:
    took, rests = 0.03, list[float]()

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    async with house(tmp_path) as here:
        await an_old_call(here)
        sweep = here.sweeper(Retention(0, 1, 0))
        sweep._pause = rest
        erase = sweep._store.erase_words

        async def slow(*given: Any) -> bool:
            await asyncio.sleep(took)
            return await erase(*given)

        sweep._store.erase_words = slow  # type: ignore[method-assign]
        assert await sweep.sweep_if_due()

    assert max(rests) >= 9 * took


async def test_one_process_sweeps_each_hour(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        swept = await asyncio.gather(*(ours.sweep(DAYS_10) for _ in range(4)))
        assert sorted(swept) == [False, False, False, True]
        ours.clock.forward(3599)
        assert not await ours.sweep(DAYS_10)
        ours.clock.forward(2)
        assert await ours.sweep(DAYS_10)


async def test_a_clock_that_was_ahead_does_not_stop_the_sweeps(tmp_path: Path) -> None:
    async with house(tmp_path, days_later=4000) as ours:
        assert await ours.sweep(DAYS_10)
        ours.clock.forward(-4000 * 86400)
        assert await ours.sweep(DAYS_10)


async def test_a_process_that_lost_its_lease_stops(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        job = ServiceJob(ours.stores.database, "retention", every=EVERY)
        now = lease_now()
        assert await job.claim(ours.clock.now, lease_now=now, until=now + 10)
        assert await job.claim(ours.clock.now, lease_now=now + 11, until=now + 21)
        assert not await job.renew(now + 10, now + 20)
        assert not await job.done(now + 10, ours.clock.now)
        assert await job.renew(now + 21, now + 31)


# what is not finished


async def test_webhooks_that_wait_keep_the_call_but_not_its_words(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        outbox = Outbox(ours.stores.database)
        await outbox.subscribe([Subscription("endpoint", None, frozenset({"call.ended"}))])
        await an_old_call(ours)
        assert await ours.sweep(DAYS_10)
        assert (await ours.stores.calls.get("call-1")) is not None
        assert ours.found() == []

        [delivery] = await outbox.claim("endpoint", ours.clock.now, 0.0, 1.0, 10)
        await outbox.delivered(delivery, 200, ours.clock.now)
        ours.clock.forward(3601)
        assert await ours.sweep(DAYS_10)
        assert await ours.stores.calls.get("call-1") is None


async def test_an_analysis_that_came_to_no_end_has_failed_and_is_reported(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        outbox, analyses = Outbox(ours.stores.database), AnalysisStore(ours.stores.database)
        await outbox.subscribe([Subscription("endpoint", None, frozenset({"call.analyzed"}))])
        await an_old_call(ours, is_analysed=False)
        assert await analyses.waiting() == 1
        assert await ours.sweep(DAYS_10)

        assert await analyses.waiting() == 0
        call = await ours.stores.calls.get("call-1")
        assert call
        assert call.analysis
        assert (call.analysis["status"], call.analysis["reason"]) == (
            "failed", "the words of the call were erased before it was analysed"
        )  # fmt: skip
        assert [delivery.event for delivery in await outbox.list(None, limit=9)] == ["call.analyzed"]
        with pytest.raises(InvalidRequest, match="are erased"):
            await analyses.request("call-1", ours.clock.now)


# the seal


async def test_the_seal_outlasts_the_words_and_still_finds_what_somebody_changed(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await an_old_call(ours)
        kept = ours.sealed().seal
        assert await ours.sweep(Retention(0, 10, 0))

        sealed = ours.sealed()
        assert sealed.seal == kept
        assert problems("call-1", sealed.rows, kept, words_are_erased=True) == []
        for change, named in (
            ({"at": "2026-11-22T10:00:00.001Z"}, "row 2 was changed"),
            ({"data": '{"text":"I agree","confidence":0.9}'}, "row 2 was changed: it has words"),
            ({"data": "nonsense"}, "row 2 was changed: it has words"),
            ({"data_hash": "0" * 64}, "row 2 was changed"),
        ):
            rows = [sealed.rows[0], sealed.rows[1]._replace(**change), *sealed.rows[2:]]
            assert problems("call-1", rows, kept, words_are_erased=True)[0].startswith(named)
        assert "although the record says nothing of an erasure" in problems("call-1", sealed.rows, kept)[0]
        assert problems("call-1", sealed.rows[:2] + sealed.rows[3:], kept, words_are_erased=True) == [
            "row 3 is missing before row 4"
        ]


async def test_what_is_left_of_erased_words_does_not_let_anybody_find_them_by_trying(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await an_old_call(ours)
        assert await ours.sweep(Retention(0, 10, 0))
        assert look(ours.stores.path, "SELECT count(*) FROM journal WHERE salt IS NOT NULL") == [(0,)]


async def test_a_call_of_a_version_without_salts_loses_its_hashes_with_its_words(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await an_old_call(ours)
        with closing(sqlite3.connect(ours.stores.path)) as other, other:
            other.execute("UPDATE journal SET salt = NULL")
        assert await ours.sweep(Retention(0, 10, 0))

        sealed = ours.sealed()
        assert {row.hash for row in sealed.rows} == {row.data_hash for row in sealed.rows} == {None}
        assert sealed.seal is not None
