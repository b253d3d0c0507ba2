"""The event loop of a call: feeds events to the conversation core, journals them, and carries out its commands.

::

    EventQueue ──event──► ConversationCore ──commands──► playback, replies, actions, tools
                  │                                             │
                  └──► journal row           their outcomes come back as events
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, assert_never

from app.calls.live.actions import CallActions
from app.calls.live.call_clock import CallClock
from app.calls.live.call_log import CallLog
from app.calls.live.dialogue import DialogueManager
from app.calls.live.parts import Hearing, Messages, Playback, Replies
from app.calls.live.playback import PlaybackItem
from app.calls.live.speech_track import SpeechTrack
from app.calls.live.tool_runs import ToolRuns
from app.conversation import commands as cmd
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.conversation.opening_events import ConsentAnswered
from app.conversation.turns import UtteranceKind
from app.models import VoiceConfig
from app.ports.streams import ToolCall

_EVENTS_WAITING_MAX = 1000
_KEY_CALL = "keypad"
"""The id of the call of a tool that has a key."""
_BEFORE_THE_GREETING = (ev.CallCreated, ev.CallAnswered)
_GREETING_WAITS_SECONDS = 0.25
"""How long the greeting waits for the commit of each of these rows. A slow database must not delay it longer."""
_CANCELLED_WITHIN_SECONDS = 0.15
"""How long the end of a call waits for cancelled tasks, which report their costs as they end."""
_OF_HEARING = cmd.SetPatience | cmd.RaiseThreshold | cmd.KeepMessage | cmd.TranscribeMessage
_OF_UTTERANCES = (
    cmd.StartReply
    | cmd.ReleaseReply
    | cmd.HoldReply
    | cmd.Say
    | cmd.SayMeanwhile
    | cmd.PauseUtterance
    | cmd.ResumeUtterance
    | cmd.StopUtterance
)


class EventQueueOverflow(Exception):
    """More events wait than ever do in a healthy call."""


class EventQueue:
    """Events on their way to the core, in order. Bounded: when it is full, the call crashes."""

    def __init__(self) -> None:
        self._waiting: deque[ev.Event] = deque()
        self._changed = asyncio.Event()
        self._open = True
        self._failure: Exception | None = None

    def emit(self, event: ev.Event) -> None:
        """Queue an event for the core. Never waits, never raises."""
        if not self._open:
            return
        if len(self._waiting) >= _EVENTS_WAITING_MAX:
            self.fail(EventQueueOverflow())
            return
        self._waiting.append(event)
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """Crash this call, and no other: :meth:`next` raises the error."""
        self._failure = self._failure or error
        self._open = False
        self._changed.set()

    def close(self) -> None:
        """The call is over. Later events are dropped."""
        self._open = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def next(self, until: float) -> ev.Event | None:
        """The next event; None if none has come by ``until``, a time of the loop's clock."""
        try:
            async with asyncio.timeout_at(until):
                while not self._waiting and self._failure is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        if self._failure is not None:
            raise self._failure
        return self._waiting.popleft()

    def take_interruptions(self) -> list[ev.AgentInterrupted]:
        """Remove and return the waiting interruptions, ahead of the other events."""
        taken = [event for event in self._waiting if isinstance(event, ev.AgentInterrupted)]
        for event in taken:
            self._waiting.remove(event)
        return taken

    def take_all(self) -> list[ev.Event]:
        """Close the queue, and return everything that waits."""
        self.close()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken


def last_events(events: EventQueue, playback: Playback, transcription: Hearing | None) -> list[ev.Event]:
    """The last events for the journal: those that wait, what the caller heard of the agent, the cost of recognition."""
    interrupted = playback.silence()
    waiting = events.take_all()
    return [*waiting, *([interrupted] if interrupted else []), *(transcription.bill() if transcription else [])]


