"""A call in virtual time: the real body and core, with vendors, a far end, a journal and a list of calls in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from app.calls.agent.directory import AgentSet
from app.calls.agent.numbers import NumberTable
from app.calls.agent.plan import CallPlanner, Vendors
from app.calls.agent.profile import AgentProfile
from app.calls.live.phrase_cache import PhraseCache
from app.calls.live.recordings import Recordings
from app.calls.live.session import CallOrchestrator, CallServices
from app.contained_tasks import ContainedTasks
from app.conversation import events as ev
from app.conversation.policy import CallPolicy, Lines
from app.errors import AtCapacity, OwnershipLost, StorageError, TransferFailed
from app.journal.replay import differences
from app.models import CallContext, JournalRow, Retention
from app.observability.metrics import Metrics
from app.ports.services import CallEnding, TransferMethod
from app.ports.streams import SpeechEvent, Transcript, TurnEnded, TurnUpdated
from app.ports.vendors import LanguageModel, LlmOptions, SpeechToText, SttOptions, TextToSpeech, TtsOptions
from app.storage.calls import CallRow
from app.storage.spending import Reservation
from media.formats import AudioFormat
from tests.calls.far_end import FarEnd
from tests.calls.vendors import ScriptedEars, ScriptedModel, ScriptedStream, ScriptedTool, ScriptedVoice
from tests.support.virtual_time import VirtualTimeLoop

T = TypeVar("T")

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
LINES = Lines(
    greeting="Hello, how can I help?",
    repeat="Please say it again.",
    keypad="Please use the keys.",
    idle=("Are you there?", "I am listening."),
    fillers=("One second, let me check.", "Just a moment more."),
    apology="Sorry, something went wrong. Please ask again.",
    cut_off="Sorry, I got cut off.",
    deaf="I cannot hear you, one moment.",
    transfer="I will put you through.",
    transfer_failed="Nobody answers. What else?",
    goodbye="Goodbye!",
    silence_goodbye="I hear nothing. Goodbye!",
    limit_goodbye="Our time is up. Goodbye!",
    failure_goodbye="I cannot help now. Goodbye!",
    shutdown_goodbye="I have to end the call. Goodbye!",
    refused="I cannot talk about that. What else?",
)
POLICY = CallPolicy(lines={"en": LINES})
AGENT = AgentProfile(
    prompt="You help.",
    policy=POLICY,
    language="en",
    voices={"en": "voice-1"},
    stt=SttOptions("nova-3"),
    llm=LlmOptions("gpt-6-luna"),
    tts=TtsOptions("sonic-3.5"),
)


def only(agent: AgentProfile, others: Sequence[AgentProfile] = ()) -> AgentSet:
    """One agent, which answers every call, and others that must be named."""
    return AgentSet({each.name: each for each in (agent, *others)}, agent, NumberTable({}))


class MemoryJournal:
    """Keeps the rows as they are appended; storage that fails, or an owner that has lost the call, on demand."""

    def __init__(self) -> None:
        self.rows_of: dict[str, list[JournalRow]] = {}
        self.endings: dict[str, CallEnding] = {}
        self.flushes: list[str] = []
        self.storage_fails = False
        self.flush_takes = 0.005
        self.lost: set[str] = set()
        self.bugs: set[str] = set()
        """Calls of which the next row meets a bug ..."""
        self.flush_bugs: set[str] = set()
        """... or the next flush."""
        self.uncommitted: set[str] = set()
        """Calls whose rows the database has not taken yet."""
        self._grown = asyncio.Event()

    def waiting(self) -> list[str]:
        return sorted(self.uncommitted)

    def append(self, call_id: str, fence: int, row: JournalRow, ending: CallEnding | None = None) -> None:
        if call_id in self.bugs:
            self.bugs.remove(call_id)
            raise RuntimeError("a bug")
        self.rows_of.setdefault(call_id, []).append(row)
        if ending is not None:
            assert call_id not in self.endings, "a second end"
            self.endings[call_id] = ending
        self._grown.set()

    async def flush(self, call_id: str) -> None:
        self.flushes.append(call_id)
        await asyncio.sleep(self.flush_takes)
        if call_id in self.flush_bugs:
            self.flush_bugs.remove(call_id)
            raise RuntimeError("a bug")
        if call_id in self.lost:
            raise OwnershipLost("another process owns the call now")
        if self.storage_fails:
            raise StorageError("the disk is full")

    async def rows(self, call_id: str, after_seq: int = 0) -> list[JournalRow]:
        return [row for row in self.rows_of.get(call_id, []) if row.seq > after_seq]

    async def grown(self) -> None:
        self._grown.clear()
        await self._grown.wait()


class MemoryCalls:
    """The list of calls."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.created: dict[str, CallRow] = {}
        self.answered: list[str] = []
        self.renewals: list[tuple[float, list[str]]] = []
        """When, and of which calls."""
        self.expired: list[CallRow] = []
        """Calls of processes that are known to be dead; one that was not ended is found again."""
        self.silent: list[CallRow] = []
        """Calls whose leases have run out, as only somebody who could renew his own may find."""
        self.settled: list[Reservation] = []
        """What the agents of outbound calls reserved after their lookups."""
        self.lost: set[str] = set()
        """Calls that another process owns."""
        self.fails_with: Exception | None = None
        self.live_elsewhere = 0
        self.create_takes = 0.001
        self._journal = journal

    async def create(
        self, row: CallRow, *, max_live: int | None = None, reservation: Reservation | None = None
    ) -> None:
        await asyncio.sleep(self.create_takes)
        if self.fails_with is not None:
            raise self.fails_with
        if max_live is not None and await self.count_live() >= max_live:
            raise AtCapacity("all places are taken")
        self.created[row.call_id] = row

    async def mark_answered(self, call_id: str, fence: int, at: str) -> None:
        self.answered.append(call_id)

    async def renew_leases(self, owner: str, call_ids: Collection[str], until: float) -> set[str]:
        if self.fails_with is not None:
            raise self.fails_with
        self.renewals.append((asyncio.get_running_loop().time(), list(call_ids)))
        return self.lost & set(call_ids)

    async def take_over_expired(
        self, now: float, owner: str, *, until: float, alive: Collection[str] = (), only_released: bool = False
    ) -> list[CallRow]:
        if self.fails_with is not None:
            raise self.fails_with
        known = {*self._journal.endings, *alive}
        found = self.expired if only_released else [*self.expired, *self.silent]
        return [call for call in found if call.call_id not in known]

    async def settle_agent(
        self, call_id: str, fence: int, *, is_recorded: bool, retention: Retention, reservation: Reservation
    ) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        self.settled.append(reservation)

    async def end_without_row(self, call_id: str, fence: int, ending: CallEnding) -> None:
        self._journal.endings.setdefault(call_id, ending)

    async def count_live(self) -> int:
        return self.live_elsewhere + len(self.created.keys() - self._journal.endings.keys())


