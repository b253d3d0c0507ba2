"""One live call.

Task ledger. The tasks of a call belong to one TaskGroup, which ends when the core has ended the call. Those with a star
belong to the service's background work, because no call waits for them.

``<call>``             passes events and deadlines to the core and carries out its commands. Ends with the terminal row.
                       A bug in any task ends here: it ends this call as ``internal_error`` and affects no other.
``<call>:stt``         reads the caller's words. Ends with their stream, or is cancelled at the end of the call.
``<call>:answer``      answers the leg, which may ring for a while. Ends when sound flows, or is cancelled. It owns
                       ``<call>:opening`` and ``<call>:opening:<n>``, which voice the first lines meanwhile.
``<call>:playback``    plays utterances. Cancelled at the end of the call.
``<call>:speech:<n>``  makes the sound of one utterance. Ends when the sound is complete or given up; a stop cancels it
                       and waits for it. It owns ``<call>:voice:<n>`` and ``<call>:feed``, which end with it.
``<call>:spending``    looks each second at what the call costs. Cancelled at the end of the call.
``<call>:message``     transcribes a message that no stream has heard. The end of the call gives it a few seconds more.
``<call>:commit``      commits the rows before the greeting. Ends after 0.25 s at the latest.
``<call>:close`` *     closes the line, 0.25 s after the last row at the latest, and ends when that row is committed.
``<call>:count`` *     counts the call when its last row is committed, if that takes longer than 5 s.
``<call>:transfer`` *  transfers the caller. Ends with the outcome; cancelled when the transfer or the call ends.
``<call>:tool:<id>`` * runs a tool of the agent's file. Ends by its deadline. Cancelled when it changes nothing and
                       nothing waits for it; otherwise it runs on after the end of the call.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from app.calls.agent.plan import CallPlan
from app.calls.live.assembly import CallParts
from app.calls.live.bulkhead import bulkhead, leaves
from app.calls.live.call_log import CallLog
from app.calls.live.call_recording import CallRecording
from app.calls.live.end_metrics import count_end, log_end
from app.calls.live.event_loop import CallEventLoop, EventQueue, last_events
from app.calls.live.hold_watch import HoldWatch
from app.calls.live.message_recording import MessageRecording
from app.calls.live.origin import NewCall, Origin
from app.calls.live.phrase_cache import PhraseCache
from app.calls.live.playback import PlaybackScheduler
from app.calls.live.recordings import Recordings
from app.calls.live.spending import SpendingMeter
from app.calls.live.transcription import TranscriptionInput
from app.calls.live.voiced_ahead import VoicedAhead
from app.contained_tasks import ContainedTasks
from app.conversation import events as ev
from app.errors import CallAlreadyEnded, OwnershipLost, StorageError
from app.journal.record import CallRecord
from app.journal.replay import events_of
from app.models import CallContext, HealthStatus, ServiceHealth
from app.observability.metrics import Metrics
from app.observability.tracebacks import describe
from app.ports.services import CallLeg, Journal, Telephony
from app.storage.calls import CallStore
from media.dtmf import KeyBounce
from media.errors import NotAnswered
from media.playout import PlayedAudio, Playout

log = structlog.get_logger(__name__)

_LINE_WAITS_SECONDS = 0.25
"""How long the line stays open for the commit of the terminal row."""
_COMMITTED_WITHIN_SECONDS = 5.0
"""How long the end of the call waits for its commit. After that, the writer still retries the rows."""
_MESSAGE_SECONDS = 2.0
_LEFT_MESSAGE_SECONDS = 10.0
"""How long the end of the call waits for the words of a message: not long, unless the caller has hung up anyway."""
_CRASHED_WITHIN_SECONDS = 0.15
"""How long cancelled tasks may take to report their costs after a bug, before the line closes."""


@dataclass(frozen=True, slots=True)
class CallServices:
    """What all calls of a process share. What differs between calls is in their plans."""

    phrases: PhraseCache
    journal: Journal
    calls: CallStore
    background: ContainedTasks
    metrics: Metrics
    recordings: Recordings | None
    """None when no call is recorded."""
    owner: str


class CallOrchestrator:
    """Runs one call from its start to its terminal row."""

    _message: MessageRecording | None = None

    def __init__(
        self,
        services: CallServices,
        plan: CallPlan,
        leg: CallLeg,
        call: CallContext,
        *,
        fence: int,
        spawn: Callable[[Coroutine[Any, Any, None], str], object],
        telephony: Telephony | None = None,
        origin: Origin | None = None,
    ) -> None:
        """Without an ``origin`` the call begins here."""
        self._services = services
        self._plan = plan
        self._leg = leg
        self._call = call
        self._fence = fence
        self._spawn = spawn
        self._origin = origin or NewCall(plan, call)
        self._clock, self._core = self._origin.clock, self._origin.core
        self._events = EventQueue()
        self._spending = SpendingMeter(
            plan.policy.max_cost_usd, plan.telephony_usd_per_minute, clock=self._clock, emit=self.emit
        )
        self._spending.resume(events_of(self._origin.rows))
        for event in self._origin.first:  # whatever else is emitted before the call runs
            self._events.emit(event)
        finder, rows = plan.agent.finder, self._origin.rows
        self._log = CallLog(call.call_id, fence, services.journal, leg, self._clock, finder, rows)
        self._recording = self._open_recording()
        self._playback = self._make_playback()
        self._parts = self._make_parts(telephony)
        self._transcription: TranscriptionInput | None = None
        self._keys = KeyBounce()
        self._holding = HoldWatch(self._clock, self.emit)
        self._event_loop: CallEventLoop | None = None
        self._closing: asyncio.Task[None] | None = None
        self._overdue: asyncio.TimerHandle | None = None
        """Closes the line after a bug, even if tasks of the call have not ended."""
        self._has_left = False
        self._is_lost = False
        """Whether another process owns the call."""
        self._is_committed = False
        """Whether the terminal row is in the database, or never will be."""
        self._running = asyncio.Event()
        self._found = asyncio.Event()
        """Set when the leg has the caller, or never will."""
        self._ended = asyncio.Event()

    def _make_playback(self) -> PlaybackScheduler:
        return PlaybackScheduler(
            self._leg,
            Playout(self._leg.audio_format, self._plan.playout_lead_seconds),
            clock=self._clock,
            emit=self.emit,
            on_sent=self._note_played,
            record=self._recording.agent,
            on_underrun=self._services.metrics.turns.voice_ran_dry,
        )

    def _make_parts(self, telephony: Telephony | None) -> CallParts:
        return CallParts(
            call=self._call,
            plan=self._plan,
            leg=self._leg,
            telephony=telephony,
            origin=self._origin,
            phrases=self._services.phrases,
            background=self._services.background,
            events=self._events,
            log=self._log,
            playback=self._playback,
            start_recording=self._recording.start,
            emit=self.emit,
        )

    def __repr__(self) -> str:
        return f"<CallOrchestrator {self._call.call_id} {self._core.state} {self._log!r} {self._playback!r}>"

    async def handle_call_start(self, call_context: CallContext) -> None:
        """Start the call. Returns when it runs."""
        self._spawn(self._run(), call_context.call_id)
        await self._running.wait()

    async def handle_call_end(self, call_context: CallContext) -> None:
        """End the call, because the caller has left. Returns when the terminal row is committed."""
        self.leave("caller_hangup")
        await self.wait_ended()

    async def get_health_status(self) -> HealthStatus:
        """The health of this call."""
        running = self._running.is_set() and not self._ended.is_set()
        detail = f"{self._core.state}, {len(self._events)} events wait"
        status: Literal["ok", "failed"] = "ok" if running else "failed"
        return HealthStatus(status, (ServiceHealth("call", status, detail=detail),))

    async def handle_audio_received(self, audio_data: bytes) -> None:
        """Process the caller's next audio, in the leg's format. Does not wait."""
        if self._transcription is None or self._log.is_ended:
            return
        try:
            self._recording.caller(audio_data)
            self._keys.note_audio(self._leg.audio_format.seconds(audio_data))
            self._holding.note_audio()
            self._transcription.send(audio_data)
            if self._message is not None:
                self._message.note_audio(audio_data)
        except Exception as error:  # noqa: BLE001 - a bug met here is the call's, not that of the leg that reads
            self._events.fail(error)

    def emit(self, event: ev.Event) -> None:
        """Queue an event for the core. After the end of the call it is dropped."""
        self._spending.note(event)
        self._events.emit(event)

    def mark_played(self, name: str) -> None:
        """Note that the far end has played everything up to a mark."""
        self._playback.mark_played(name)

    def cleared(self, played_samples: int | None) -> None:
        """Note the far end's answer to a clear: the samples it had played in total, if it knows."""
        self._playback.cleared(played_samples)

    def press(self, digit: str) -> None:
        """Note that the caller has pressed a key. The repeats of a bouncing key do not count."""
        if self._keys.is_new(digit, asyncio.get_running_loop().time()):
            self.emit(ev.CallerDtmf(digit))

    def type_text(self, text: str) -> None:
        """Note what the caller has typed instead of saying it."""
        self.emit(ev.CallerTyped(text))

    def hold(self, is_held: bool) -> None:
        """Note that the far end has put the caller on hold, or ended the hold."""
        self._holding.hold(is_held)

    def lost_line(self, seconds_ago: float) -> None:
        """Note that the leg has lost the room so long ago. Nothing that was said since then was heard."""
        self._playback.go_away(max(0.0, self._clock.leg_seconds() - seconds_ago))
        self.emit(ev.LegLost(round(max(0.0, self._clock.call_seconds() - seconds_ago), 3)))

    def regained_line(self, away_seconds: float) -> None:
        """Note that the leg is in the room again, with the caller."""
        self._playback.come_back()
        self.emit(ev.LegRejoined(round(away_seconds, 3)))

    def leave(self, reason: str, detail: str | None = None) -> None:
        """Note that the caller has left, with an end reason. Only the first one counts."""
        if not self._has_left:
            self._has_left = True
            self.emit(ev.CallerLeft(reason, detail))

    def ownership_lost(self) -> None:
        """Stop and write nothing more: another process owns the call now."""
        self._events.fail(OwnershipLost("another process owns the call now"))

    async def carry(self, leg_runs: Awaitable[None]) -> None:
        """Run the leg. Returns once it is closed and the call has ended. A bug in the leg ends this call alone."""
        try:
            await leg_runs
        except Exception as error:  # noqa: BLE001 - other calls depend on the same caller
            log.error("leg.broken", call_id=self._call.call_id, error=describe(error))
            self._events.fail(error)
        finally:
            self.leave("media_lost")
        await self.wait_ended()

    @property
    def fence(self) -> int:
        """The fencing token with which the call is owned."""
        return self._fence

    @property
    def plan(self) -> CallPlan:
        """What the call runs with."""
        return self._plan

    @property
    def record(self) -> CallRecord:
        """The record of the call as far as it has come."""
        return self._log.record

    async def wait_ended(self) -> None:
        """Return once the terminal row is committed and the leg is closed."""
        await self._ended.wait()

    async def _run(self) -> None:
        structlog.contextvars.bind_contextvars(call_id=self._call.call_id)
        try:
            await self._live()
        except* OwnershipLost:
            self._is_lost = True
            log.warning("call.ownership_lost")
        except* Exception as group:  # noqa: BLE001 - the bulkhead: whatever happened ends this call and no other
            log.error("call.crashed", errors=[describe(error) for error in leaves(group)])
            with bulkhead("journal"):
                self._write_the_end_of_a_crash()
        finally:
            if self._overdue is not None:
                self._overdue.cancel()
            await asyncio.wait([self._begin_to_close()])
            with bulkhead("metrics"):
                self._count_the_end()
            self._ended.set()

    def _begin_to_close(self) -> asyncio.Task[None]:
        """Close the call in a task of its own, so that no other task of the call can delay or cancel that."""
        if self._closing is None:
            self._events.close()
            self._holding.stop()
            self._running.set()
            if self._event_loop is not None:
                self._event_loop.close()
            name = f"{self._call.call_id}:close"
            self._closing = self._services.background.start(self._close(), name=name, kind="close")
        return self._closing

    async def _close(self) -> None:
        """The line closes when the terminal row is committed, or soon after it is written.

        A call that another process owns falls silent at once, and that process counts its end.
        """
        if self._is_lost:
            with bulkhead("voice"):
                self._leg.send_clear()
        name = f"{self._call.call_id}:commit"
        commit = self._services.background.start(self._commit_the_end(), name=name, kind="commit")
        with bulkhead("recording"):
            self._playback.flush_recording()
            await self._recording.close()
        await asyncio.wait([commit], timeout=_LINE_WAITS_SECONDS)
        with bulkhead("leg"):
            await self._leg.hang_up("crashed" if self._is_lost else self._log.record.end_reason or "internal_error")
        await asyncio.wait([commit])

    async def _commit_the_end(self) -> None:
        try:
            with bulkhead("journal"):
                if self._log.is_ended:
                    self._is_committed = await self._log.commit(_COMMITTED_WITHIN_SECONDS)
        except OwnershipLost:
            self._is_lost = True
            log.warning("call.ownership_lost")

    async def _live(self) -> None:
        call = self._call
        stream = self._plan.stt.listen(call_id=call.call_id, language=self._plan.language)
        async with stream, asyncio.TaskGroup() as tasks, self._closing_soon_after_a_bug():
            self._transcription = TranscriptionInput(
                stream,
                self._leg.audio_format,
                clock=self._clock,
                emit=self.emit,
            )
            self._message = MessageRecording(
                self._plan.stt,
                self._leg.audio_format,
                emit=self.emit,
                start=lambda work: tasks.create_task(work, name=f"{call.call_id}:message"),
            )
            event_loop, ahead = self._parts.assemble(tasks, self._transcription, self._message)
            self._event_loop = event_loop
            helpers = [
                tasks.create_task(self._transcription.follow(), name=f"{call.call_id}:stt"),
                tasks.create_task(self._playback.run(), name=f"{call.call_id}:playback"),
                tasks.create_task(self._answer(ahead), name=f"{call.call_id}:answer"),
                tasks.create_task(self._spending.watch(self._transcription.costs), name=f"{call.call_id}:spending"),
            ]
            self._running.set()
            for event in self._origin.undecided:
                self._log.write(event, self._clock.call_seconds(), self._core.turn_of(event))
            await asyncio.sleep(0)  # the client gets ``ready`` before the first events
            if self._origin.waits:
                await self._found.wait()
            await event_loop.run()
            for task in helpers:
                task.cancel()
            await self._message.finish(_LEFT_MESSAGE_SECONDS if self._has_left else _MESSAGE_SECONDS)
            await event_loop.finish(helpers)
            self._begin_to_close()
            await asyncio.wait(helpers)

    @asynccontextmanager
    async def _closing_soon_after_a_bug(self) -> AsyncIterator[None]:
        """After a bug, close the line without waiting for the last task of the group, which may take long to end."""
        try:
            yield
        except BaseException as error:
            self._is_lost = isinstance(error, OwnershipLost)
            self._overdue = asyncio.get_running_loop().call_later(_CRASHED_WITHIN_SECONDS, self._close_after_a_bug)
            raise

    def _close_after_a_bug(self) -> None:
        if not self._is_lost:
            with bulkhead("journal"):
                self._write_the_end_of_a_crash()
        self._begin_to_close()

    async def _answer(self, ahead: VoicedAhead) -> None:
        """Answer the leg. While it rings, voice what is said first."""
        plan = self._plan
        async with asyncio.TaskGroup() as tasks:
            opening = ahead.voice(plan.personal_opening(), plan.voice(plan.language))
            tasks.create_task(opening, name=f"{self._call.call_id}:opening")
            await self._pick_up()

    async def _pick_up(self) -> None:
        try:
            await self._leg.answer(self._call.call_id)
        except NotAnswered as error:
            log.warning("call.not_answered", reason=error.reason, detail=str(error))
            self.leave(error.reason, str(error))
            self._found.set()
            return
        for event in self._origin.on_caller():
            self.emit(event)
        self._found.set()
        await self._mark_answered(self._clock.wall(self._clock.answered_t))

    async def _mark_answered(self, at: str) -> None:
        """Mark the call as answered in the list of calls. The journal, which is authoritative, has its own row."""
        try:
            await self._services.calls.mark_answered(self._call.call_id, self._fence, at)
        except StorageError as error:
            log.error("call.not_marked_answered", code=error.code)
        except CallAlreadyEnded:
            return

    def _write_the_end_of_a_crash(self) -> None:
        """Write the last rows after a crash too, so that the record is complete."""
        if self._log.is_ended:
            return
        now = self._clock.call_seconds()
        with bulkhead("last events"):
            for event in last_events(self._events, self._playback, self._transcription):
                self._log.write(event, now, self._core.turn_of(event))
        self._log.write(ev.CallEnded("internal_error", "ours"), now, None)

    def _open_recording(self) -> CallRecording:
        recordings = self._services.recordings if self._plan.is_recorded else None
        recording = CallRecording(recordings, self._call.call_id, self._leg.audio_format, self._clock)
        if self._origin.is_recorded:
            recording.start()
        return recording

    def _note_played(self, piece: PlayedAudio) -> None:
        if self._transcription is not None:
            self._transcription.note_played(piece, self._leg.output_latency_seconds)

    def _count_the_end(self) -> None:
        """Count the call once: here if its end is committed here, else in the process that finds its last rows."""
        self._services.metrics.call_left()
        if self._is_lost:
            return
        heard_seconds = self._transcription.heard_seconds if self._transcription else 0.0
        log_end(self._log.record, rows=len(self._log), heard_seconds=heard_seconds)
        if self._is_committed or not self._log.is_ended:
            self._add_to_metrics()
        else:
            work = self._count_when_committed()
            self._services.background.start(work, name=f"{self._call.call_id}:count", kind="commit")

    async def _count_when_committed(self) -> None:
        with suppress(OwnershipLost):
            await self._log.committed()
            self._add_to_metrics()

    def _add_to_metrics(self) -> None:
        metrics = self._services.metrics
        if self._call.is_synthetic:
            return
        count_end(metrics, self._log.rows, direction=self._plan.direction, tools=self._plan.agent.tool_names)
        if self._transcription is not None:
            metrics.sound.audio_dropped(self._transcription.dropped_seconds)