class CallEventLoop:
    """Takes the events of a call in order, and carries out the commands of the core.

    It awaits the next event or deadline and nothing else. Everything that takes time is a task. The task first commits
    what must be safe, and reports its outcome as an event. The core has a deadline for that event. So hanging up always
    works, even when a vendor, the database or a telephone never answers.
    """

    def __init__(
        self,
        *,
        core: ConversationCore,
        events: EventQueue,
        call_log: CallLog,
        clock: CallClock,
        voice: Callable[[str], VoiceConfig],
        playback: Playback,
        transcription: Hearing,
        dialogue: DialogueManager,
        reply_pipeline: Replies,
        actions: CallActions,
        tools: ToolRuns,
        message: Messages,
        tasks: asyncio.TaskGroup,
        call_id: str,
        next_event: Callable[[float], Awaitable[ev.Event | None]] | None = None,
        question: dict[str, float] | None = None,
    ) -> None:
        """``question`` has the stamps of a turn that another process was answering.

        ``next_event`` returns the next event, or None if the deadline it gets, in call seconds, comes first.

        Without it, that is what the queue has, on the call's clock.
        """
        self._core = core
        self._events = events
        self._log = call_log
        self._clock = clock
        self._voice = voice
        self._playback = playback
        self._transcription = transcription
        self._dialogue = dialogue
        self._reply_pipeline = reply_pipeline
        self._actions = actions
        self._tools = tools
        self._message = message
        self._tasks = tasks
        self._call_id = call_id
        self._next_event = next_event or self._queued_event
        self._work: dict[int, tuple[PlaybackItem, asyncio.Task[None]]] = {}
        self._commit: asyncio.Task[bool] | None = None
        """The commit of the rows before the greeting."""
        self._cancelled: set[asyncio.Task[None]] = set()
        """Cancelled tasks that have not ended yet."""
        self._ending: ev.CallEnded | None = None
        self._question: dict[str, float] = question or {}
        """The stamps of the turn that is being answered: its last voiced sample and its end, in call seconds."""

    @property
    def is_making_speech(self) -> bool:
        """Whether an utterance is being written or voiced."""
        return any(not task.done() for _, task in self._work.values())

    async def run(self) -> None:
        """Handle events and deadlines until the core has ended the call. Then call :meth:`finish`."""
        while (deadline := self._core.next_deadline()) is not None:
            event = await self._next_event(deadline)
            if event is None:
                self._handle(self._core.deadline_passed(), self._clock.call_seconds(at_least=deadline))
            else:
                self._handle(event, self._clock.call_seconds())

    async def _queued_event(self, deadline: float) -> ev.Event | None:
        return await self._events.next(self._clock.moment(deadline))

    async def finish(self, helpers: Collection[asyncio.Task[None]]) -> None:
        """Write the last rows, and the terminal row. ``helpers`` are tasks of the call that were cancelled.

        Returns within 150 ms, whatever these tasks do.
        """
        if waiting := [*helpers, *self._cancelled]:
            await asyncio.wait(waiting, timeout=_CANCELLED_WITHIN_SECONDS)
        for event in last_events(self._events, self._playback, self._transcription):
            self._log.write(event, self._clock.call_seconds(), self._core.turn_of(event))
        if self._ending is not None:
            self._log.write(self._ending, self._clock.call_seconds(), None)

    def _handle(self, event: ev.Event, now: float) -> None:
        turn = self._core.turn_of(event)
        commands = self._core.handle(event, now)
        self._log.write(event, now, turn)
        if isinstance(event, _BEFORE_THE_GREETING):
            commit = self._log.commit(_GREETING_WAITS_SECONDS)
            self._commit = self._tasks.create_task(commit, name=f"{self._call_id}:commit")
        if isinstance(event, ev.AgentFinished):
            self._work.pop(event.speech, None)
        self._silence_at_once(commands)
        for command in commands:
            self._carry_out(command, now)

    def _silence_at_once(self, commands: list[cmd.Command]) -> None:
        """Stop all utterances before any other command, so that none starts in the place of a stopped one."""
        for command in commands:
            if isinstance(command, cmd.StopUtterance):
                self._playback.stop(command.utterance)

    def _carry_out(self, command: cmd.Command, now: float) -> None:
        match command:
            case cmd.SetPatience() | cmd.RaiseThreshold() | cmd.KeepMessage() | cmd.TranscribeMessage():
                self._carry_out_hearing(command)
            case cmd.Transfer(to):
                self._actions.transfer(to)
            case cmd.CancelTransfer():
                self._actions.cancel_transfer()
            case cmd.AwaitTransfer():
                self._actions.await_transfer()
            case cmd.SendDigits(digits):
                self._actions.send_digits(digits)
            case cmd.RunTool(id=tool_id):
                self._tools.run(tool_id)
            case cmd.StartRecording():
                self._actions.start_recording()
            case cmd.Record(event):
                self._record(event, now)
            case cmd.EndCall(reason, fault):
                self._end(reason, fault)
            case _:
                self._carry_out_utterance(command)

    def _carry_out_hearing(self, command: _OF_HEARING) -> None:
        match command:
            case cmd.SetPatience(patience):
                self._transcription.set_patience(patience)
            case cmd.RaiseThreshold():
                self._transcription.raise_threshold()
            case cmd.KeepMessage():
                self._message.keep()
            case cmd.TranscribeMessage():
                self._message.transcribe()
            case _:
                assert_never(command)

    def _carry_out_utterance(self, command: _OF_UTTERANCES) -> None:
        match command:
            case cmd.StartReply():
                self._start_reply(command)
            case cmd.ReleaseReply(utterance):
                self._release(utterance)
            case cmd.HoldReply(utterance):
                if (found := self._work.get(utterance)) is not None:
                    found[0].hold()
            case cmd.Say():
                self._say(command)
            case cmd.SayMeanwhile(utterance, text):
                self._reply_pipeline.say_meanwhile(utterance, text)
            case cmd.PauseUtterance(utterance):
                self._playback.pause(utterance)
            case cmd.ResumeUtterance(utterance):
                self._playback.resume(utterance)
            case cmd.StopUtterance(utterance):
                self._playback.stop(utterance)
                self._cancel(utterance)
            case _:
                assert_never(command)

    def _start_reply(self, command: cmd.StartReply) -> None:
        self._settle_interruptions()
        voice = self._voice(command.language)
        item = PlaybackItem(
            command.utterance,
            command.turn,
            UtteranceKind.REPLY,
            command.language,
            SpeechTrack(voice.sample_rate),
            held=command.preemptive,
        )
        if command.text and not command.preemptive:
            item.stamps.update(self._question)
        pending = command.text if command.preemptive else None
        messages = self._dialogue.messages(command.language, pending)
        first = ToolCall(_KEY_CALL, command.tool, command.arguments) if command.tool is not None else None
        self._begin(item, lambda: self._reply_pipeline.reply(item, voice, messages, first))

    def _settle_interruptions(self) -> None:
        """Handle interruptions now, so that the next prompt has what the caller heard.

        This does not wait for the far end to report how much it had played.
        """
        emitted, pending = self._events.take_interruptions(), self._playback.drain()
        for interrupted in [*emitted, pending] if pending else emitted:
            self._handle(interrupted, self._clock.call_seconds())

    def _release(self, utterance: int) -> None:
        found = self._work.get(utterance)
        if found is not None:
            item, _ = found
            item.stamps.update(self._question)
            item.release()
            self._playback.wake()

    def _say(self, command: cmd.Say) -> None:
        voice = self._voice(command.language)
        track = SpeechTrack(voice.sample_rate, keep_sound=not command.is_rest)
        item = PlaybackItem(command.utterance, command.turn, command.kind, command.language, track)
        self._playback.offer(item)
        self._begin(item, lambda: self._reply_pipeline.line(item, voice, command.text))

    def _begin(self, item: PlaybackItem, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        name = f"{self._call_id}:speech:{item.number}"
        task = self._tasks.create_task(_after(self._commit, work), name=name)
        self._work[item.number] = item, task

    def _cancel(self, utterance: int) -> None:
        """Cancel the task of an utterance. It reports its costs as it ends."""
        found = self._work.pop(utterance, None)
        if found is not None:
            found[1].cancel()
            self._cancelled.add(found[1])
            found[1].add_done_callback(self._cancelled.discard)

    def _record(
        self,
        event: (
            ev.StateChanged
            | ev.CallerIgnored
            | ev.TurnTaken
            | ev.TransferStarted
            | ev.MessageRequested
            | ConsentAnswered
        ),
        now: float,
    ) -> None:
        turn = event.turn if isinstance(event, ConsentAnswered) else None
        if isinstance(event, ev.TurnTaken):
            turn = event.turn
            self._question = {"last_voiced": event.ended_t, "turn_ended": now}
        self._log.write(event, self._clock.call_seconds(), turn)

    def _end(self, reason: str, fault: str) -> None:
        for utterance in list(self._work):
            self._cancel(utterance)
        self._actions.cancel_transfer()
        self._cancelled.update(self._tools.abandon())
        self._ending = ev.CallEnded(reason, fault)

    def close(self) -> None:
        """Nothing can be written any more, because of the terminal row or a bug: let go of what still runs."""
        self._actions.cancel_transfer()
        self._tools.abandon()
        self._tools.close()


async def _after(commit: asyncio.Task[bool] | None, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start the work once the rows before the greeting are committed, or the wait for them is over."""
    if commit is not None and not commit.done():
        await asyncio.wait([commit])
    await work()