@dataclass
class World:
    """What several calls share."""

    transcription: ScriptedEars = field(default_factory=ScriptedEars)
    model: ScriptedModel = field(default_factory=ScriptedModel)
    voice: ScriptedVoice = field(default_factory=ScriptedVoice)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    agent: AgentProfile = AGENT
    others: Sequence[AgentProfile] = ()
    """Agents that answer only when they are named."""
    tools: dict[str, ScriptedTool] = field(default_factory=dict)
    """Where the agent's tools are asked, by name."""
    lead: float = 0.2
    recordings: Path | None = None
    targets: dict[str, str] = field(default_factory=dict)
    telephony: "ScriptedTelephony | StuckTelephony | None" = None
    vendors: Vendors | None = None
    """Those above, unless there are others."""

    def __post_init__(self) -> None:
        self.calls = MemoryCalls(self.journal)
        self.phrases = PhraseCache(None)
        self.metrics = Metrics()
        self.kept = None
        if self.recordings is not None:
            self.kept = Recordings(self.recordings, "worker-a", on_incomplete=self.metrics.sound.recording_failed)
        self.services = CallServices(
            phrases=self.phrases,
            journal=self.journal,
            calls=self.calls,  # type: ignore[arg-type]  # the real one is a class over a database
            background=ContainedTasks(),
            metrics=self.metrics,
            recordings=self.kept,
            owner="worker-a",
        )

    @property
    def planner(self) -> CallPlanner:
        return CallPlanner(
            partial(only, replace(self.agent, is_recorded=self.kept is not None), self.others),
            self.vendors or self,
            endpoints=lambda _agent: self.tools,
            transfer_targets=self.targets,
            playout_lead_seconds=self.lead,
            version="1.2.3",
        )

    def stt(self, options: SttOptions, audio_format: AudioFormat) -> SpeechToText:
        return self.transcription

    def llm(self, options: LlmOptions) -> LanguageModel:
        return self.model

    def tts(self, options: TtsOptions) -> TextToSpeech:
        return self.voice

    def figure(self, name: str, **labels: str) -> float:
        """What Prometheus would read; 0 when nothing was counted."""
        return self.services.metrics.registry.get_sample_value(name, labels) or 0.0

    def wait_recorded(self) -> None:
        """Until the disk has what was recorded so far; its threads know nothing of virtual time."""
        if self.kept is not None:
            for recorder in list(self.kept._unfinished):
                recorder.wait_written()

    def has_tool(self, tool: ScriptedTool) -> None:
        """The agent can use it."""
        self.tools[tool.name] = tool
        self.agent = replace(self.agent, tools=(*self.agent.tools, tool.described))

    async def prepare_phrases(self, audio_format: AudioFormat) -> None:
        """As the service does at the first call."""
        lines = self.agent.policy.lines["en"]
        texts = [*lines.fillers, *(text for text in vars_of(lines) if isinstance(text, str))]
        await self.phrases.prepare(texts, self.agent.voice("en", audio_format), self.voice)


