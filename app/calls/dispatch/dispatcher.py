"""Starts calls, and finds them while they live.

Task ledger. Calls and these tasks are run by :mod:`app.service_loops`, so that none of them can end another.

``leases``     keeps this process the owner of its calls (:mod:`app.calls.dispatch.leases`). Ends by cancellation.
``reaper``     takes over, or ends, calls whose owner died (:mod:`app.calls.dispatch.reaper`). Ends by cancellation.
``phrases:...`` prepares fixed lines (:mod:`app.calls.dispatch.prepared_phrases`). Ends by itself, or by cancellation.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from app.calls.agent.hours import outside_hours
from app.calls.agent.inherited_plan import inherited
from app.calls.agent.plan import CallPlan
from app.calls.agent.profile import AgentProfile
from app.calls.dispatch.admission import Admission
from app.calls.dispatch.heirs import Heirs
from app.calls.dispatch.leases import LEASE_SECONDS, LeaseKeeper
from app.calls.dispatch.lookups import LookedUp
from app.calls.dispatch.prepared_phrases import PhrasePreparation
from app.calls.dispatch.reaper import Reaper, end_without_core
from app.calls.live.origin import InheritedCall, created_at
from app.calls.live.session import CallOrchestrator, CallServices
from app.clock import iso_after, iso_utc, lease_now, utc_now
from app.conversation import events as ev
from app.conversation.opening_events import LookupFinished
from app.errors import (
    AdmissionError,
    AtCapacity,
    CallRejected,
    OwnershipLost,
    ServicePaused,
    SettingsError,
    SpendingLimitReached,
    StorageError,
)
from app.journal.revival import Revival
from app.models import CallContext, Direction, JournalRow, TelephoneCall
from app.observability.listeners import Listeners
from app.ports.services import CallLeg, JournalReader, Telephony
from app.service_loops import ServiceLoops
from app.storage.calls import CallRow
from app.storage.owner_locks import OwnerLock
from app.storage.unsaved import UnsavedEnds
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

_REAP_SECONDS = 0.5
_GOODBYE_SECONDS = 20.0
_FIRST_FENCE = 1
UNWANTED = "refused by the lookup"
"""The detail of the end of such a call."""

LookUp = Callable[[CallContext, Direction], Awaitable[LookedUp]]


async def _nothing_known(call: CallContext, _direction: Direction) -> LookedUp:
    return LookedUp(call)


class CallDispatcher:
    """Every call of this process."""

    def __init__(
        self,
        services: CallServices,
        admission: Admission,
        *,
        reader: JournalReader,
        loops: ServiceLoops,
        lease_clock: Callable[[], float] = lease_now,
        unsaved: UnsavedEnds | None = None,
        look_up: LookUp | None = None,
        lock: OwnerLock | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """``lock`` shows which other processes of this machine are dead; ``now`` is the time of day.

        ``look_up`` asks about a call before it begins; see :class:`app.calls.dispatch.lookups.CallLookups`."""
        self.admission = admission
        self._lease_clock = lease_clock
        self._services = services
        self._loops = loops
        self._look_up = look_up or _nothing_known
        self._live: dict[str, CallOrchestrator] = {}
        self._beginning: dict[str, list[ev.Event]] = {}
        """Calls of this process that are still looked up, with what was emitted to them meanwhile."""
        self._phrases = PhrasePreparation(services.phrases, loops)
        self._on_started = Listeners("call.started", services.metrics.call_started)
        self._left = asyncio.Event()
        """A call of this process has ended, or could not be taken."""
        leases = LeaseKeeper(
            services.calls,
            services.owner,
            held=self._held,
            on_lost=self.ownership_lost,
            on_not_renewed=services.metrics.service.lease_not_renewed,
            clock=lease_clock,
        )
        self._now = now
        self.heirs = Heirs()
        tools = admission.planner.tool_names
        self._reaper = Reaper(
            services, reader, leases, self.heirs, held=self._held, agent_tools=tools, unsaved=unsaved, lock=lock
        )
        self._helpers = [
            loops.keep("leases", leases.run, is_vital=True),
            loops.keep("reaper", self._reaper.run),
        ]

    def __repr__(self) -> str:
        return f"<CallDispatcher {len(self._live)} live{', draining' if self.admission.is_draining else ''}>"

    @property
    def live_calls(self) -> int:
        """Calls of this process that have not ended."""
        return len(self._live)

    @property
    def live_plans(self) -> list[CallPlan]:
        """The plans of these calls."""
        return [call.plan for call in self._live.values()]

    @property
    def on_over(self) -> Listeners[[CallRow]]:
        """Called with each call that was over when its process died, and whose line may still be open."""
        return self._reaper.on_over

    @property
    def on_crashed(self) -> Listeners[[CallRow]]:
        """Called with each call that was ended here because its process had died."""
        return self._reaper.on_crashed

    def prepare_phrases(self, audio_format: AudioFormat) -> None:
        """Have the agents' lines ready in the format of the calls that will come; never waits."""
        planner = self.admission.planner
        agents = planner.agents().by_name.values()
        self._phrases.at_start([planner.plan(audio_format, agent=agent) for agent in agents])

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

        ``telephony`` hands the caller over to a human; calls without one cannot. ``listens_only`` is for a leg that
        carries no sound back: the service records and transcribes what comes. Raises Draining, ServicePaused,
        AtCapacity, SpendingLimitReached, CallRejected, StorageError, and CallTaken for a telephone call that was taken
        before.
        """
        self.admission.check_at_once()
        looked = await self._look_up(call, direction)
        self.admission.check_at_once()
        if looked.is_rejected and telephone is None:
            await self._record_unwanted(looked)
        self._check_wanted(looked)
        call = replace(looked.call, start_time=utc_now())
        plan = self.admission.plan(call, leg.audio_format, direction, listens_only=listens_only)
        human = telephony or plan.telephony
        orchestrator = CallOrchestrator(
            self._services, plan, leg, call, fence=_FIRST_FENCE, spawn=self._spawn, telephony=human
        )
        self._live[call.call_id] = orchestrator
        try:
            row = self._row(call, plan.agent, direction, telephone)
            reservation = self.admission.reservation(plan.agent)
            await self._services.calls.create(row, max_live=self.admission.max_live, reservation=reservation)
        except (AtCapacity, ServicePaused, SpendingLimitReached) as error:
            self._forget(call.call_id)
            self.admission.refuse(error)
        except BaseException:
            self._forget(call.call_id)
            raise
        if looked.event is not None:
            orchestrator.emit(looked.event)
        self._on_started()
        await orchestrator.handle_call_start(call)
        if not listens_only:
            self._phrases.begin(plan)
        return orchestrator

    async def start_placed(self, row: CallRow, leg: CallLeg, *, telephony: Telephony | None = None) -> CallOrchestrator:
        """Run a call that this process has claimed, whose telephone rings from now on; returns once it runs.

        Raises Draining, CallRejected.
        """
        self.admission.check_not_draining()
        metadata = {**row.metadata, "called_number": row.called_number, "direction": row.direction}
        call = CallContext(
            row.call_id, row.caller_number, utc_now(), row.livekit_room, metadata, row.agent, row.variables
        )
        early = self._beginning[call.call_id] = []
        try:
            looked = await self._look_up(call, "outbound")
            self._check_wanted(looked)
            call = replace(looked.call, start_time=utc_now())
            plan = self.admission.plan(call, leg.audio_format, "outbound")
            await self._settle_agent(row, plan.agent, looked)
            orchestrator = CallOrchestrator(
                self._services, plan, leg, call, fence=row.fence, spawn=self._spawn, telephony=telephony
            )
            self._live[call.call_id] = orchestrator
        finally:
            del self._beginning[call.call_id]
        self._on_started()
        for event in [*([looked.event] if looked.event else []), *early]:
            orchestrator.emit(event)
        await orchestrator.handle_call_start(call)
        self._phrases.begin(plan)
        return orchestrator

    def expect(self, row: CallRow) -> bool:
        """Keep a call whose process has died as one of this process, until :meth:`take_over` or :meth:`let_go`.

        Returns False when its agent is not here.
        """
        if self._agent_of_heir(row) is None:
            log.warning("call.not_revived", call_id=row.call_id, reason="its agent is not here")
            return False
        self._beginning[row.call_id] = []
        return True

    async def take_over(
        self, row: CallRow, leg: CallLeg, revival: Revival, *, telephony: Telephony | None = None
    ) -> CallOrchestrator | None:
        """Go on with an expected call of a dead process; returns once it runs. None when it could only be ended."""
        call = _inherited_call(row, revival)
        plan = self._plan_of_heir(row, leg, revival, call)
        if plan is None:
            await self.let_go(row)
            return None
        since = None if row.alive_at is None else self._lease_clock() - row.alive_at
        orchestrator = CallOrchestrator(
            self._services,
            plan,
            leg,
            call,
            fence=row.fence,
            spawn=self._spawn,
            telephony=telephony or plan.telephony,
            origin=InheritedCall(revival, now=self._now(), alive_seconds_ago=since, owner=self._services.owner),
        )
        self._live[row.call_id] = orchestrator
        early = self._beginning.pop(row.call_id, [])
        self._on_started()
        self._services.metrics.service.call_taken_over()
        log.warning("call.taken_over", call_id=row.call_id, fence=row.fence)
        for event in early:
            orchestrator.emit(event)
        await orchestrator.handle_call_start(call)
        self._phrases.begin(plan)
        return orchestrator

    def _plan_of_heir(self, row: CallRow, leg: CallLeg, revival: Revival, call: CallContext) -> CallPlan | None:
        """The plan of a call that another process began; None if its agent cannot go on with it here."""
        agent = self._agent_of_heir(row)
        if agent is None:
            return None
        try:
            plan = self.admission.planner.plan(leg.audio_format, agent=agent, call=call, direction=row.direction)
        except SettingsError as error:
            log.error("call.not_revived", call_id=row.call_id, reason=str(error))
            return None
        return inherited(plan, revival.created, revival.core.policy)

    async def let_go(self, row: CallRow) -> None:
        """End an expected call that cannot be taken over after all."""
        await self._reaper.end(row)
        self._beginning.pop(row.call_id, None)

    def _agent_of_heir(self, row: CallRow) -> AgentProfile | None:
        agents = self.admission.planner.agents()
        return agents.default if row.agent is None else agents.by_name.get(row.agent)

    def _check_wanted(self, looked: LookedUp) -> None:
        if looked.is_rejected:
            row = None if looked.event is None else ev.row_data(looked.event)
            self.admission.refuse(CallRejected("the lookup refused it", row))

    async def _record_unwanted(self, looked: LookedUp) -> None:
        """Record a call over a websocket that the lookup refuses. It is refused also when this fails."""
        row = None if looked.event is None else ev.row_data(looked.event)
        try:
            await self.record_refusal(looked.call, "rejected_policy", telephone=None, detail=UNWANTED, looked_up=row)
        except (StorageError, AdmissionError, OwnershipLost) as error:
            log.warning("caller.not_refused", code=error.code)

    async def _settle_agent(self, row: CallRow, agent: AgentProfile, looked: LookedUp) -> None:
        """Store who calls, now that the lookup has answered. Raises CallRejected if another agent may not call now.

        The call goes on when the database fails.
        """
        is_another = agent.name != row.agent
        if looked.event is None and not is_another:
            return
        looked_up = None if looked.event is None else ev.row_data(looked.event)
        if is_another and (refusal := outside_hours(agent.hours, row.called_number or "", utc_now())):
            self.admission.refuse(CallRejected(f"the agent {agent.name} may not call: {refusal}", looked_up))
        try:
            await self._services.calls.settle_agent(
                row.call_id,
                row.fence,
                is_recorded=agent.is_recorded,
                retention=agent.retention,
                reservation=self.admission.reservation(agent),
            )
        except SpendingLimitReached as error:
            self.admission.refuse(CallRejected(f"the agent {agent.name} may not call: {error}", looked_up))
        except StorageError as error:
            log.error("call.agent_not_noted", call_id=row.call_id, code=error.code)

    async def end_unstarted(
        self, row: CallRow, ended: ev.CallEnded, *, looked_up: Mapping[str, Any] | None = None
    ) -> None:
        """Write the end of a call of this process that never ran, after what a lookup has brought.

        ``looked_up`` is the data of the row ``lookup.finished``. Raises StorageError, OwnershipLost.
        """
        rows = [_lookup_row(row, looked_up)] if looked_up else []
        for before in rows:
            self._services.journal.append(row.call_id, row.fence, before)
        end_without_core(row, rows, self._services.journal, ended)
        await self._services.journal.flush(row.call_id)

    async def record_refusal(
        self,
        call: CallContext,
        reason: str,
        *,
        telephone: TelephoneCall | None,
        detail: str | None = None,
        looked_up: Mapping[str, Any] | None = None,
    ) -> CallRow:
        """Record a call that was not taken; ``looked_up`` as in :meth:`end_unstarted`.

        Raises StorageError, or CallTaken if a telephone call has a record already.
        """
        row = self._row(call, self.admission.agent_of(call, "inbound"), "inbound", telephone)
        await self._services.calls.create(row)
        await self.end_unstarted(row, ev.CallEnded(reason, "policy", detail), looked_up=looked_up)
        return row

    async def drain(self, seconds: float) -> None:
        """Take no more calls. Let the live ones go on for that long, then say goodbye and end them."""
        self.admission.drain()
        log.info("service.draining", live_calls=len(self._live), seconds=seconds)
        if await self._all_ended(seconds):
            return
        for call in list(self._live.values()):
            call.emit(ev.HangupRequested("shutdown"))
        if not await self._all_ended(_GOODBYE_SECONDS):
            log.error("service.calls_left", live_calls=len(self._live))

    def emit(self, call_id: str, event: ev.Event) -> None:
        """Emit an event to a call of this process. Nothing happens when the call is gone."""
        call = self._live.get(call_id)
        if call is not None:
            call.emit(event)
        elif call_id in self._beginning:
            self._beginning[call_id].append(event)

    def hand_over(self, call_id: str, fence: object) -> None:
        """Let go of a call that this process owns by that fence: its client has come to another. Never waits."""
        call = self._live.get(call_id)
        if call is not None and call.fence == fence:
            work = self._let_go_of(call, call_id)
            self._services.background.start(work, name=f"{call_id}:hand-over", kind="room")

    async def _let_go_of(self, call: CallOrchestrator, call_id: str) -> None:
        fence = call.fence
        call.ownership_lost()
        await call.wait_ended()
        await self._services.journal.flush(call_id)
        await self._services.calls.let_go(call_id, fence, self._lease_clock())
        log.info("call.handed_over", call_id=call_id)

    async def end_dead(self, row: CallRow, revival: Revival | None) -> None:
        """End a call of a dead process that this one has claimed and cannot go on with."""
        await self._reaper.end(row, revival)

    def redacts(self, call_id: str) -> bool:
        """Whether it is a live call of this process whose words are not all stored."""
        call = self._live.get(call_id)
        return call is not None and call.plan.agent.finder is not None

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
        self._phrases.stop()

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
            version=self.admission.planner.version,
            caller_number=call.caller_number,
            called_number=called if isinstance(called, str) else None,
            livekit_room=call.livekit_room,
            language=agent.language,
            recording=agent.is_recorded,
            retention=agent.retention.own(),
            metadata=call.metadata,
            agent=agent.name,
            variables=call.variables,
            synthetic=call.is_synthetic,
            owner=self._services.owner,
            fence=_FIRST_FENCE,
            lease_until=self._lease_clock() + LEASE_SECONDS,
            room_sid=telephone.room_sid if telephone else None,
            sip_call_id=telephone.sip_call_id if telephone else None,
        )

    def _spawn(self, work: Coroutine[Any, Any, None], call_id: str) -> None:
        task = self._loops.spawn(work, name=call_id, kind="call")
        task.add_done_callback(lambda _task: self._forget(call_id))

    def _forget(self, call_id: str) -> None:
        self._live.pop(call_id, None)
        self._left.set()

    def _held(self) -> list[str]:
        """Calls that nobody else may end: the live ones, and ended ones with rows still to commit."""
        return list({*self._live, *self._beginning, *self._services.journal.waiting()})


def _inherited_call(row: CallRow, revival: Revival) -> CallContext:
    return CallContext(
        row.call_id,
        row.caller_number,
        created_at(revival.rows),
        row.livekit_room,
        row.metadata,
        row.agent,
        row.variables,
        is_synthetic=row.synthetic,
    )


def _lookup_row(call: CallRow, looked_up: Mapping[str, Any]) -> JournalRow:
    """The first row of a call that its lookup refuses."""
    seconds = float(looked_up.get("seconds", 0.0))
    at = iso_after(call.created_at, seconds)
    return JournalRow(1, at, seconds, LookupFinished.type, None, ev.VERSION, dict(looked_up))
