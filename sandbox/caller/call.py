"""A simulated call in progress: three tasks around one line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, assert_never

from sandbox.caller.control_client import ControlClient
from sandbox.caller.earpiece import Piece
from sandbox.caller.echo_path import EchoReturn
from sandbox.caller.events import (
    AgentStarted,
    AgentStopped,
    CallerDone,
    CallerEvent,
    CallerPresses,
    CallerSpeaks,
    Journaled,
)
from sandbox.caller.hearing import CallerHearing
from sandbox.caller.line import Line
from sandbox.caller.media_client import (
    AgentAudio,
    AgentMark,
    CallBroken,
    CallEnded,
    CallFailed,
    ClearRequested,
    JournalRow,
    ServiceMessage,
    StepFailed,
)
from sandbox.caller.media_format import FRAME_SECONDS
from sandbox.caller.microphone import Microphone, Sound
from sandbox.caller.report import CallReport, StepTimes, Utterance, lateness_of, utterance_heard
from sandbox.caller.score import (
    PASSIVE_STEPS,
    Backchannels,
    Coughs,
    HangsUp,
    Holds,
    Improvises,
    Interrupts,
    Overhears,
    Presses,
    Says,
    Score,
    Step,
    Waits,
    WaitsForAgent,
    WaitsForEnd,
)
from sandbox.caller.span_detector import Span
from sandbox.carrier.telephone import Telephone

_BETWEEN_DIGITS_SECONDS = 0.2
_LONGER_THAN_A_PAUSE_SECONDS = 2.5
_END_FOLLOWS_STOP_SECONDS = 5.0
_SURELY_FINISHED_SECONDS = 0.8
"""A caller who had meant to speak over the agent listens for so long whether the agent goes on."""


class CallInProgress:
    """One call from ``ready`` to its end; times inside are seconds since ``ready``.

    Its tasks: ``caller.listens`` ends with the line, and cancels the other two; ``caller.sends`` ends when either side
    ends the call; ``caller.performs`` ends when the score is over and the caller has hung up.
    """

    def __init__(
        self,
        score: Score,
        sound_of: Callable[[Step], Awaitable[Sound | None]],
        microphone: Microphone,
        telephone: Telephone,
        line: Line,
        control: ControlClient,
        on_event: Callable[[CallerEvent], None],
        echo: EchoReturn | None = None,
        improvises: Improvises | None = None,
    ) -> None:
        """``sound_of`` makes the sound of a step; ``improvises`` goes on after the score."""
        self.failure: CallFailed | None = None
        """Why the call did not follow the score."""
        self._score, self._sound_of, self._microphone, self._telephone = score, sound_of, microphone, telephone
        self._improvises = improvises
        self._line, self._control, self._emit = line, control, on_event
        self._loop = asyncio.get_running_loop()
        self._hearing = CallerHearing(telephone.format.sample_rate, echo.hear if echo else None)
        self._said: list[Piece] = []
        self._uttered: list[tuple[int, str, str, Span]] = []
        self._steps: list[StepTimes] = []
        self._step_began = 0.0
        self._last_sound = 0.0
        self._last_demand = 0.0  # the last sound that called for an answer
        self._awaited: tuple[Callable[[], bool], asyncio.Future[None]] | None = None
        self._agent_speaks = False
        self._on_hold = False
        self._rows: list[dict[str, Any]] = []
        self._clauses: list[dict[str, Any]] = []
        """The rows of the agent's clauses since the caller last called for an answer."""
        self._delays: list[float] = []
        self._ended_by = ""
        self._ended_at = 0.0
        self._end_reason: str | None = None

    async def run(self) -> None:
        """Play the score until the call is over."""
        try:
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(self._listen(), name="caller.listens")
                others = [
                    tasks.create_task(self._send_frames(), name="caller.sends"),
                    tasks.create_task(self._perform_score(), name="caller.performs"),
                ]
                await listening
                for task in others:
                    task.cancel()
        finally:
            self._end("agent", self._now())
            self._hear_the_rest()

    def _hear_the_rest(self) -> None:
        """Play what is queued when the agent hung up; a caller who hangs up hears no more."""
        queued = 0.0 if self._ended_by == "caller" else self._hearing.seconds_queued()
        self._hearing.hear_out(self._ended_at + queued + 1 / self._telephone.format.sample_rate)

    def report(self) -> CallReport:
        """The report of the whole call, after :meth:`run`."""
        return CallReport(
            score=self._score.name,
            call_id=self._line.call_id,
            format=self._telephone.format,
            ready_at=self._line.ready_at,
            ended_at=self._ended_at,
            ended_by=self._ended_by,
            end_reason=self._end_reason,
            close_code=self._line.close_code,
            completed=self.failure is None and self._nothing_left_to_do(),
            steps=tuple(self._steps),
            utterances=self._utterances(),
            said=tuple(self._cut_at_end(piece) for piece in self._said),
            heard=self._hearing.heard,
            agent_spans=self._hearing.spans,
            arrivals=tuple(self._hearing.arrivals),
            received_samples=self._hearing.received_samples,
            played_samples=self._hearing.played_samples,
            clears=tuple(self._hearing.clears),
            events=tuple(self._rows),
            lateness=lateness_of(self._delays),
        )

    def _now(self) -> float:
        return self._loop.time() - self._line.ready_at

    def _nothing_left_to_do(self) -> bool:
        """Whether all remaining steps only listen or hang up."""
        return all(isinstance(step, (*PASSIVE_STEPS, HangsUp)) for step in self._score.steps[len(self._steps) :])

    def _utterances(self) -> tuple[Utterance, ...]:
        nexts = [span.start for *_, span in self._uttered[1:]] + [self._ended_at]
        return tuple(
            utterance_heard(
                step, kind, text, Span(span.start, min(span.end, self._ended_at)), self._hearing.spans, until
            )
            for (step, kind, text, span), until in zip(self._uttered, nexts, strict=False)
        )

    def _cut_at_end(self, piece: Piece) -> Piece:
        """The piece without the sound that the caller had not yet made when the call ended."""
        left = max(round((self._ended_at - piece.at) * self._telephone.format.sample_rate), 0)
        return Piece(piece.at, piece.samples[:left])

    # caller.listens

    async def _listen(self) -> None:
        try:
            async for message in self._line.messages():
                await self._take(message, self._now())
        except CallBroken as failure:
            if self._ended_by != "caller" or failure.code:
                self.failure = self.failure or failure

    async def _take(self, message: ServiceMessage, now: float) -> None:
        match message:
            case AgentAudio(samples=samples):
                self._hearing.receive(samples, now)
            case AgentMark(name=name):
                self._hearing.mark(name)
            case ClearRequested():
                cleared = self._hearing.clear(now)
                self._emit(cleared)
                if self._telephone.acknowledges_clear:
                    await self._line.send_cleared(cleared.played_samples)
            case JournalRow(row=row):
                self._rows.append(row)
                if row["type"] == "agent.clause_started":
                    self._clauses.append(row)
                self._emit(Journaled(now, row))
            case CallEnded(reason=reason):
                self._end_reason = reason
                self._end("agent", now)
            case _:
                assert_never(message)

    def _end(self, by: str, now: float) -> None:
        if not self._ended_by:
            self._ended_by, self._ended_at = by, now

    # caller.sends

    async def _send_frames(self) -> None:
        """Send a frame every 20 ms on an absolute schedule; frames that a stall delayed go out at once after it."""
        sent = 0
        while not self._ended_by:
            due = self._line.ready_at + (sent + 1) * FRAME_SECONDS
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            await self._notice(self._now())
            frame = self._microphone.next_frame()
            if not self._on_hold:
                await self._line.send_audio(frame)
            self._delays.append(self._loop.time() - due)
            sent += 1

    async def _notice(self, now: float) -> None:
        """Process what was played, and wake steps whose condition has become true."""
        for mark in self._hearing.listen(now):
            if self._telephone.echoes_marks:
                await self._line.send_mark(mark)
        speaks = self._hearing.speaks(now)
        span = self._hearing.last_span
        if span and speaks != self._agent_speaks:
            self._emit(AgentStarted(span.start) if speaks else AgentStopped(span.end))
        self._agent_speaks = speaks
        if self._awaited and not self._awaited[1].done() and self._awaited[0]():
            self._awaited[1].set_result(None)

    # caller.performs

    async def _perform_score(self) -> None:
        try:
            for step in self._score.steps:
                await self._perform_next(step)
            while (improvised := await self._improvised()) is not None:
                await self._perform_next(improvised)
        except CallFailed as failure:
            self.failure = failure
        await self._hang_up()

    async def _improvised(self) -> Step | None:
        return None if self._improvises is None else await self._improvises.next(self._rows)

    async def _perform_next(self, step: Step) -> None:
        number = len(self._steps) + 1
        self._step_began = self._now()
        await self._perform(number, step)
        self._steps.append(StepTimes(number, step.do, self._step_began, self._now()))

    async def _perform(self, number: int, step: Step) -> None:
        match step:
            case Says():
                await self._utter(number, step)
            case Interrupts() | Backchannels() | Overhears() | Coughs():
                if await self._until_its_moment(number, step) or isinstance(step, Interrupts):
                    await self._utter(number, step)
            case WaitsForAgent():
                since = self._last_sound
                await self._until(number, step, lambda: self._is_callers_turn(step, since))
                self._was_heard(self._now())
            case Waits(seconds=seconds) | Holds(seconds=seconds):
                self._on_hold = isinstance(step, Holds)
                await asyncio.sleep(seconds)
                self._on_hold = False
            case Presses(digits=digits):
                await self._press(digits)
            case WaitsForEnd():
                await self._until(number, step, lambda: False)
            case HangsUp():
                await self._hang_up()
            case _:
                assert_never(step)

    async def _until_its_moment(self, number: int, step: Interrupts | Backchannels | Overhears | Coughs) -> bool:
        """Wait for the moment to speak over the agent. False if they finished before it and the step allows that."""
        after, came = step.after, True
        may_be_late = isinstance(step, Interrupts | Coughs | Backchannels) and step.or_after
        if step.over is not None:
            over = step.over
            await self._until(number, step, lambda: self._agent_says(over))
            await asyncio.sleep(after or 0.0)
        elif after is not None:
            since, seconds = self._last_sound, after

            def is_time() -> bool:
                nonlocal came
                came = self._hearing.has_spoken_for(seconds, since, self._now())
                return came or (may_be_late and self._agent_has_finished(_SURELY_FINISHED_SECONDS))

            await self._until(number, step, is_time)
        return came

    def _agent_says(self, words: str) -> bool:
        """Whether the agent has begun a clause with these words since the caller last asked for something."""
        return any(words in row["data"]["text"] for row in self._clauses)

    def _agent_has_finished(self, quiet: float) -> bool:
        """Whether the agent has finished. After a cough or an "uh-huh" a short silence may only be a pause."""
        now = self._now()
        surely = max(quiet, _LONGER_THAN_A_PAUSE_SECONDS)
        return self._hearing.has_finished(quiet, self._last_sound, now) or self._hearing.has_finished(
            surely, self._last_demand, now
        )

    def _is_callers_turn(self, step: WaitsForAgent, since: float) -> bool:
        now, longest, most = self._now(), step.or_speaking, step.at_most
        if longest is not None and self._hearing.has_spoken_for(longest, since, now):
            return True
        if most is not None and now - self._step_began >= most and self._hearing.silent_for(now) >= step.quiet:
            return True
        return self._agent_has_finished(step.quiet)

    def _was_heard(self, at: float) -> None:
        """Count what the agent says from then on as the answer to the caller."""
        self._last_sound = self._last_demand = at
        self._clauses.clear()

    async def _until(self, number: int, step: Step, happened: Callable[[], bool]) -> None:
        """Wait for a condition. Raises StepFailed when the agent is silent for longer than the caller's patience."""
        began, patience = self._step_began, self._score.patience
        came = False

        def settled() -> bool:
            nonlocal came
            came = happened()
            now = self._now()
            return came or min(now - began, self._hearing.silent_for(now)) > patience

        await self._see(settled)
        if not came:
            where = f"score {self._score.name!r}, step {number} ({step.do})"
            raise StepFailed(f"{where}: what it waits for did not happen; the agent was silent for {patience:g} s")

    async def _see(self, happened: Callable[[], bool]) -> None:
        """Wait for a condition, which is checked with every frame."""
        seen = self._loop.create_future()
        self._awaited = (happened, seen)
        await seen

    async def _utter(self, number: int, step: Says | Interrupts | Backchannels | Coughs | Overhears) -> None:
        sound = await self._sound_of(step)
        if sound is None:
            return
        text, language = ("", None) if isinstance(step, Coughs) else (step.text, step.language)
        await self._control.expect_utterance(text, sound, language or self._score.language)
        starts_at = self._microphone.make(sound, self._now())
        span = Span(starts_at, starts_at + sound.seconds)
        self._said.append(Piece(starts_at, sound.samples))
        self._uttered.append((number, step.do, text, span))
        self._emit(CallerSpeaks(span.start, text))
        await self._see(lambda: not self._microphone.makes_sound)
        self._last_sound = span.end
        if isinstance(step, Says | Interrupts):
            self._was_heard(span.end)
        self._emit(CallerDone(span.end))

    async def _press(self, digits: str) -> None:
        for digit in digits:
            self._emit(CallerPresses(self._now(), digit))
            await self._line.send_digit(digit)
            self._was_heard(self._now())
            await asyncio.sleep(_BETWEEN_DIGITS_SECONDS)

    async def _hang_up(self) -> None:
        """Send ``stop`` and give the service time to send ``end``, which cancels this task."""
        self._end("caller", self._now())
        await self._line.send_stop()
        await asyncio.sleep(_END_FOLLOWS_STOP_SECONDS)
        await self._line.close()