def vars_of(lines: Lines) -> list[Any]:
    return [getattr(lines, name) for name in Lines.__slots__]


class StuckTelephony:
    """Rings for ever, and when it is called off, LiveKit does not answer that either."""

    def __init__(self, *, dials: bool) -> None:
        """``dials``: a human is called into the room, else the caller's network is asked."""
        self.dials = dials
        self.rings = asyncio.Event()
        self.called_off = 0

    async def transfer(self, to: str, on_dial: Callable[[], None]) -> TransferMethod:
        if self.dials:
            on_dial()
        self.rings.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.called_off += 1
            await asyncio.sleep(15)
        raise AssertionError("unreachable")


class ScriptedTelephony:
    """A telephone network that hands a caller over after a while, or fails to."""

    def __init__(self, outcome: TransferMethod | TransferFailed = "refer", *, takes: float = 5.0) -> None:
        """``takes`` is in seconds."""
        self.outcome, self.takes = outcome, takes
        self.called: list[tuple[str, float]] = []
        """Whom, and when by the loop's clock."""
        self.called_off = 0

    async def transfer(self, to: str, on_dial: Callable[[], None]) -> TransferMethod:
        self.called.append((to, asyncio.get_running_loop().time()))
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.called_off += 1
            raise
        if isinstance(self.outcome, TransferFailed):
            raise self.outcome
        return self.outcome


def a_call(call_id: str = "call-1", room: str | None = None) -> CallContext:
    return CallContext(call_id, None, START, room)


class LiveCall:
    """One call that runs, with the far end that hears it and the words of its caller."""

    def __init__(self, world: World, far_end: FarEnd, orchestrator: CallOrchestrator, call_id: str) -> None:
        self.world = world
        self.far_end = far_end
        self.body = orchestrator
        self.call_id = call_id
        self.context = a_call(call_id)
        self.began = asyncio.get_running_loop().time()

    @property
    def transcription(self) -> ScriptedStream:
        return self.world.transcription.streams[self.call_id]

    @property
    def rows(self) -> list[JournalRow]:
        return self.world.journal.rows_of.get(self.call_id, [])

    def rows_of(self, row_type: str) -> list[JournalRow]:
        return [row for row in self.rows if row.type == row_type]

    @property
    def now(self) -> float:
        """Seconds since the call was created."""
        return asyncio.get_running_loop().time() - self.began

    async def until(self, row_type: str, count: int = 1, **data: Any) -> JournalRow:
        """Wait for a row; its data may be asked for."""
        async with asyncio.timeout(120):
            while True:
                found = [row for row in self.rows_of(row_type) if data.items() <= row.data.items()]
                if len(found) >= count:
                    return found[count - 1]
                await self.world.journal.grown()

    async def greeted(self) -> None:
        await self.until("agent.finished")

    def says(self, text: str, *, language: str | None = "en") -> None:
        """The caller's whole turn, all at once."""
        self.hears(TurnUpdated(Transcript(text)), TurnEnded(Transcript(text, confidence=0.9, language=language)))

    def hears(self, *events: SpeechEvent | Exception) -> None:
        for event in events:
            self.transcription.emit(event)

    def operator_says(self, text: str) -> None:
        self.body.emit(ev.SayRequested(text))

    async def frames(self, audio: bytes) -> None:
        await self.body.handle_audio_received(audio)

    async def ended(self) -> None:
        async with asyncio.timeout(120):
            await self.body.wait_ended()

    def turns(self) -> list[tuple[str, str]]:
        return [(turn.role, turn.text) for turn in self.body.record.turns]


@asynccontextmanager
async def live_call(
    world: World, far_end: FarEnd, *, call_id: str = "call-1", greeted: bool = True
) -> AsyncIterator[LiveCall]:
    """A call from its answer to its end; the caller leaves when the block does."""
    async with asyncio.TaskGroup() as tasks:

        def spawn(work: Coroutine[Any, Any, None], name: str) -> object:
            return tasks.create_task(work, name=name)

        orchestrator = CallOrchestrator(
            world.services,
            world.planner.plan(far_end.audio_format, call=a_call(call_id, "call_1" if world.telephony else None)),
            far_end,
            a_call(call_id),
            fence=1,
            spawn=spawn,
            telephony=world.telephony,
        )
        far_end.caller = orchestrator
        call = LiveCall(world, far_end, orchestrator, call_id)
        await orchestrator.handle_call_start(a_call(call_id))
        if greeted:
            await call.greeted()
        yield call
        orchestrator.leave("caller_hangup")
        await call.ended()
        await world.services.background.close()
        if world.kept is not None:
            world.kept.close(0.0)
        if call.rows:
            assert differences(call.rows) == []  # whoever replays the journal of a live call decides as it did


def in_virtual_time(work: Callable[[], Awaitable[T]]) -> T:
    """Run to the end on a loop of its own, leaving no task behind; for tests that run many calls."""

    async def run() -> T:
        result = await work()
        left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left, f"tasks left behind: {left}"
        return result

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(run())
