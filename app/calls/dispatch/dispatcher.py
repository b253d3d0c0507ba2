"""Takes calls, finds them, and ends those whose process died.

Task ledger. Calls and these tasks are run by :mod:`app.service_loops`, so that none of them can end another.

``leases``     keeps this process the owner of its calls. Ends by cancellation.
``reaper``     ends calls whose owner died. Ends by cancellation.
``clips:...``  prepares the fixed lines for a new format of audio, once. Ends by itself, or by cancellation.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, NoReturn

import structlog

from app.calls.agent.profile import AgentProfile
from app.calls.dispatch.leases import LEASE_SECONDS, RENEW_SECONDS, LeaseWatch
from app.calls.dispatch.reaper import end_crashed, end_without_core
from app.calls.live.session import CallOrchestrator, CallServices
from app.clock import iso_utc, lease_now, utc_now
from app.conversation import events as ev
from app.conversation.policy import Lines
from app.errors import AdmissionError, AtCapacity, Draining, VoiceAgentError
from app.journal.readable_rows import readable
from app.models import CallContext, TelephoneCall
from app.observability.listeners import Listeners
from app.observability.outages import Outage
from app.ports.services import CallLeg, JournalReader, Telephony
from app.service_loops import ServiceLoops
from app.storage.calls import CallRow, Direction
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

_REAP_SECONDS = 0.5
_GOODBYE_SECONDS = 20.0
_FIRST_FENCE = 1


class CallDispatcher:
    """Every call of this process. ``max_live`` counts the calls of all processes on the database."""

    def __init__(
        self,
        services: CallServices,
        agent: AgentProfile,
        *,
        reader: JournalReader,
        loops: ServiceLoops,
        max_live: int,
        require_storage: Callable[[], None] = lambda: None,
        lease_clock: Callable[[], float] = lease_now,
    ) -> None:
        self._lease_clock = lease_clock
        self._lease_watch = LeaseWatch(lease_clock)
        self._services = services
        self._agent = agent
        self._reader = reader
        self._loops = loops
        self._max_live = max_live
        self.require_storage = require_storage
        """Raises StorageError while nothing of a new call could be kept."""
        self._live: dict[str, CallOrchestrator] = {}
        self._prepared: set[AudioFormat] = set()
        self._preparing: set[asyncio.Task[None]] = set()
        self._draining = False
        self._on_started = Listeners("call.started", services.metrics.call_started)
        self._on_rejected = Listeners("call.rejected", services.metrics.call_rejected)
        self.on_crashed = Listeners[[CallRow]]("call.crashed")
        """Told of each call that was ended here because its process had died."""
        self._left = asyncio.Event()
        """A call of this process has ended, or could not be taken."""
        self._helpers = [
            loops.keep("leases", self._keep_leases, is_vital=True),
            loops.keep("reaper", self._reap),
        ]

    def __repr__(self) -> str:
        return f"<CallDispatcher {len(self._live)} live{', draining' if self._draining else ''}>"

    @property
    def live_calls(self) -> int:
        """Calls of this process that have not ended."""
        return len(self._live)

    @property
    def is_draining(self) -> bool:
        """Whether new calls are refused because the service is stopping."""
        return self._draining

    @property
    def version(self) -> str:
        """Of the service."""
        return self._services.version

    @property
    def records(self) -> bool:
        """Whether calls are recorded."""
        return self._services.recordings is not None

    def check_not_draining(self) -> None:
        """Raises Draining when no call is taken because the service is stopping."""
        if self._draining:
            self.refuse(Draining("the service is stopping and takes no new calls"))

    async def check_admission(self) -> None:
        """Whether a call would be taken now. Raises Draining, AtCapacity, StorageError."""
        self.check_not_draining()
        self.require_storage()
        if await self._services.calls.count_live() >= self._max_live:
            self.refuse(AtCapacity("all places for calls are taken"))

    async def start(
        self,
        call: CallContext,
        leg: CallLeg,
        *,
        direction: Direction,
        telephone: TelephoneCall | None = None,
        telephony: Telephony | None = None,
        listens_only: bool = False,
    ) -> CallOrchestrator:
        """Take the call, which begins now, and have it answered; returns once it runs.

        ``telephony`` hands the caller over to a human; calls without one cannot. ``listens_only`` is for a leg through
        which nobody can be spoken to: what comes is recorded and transcribed.
        Raises Draining, AtCapacity, StorageError, and CallTaken for a telephone call that was taken before.
        """
        self.check_not_draining()
        self.require_storage()
        call = replace(call, start_time=utc_now())
        agent = self._agent.for_language(call.metadata.get("language_hint"))
        if listens_only:
            agent = agent.silent()
        orchestrator = CallOrchestrator(
            self._services, agent, leg, call, fence=_FIRST_FENCE, spawn=self._spawn, telephony=telephony
        )
        self._live[call.call_id] = orchestrator
        try:
            await self._services.calls.create(self._row(call, agent, direction, telephone), max_live=self._max_live)
        except AtCapacity as error:
            self._forget(call.call_id)
            self.refuse(error)
        except BaseException:
            self._forget(call.call_id)
            raise
        self._on_started()
        await orchestrator.handle_call_start(call)
        if not listens_only:
            self._prepare_lines(leg.audio_format)
        return orchestrator

    async def start_placed(self, row: CallRow, leg: CallLeg, *, telephony: Telephony | None = None) -> CallOrchestrator:
        """Run a call that this process has claimed, whose telephone rings from now on; returns once it runs.

        Raises Draining.
        """
        self.check_not_draining()
        metadata = {**row.metadata, "called_number": row.called_number, "direction": row.direction}
        call = CallContext(row.call_id, row.caller_number, utc_now(), row.livekit_room, metadata)
        agent = self._agent.for_language(row.metadata.get("language_hint"))
        orchestrator = CallOrchestrator(
            self._services, agent, leg, call, fence=row.fence, spawn=self._spawn, telephony=telephony
        )
        self._live[call.call_id] = orchestrator
        self._on_started()
        await orchestrator.handle_call_start(call)
        self._prepare_lines(leg.audio_format)
        return orchestrator

    async def end_unstarted(self, row: CallRow, ended: ev.CallEnded) -> None:
        """Write the end of a call of this process that never ran. Raises StorageError, OwnershipLost."""
        end_without_core(row, [], self._services.journal, ended)
        await self._services.journal.flush(row.call_id)

    async def record_refusal(self, call: CallContext, reason: str, *, telephone: TelephoneCall) -> None:
        """A telephone call that was not taken has a record too. Raises StorageError, and CallTaken when it has one."""
        row = self._row(call, self._agent, "inbound", telephone)
        await self._services.calls.create(row)
        await self.end_unstarted(row, ev.CallEnded(reason, "policy"))

    async def drain(self, seconds: float) -> None:
        """Take no more calls; let the live ones go on for so long, then say goodbye and end them."""
        self._draining = True
        log.info("service.draining", live_calls=len(self._live), seconds=seconds)
        if await self._all_ended(seconds):
            return
        for call in list(self._live.values()):
            call.emit(ev.HangupRequested("shutdown"))
        if not await self._all_ended(_GOODBYE_SECONDS):
            log.error("service.calls_left", live_calls=len(self._live))

    def emit(self, call_id: str, fact: ev.Event) -> None:
        """A fact for a call of this process; a call that is gone needs none."""
        call = self._live.get(call_id)
        if call is not None:
            call.emit(fact)

    def ownership_lost(self, call_id: str) -> None:
        """Another process owns that call now."""
        call = self._live.get(call_id)
        if call is not None:
            call.ownership_lost()

    def stop(self) -> None:
        """End everything now; calls that were not drained hear no goodbye."""
        for call in self._live.values():
            call.emit(ev.HangupRequested("shutdown", at_once=True))
        for loop in self._helpers:
            loop.cancel()
        for task in self._preparing:
            task.cancel()

    async def _all_ended(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while self._live:
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            return False
        return True

    def _row(
        self, call: CallContext, agent: AgentProfile, direction: Direction, telephone: TelephoneCall | None
    ) -> CallRow:
        called = call.metadata.get("called_number")
        return CallRow(
            call_id=call.call_id,
            kind="websocket" if telephone is None else "room",
            direction=direction,
            status="ringing",
            created_at=iso_utc(call.start_time),
            started_at=iso_utc(call.start_time),
            version=self._services.version,
            caller_number=call.caller_number,
            called_number=called if isinstance(called, str) else None,
            livekit_room=call.livekit_room,
            language=agent.language,
            recording=self._services.recordings is not None,
            metadata=call.metadata,
            owner=self._services.owner,
            fence=_FIRST_FENCE,
            lease_until=self._lease_clock() + LEASE_SECONDS,
            room_sid=telephone.room_sid if telephone else None,
            sip_call_id=telephone.sip_call_id if telephone else None,
        )

    def refuse(self, error: AdmissionError) -> NoReturn:
        """Raise the error, and count it."""
        self._on_rejected(error.code)
        raise error

    def _spawn(self, work: Coroutine[Any, Any, None], call_id: str) -> None:
        task = self._loops.spawn(work, name=call_id, kind="call")
        task.add_done_callback(lambda _task: self._forget(call_id))

    def _forget(self, call_id: str) -> None:
        self._live.pop(call_id, None)
        self._left.set()

    def _prepare_lines(self, audio_format: AudioFormat) -> None:
        """Have what must be said when a vendor fails, or is late, ready as sound before it is needed."""
        if audio_format in self._prepared:
            return
        self._prepared.add(audio_format)
        name = f"clips:{audio_format.encoding}:{audio_format.sample_rate}"
        task = self._loops.spawn(self._prepare(audio_format), name=name, kind="clips")
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    async def _prepare(self, audio_format: AudioFormat) -> None:
        is_complete = False
        try:
            is_complete = await self._prepare_all(audio_format)
        finally:
            if not is_complete:
                self._prepared.discard(audio_format)  # the next call of this format tries again

    async def _prepare_all(self, audio_format: AudioFormat) -> bool:
        for language, lines in self._agent.policy.lines.items():
            voice = self._agent.voice(language, audio_format)
            waiting_phrases = [
                tool.waiting_phrase[language] for tool in self._agent.tools if language in tool.waiting_phrase
            ]
            if not await self._services.phrases.prepare([*_texts(lines), *waiting_phrases], voice):
                return False
        return True

    async def _keep_leases(self) -> None:
        outage = Outage("leases.not_renewed", "leases.in_order")
        while True:
            try:
                await self._renew_leases()
            except VoiceAgentError as error:
                self._services.metrics.service.lease_not_renewed()
                outage.failed(error)
            else:
                outage.over()
            await asyncio.sleep(RENEW_SECONDS)

    async def _renew_leases(self) -> None:
        """Also without a call: a process that reaps must know whether leases can be renewed at all."""
        until = self._lease_clock() + LEASE_SECONDS
        lost = await self._services.calls.renew_leases(self._services.owner, self._held(), until)
        self._lease_watch.renewed()
        for call_id in lost:
            self.ownership_lost(call_id)

    def _held(self) -> list[str]:
        """Calls that nobody else may end: those that live, and those that have ended with rows still to commit."""
        return list({*self._live, *self._services.journal.waiting()})

    async def _reap(self) -> None:
        outage = Outage("reaper.failed", "reaper.recovered")
        while True:
            try:
                await self._reap_once()
            except VoiceAgentError as error:
                outage.failed(error)
            else:
                outage.over()
            await asyncio.sleep(_REAP_SECONDS)

    async def _reap_once(self) -> None:
        # Read before the watch is asked: if something stops this process from here on, it judges as of this moment.
        now = self._lease_clock()
        services = self._services
        expired = await services.calls.take_over_expired(
            now,
            services.owner,
            until=now + LEASE_SECONDS,
            alive=self._held(),
            only_released=not self._lease_watch.may_judge(),
        )
        for call in expired:
            try:
                rows = await self._reader.rows(call.call_id)
                end_crashed(call, rows, services.journal)
                await services.journal.flush(call.call_id)
            except Exception as error:  # noqa: BLE001 - the other calls are ended all the same; this one is tried again
                log.error("call.not_reaped", call_id=call.call_id, error=type(error).__name__)
            else:
                log.warning("call.ended", call_id=call.call_id, end_reason="crashed", fault="ours")
                self.on_crashed(call)
                services.metrics.call_crashed()
                is_outbound = call.direction == "outbound"
                known = readable(rows)
                services.metrics.journal.count(known, tools=self._agent.tool_names, is_outbound=is_outbound)


def _texts(lines: Lines) -> list[str]:
    """Every line, those first that are needed when something is wrong."""
    urgent = [*lines.fillers, lines.apology, lines.failure_goodbye, lines.greeting]
    others = [lines.repeat, lines.keypad, *lines.idle, lines.refused, lines.cut_off, lines.deaf]
    transfers = [lines.transfer, lines.transfer_failed]
    goodbyes = [lines.goodbye, lines.silence_goodbye, lines.limit_goodbye, lines.shutdown_goodbye]
    return [*urgent, *others, *transfers, *goodbyes]
